"""A control connection of version 1 after its first exchange, at either end: turns frames into messages, keeps up the
heartbeat, and ends with a reason. The session that owns it interprets the messages."""

from __future__ import annotations

import time
from collections.abc import Callable

from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from gotunnel.core.ratelimit import RateLimit
from gotunnel.errors import RemoteProtocolError, Sentence
from gotunnel.net.framed import FramedConnection
from gotunnel.net.sockets import is_gone
from gotunnel.wire.v1 import SILENCE, Answer, Ping, V1Message, decode, encode

__all__ = ["V1Control"]


class V1Control(FramedConnection[V1Message]):
    """Owned by a session, which gets each message and, once and last, the reason of the end.

    `on_message(message)` may raise RemoteProtocolError. With `heartbeat` (seconds) this is the client's end, which
    pings; without, it is the server's, which tells the client why it closes after a protocol error. Either end gives up
    after `silence` seconds without a byte. `limit` bounds the rate of messages; a peer that exceeds it is disconnected.
    """

    def __init__(
        self,
        clock: IReactorTime,
        on_message: Callable[[V1Message], None],
        on_lost: Callable[[str], None],
        heartbeat: float | None = None,
        limit: RateLimit | None = None,
        silence: float = SILENCE,
    ) -> None:
        super().__init__(clock, heartbeat or silence / 3, silence, on_lost, limit)
        self._on_message = on_message
        self._pings = heartbeat is not None
        self._left_by_peer = False

    # Called by the session.

    @property
    def left(self) -> bool:
        """Whether the other end has closed the connection, as the kernel does for a process that dies; also if that has
        not been read yet."""
        if self.lost or self._closing:
            return self._left_by_peer
        return is_gone(self.transport.fileno(), eof_means_gone=True)

    def close(self, reason: str, last: V1Message | None = None) -> None:
        """Close, with `last` as the last message. `on_lost` gets `reason`."""
        self._end(last, reason)

    # FramedConnection.

    def _received(self, payload: bytes) -> None:
        self._on_message(decode(payload))

    def _breached(self, breach: RemoteProtocolError) -> None:
        last = None if self._pings else Answer("fail", breach.reason)
        self.close(Sentence("protocol error: {reason}", reason=breach.reason), last)

    def _ping(self, number: int) -> None:
        if self._pings:
            self.send(Ping(int(time.time())))

    def _encoded(self, message: V1Message) -> bytes:
        return encode(message)

    def _gone(self, reason: Failure) -> None:
        # A reset may come from the network, while the process at the other end still runs and ends its legs in order.
        self._left_by_peer = not self._closing and bool(reason.check(ConnectionDone))
