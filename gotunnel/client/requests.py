"""Sends a client's requests on one control connection: numbered, answered in order, with a limited number unanswered.
The session interprets the answers."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterable

from gotunnel.errors import RemoteProtocolError
from gotunnel.wire.messages import Message, Nodes, Register, RegisterResp, Unregister

__all__ = ["AT_ONCE", "Request", "Requests"]

Request = Register | Nodes | Unregister

AT_ONCE = 32
"""Most unanswered requests: half of what a server queues (protocol, section 5). Closing a port takes it a moment."""


class Requests:
    """Owned by a session. `send` sends a message on the control connection."""

    def __init__(self, send: Callable[[Message], None]) -> None:
        self._send = send
        self._ids = itertools.count(1)
        self._asked: deque[Request] = deque()  # not answered yet
        self._waiting: deque[tuple[Request, Iterable[Message]]] = deque()

    def ask(self, request: Callable[[int], Request], behind: Iterable[Message] = ()) -> None:
        """Send the request that `request` makes from its number as soon as possible. What `behind` yields at that time
        is sent right behind it."""
        self._waiting.append((request(next(self._ids)), behind))
        self._send_some()

    def answered(self, answer: RegisterResp) -> Request:
        """Return the request that this answers. Raises RemoteProtocolError."""
        if not self._asked or self._asked[0].id != answer.id:
            raise RemoteProtocolError("register_resp answers no request, or out of order")
        asked = self._asked.popleft()
        self._send_some()
        return asked

    @property
    def giving_up(self) -> set[str]:
        """The mappings that are being given up. Until the server has confirmed that, its answers about them belong to
        what they were before."""
        pending = itertools.chain(self._asked, (request for request, _ in self._waiting))
        return {name for request in pending if isinstance(request, Unregister) for name in request.names}

    def _send_some(self) -> None:
        while self._waiting and len(self._asked) < AT_ONCE:
            request, behind = self._waiting.popleft()
            self._asked.append(request)
            self._send(request)
            for message in behind:
                self._send(message)
