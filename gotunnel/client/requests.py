"""What a client asks of its server on one control connection: numbered, answered in this order, and only so many at a
time on the way. What an answer means is for the session."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterable

from gotunnel.errors import RemoteProtocolError
from gotunnel.wire.messages import Message, Nodes, Register, RegisterResp, Unregister

__all__ = ["AT_ONCE", "Request", "Requests"]

Request = Register | Nodes | Unregister

AT_ONCE = 32
"""Requests without an answer: half of what a server keeps (protocol, section 5). Closing a port takes it a moment."""


class Requests:
    """Owned by a session. `send` puts a message on the control connection."""

    def __init__(self, send: Callable[[Message], None]) -> None:
        self._send = send
        self._ids = itertools.count(1)
        self._asked: deque[Request] = deque()  # not answered yet
        self._waiting: deque[tuple[Request, Iterable[Message]]] = deque()

    def ask(self, request: Callable[[int], Request], behind: Iterable[Message] = ()) -> None:
        """Send what `request` makes of its number as soon as may be. What `behind` yields then is sent right behind."""
        self._waiting.append((request(next(self._ids)), behind))
        self._send_some()

    def answered(self, answer: RegisterResp) -> Request:
        """Return what is answered. Raises RemoteProtocolError."""
        if not self._asked or self._asked[0].id != answer.id:
            raise RemoteProtocolError("register_resp answers no request, or out of order")
        asked = self._asked.popleft()
        self._send_some()
        return asked

    def _send_some(self) -> None:
        while self._waiting and len(self._asked) < AT_ONCE:
            request, behind = self._waiting.popleft()
            self._asked.append(request)
            self._send(request)
            for message in behind:
                self._send(message)
