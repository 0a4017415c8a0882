"""A control connection of version 1 after its first exchange, at either end: frames to messages, heartbeat, and an end
that is said. What the messages mean is for the session that owns it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure

from gotunnel.core.ratelimit import RateLimit
from gotunnel.errors import RemoteProtocolError
from gotunnel.net.control import MOST_UNSENT, send_and_close
from gotunnel.net.sockets import is_gone, set_keepalive, set_nodelay, set_user_timeout
from gotunnel.wire.frames import LIMIT_AFTER_AUTH, FrameDecoder, encode_frame
from gotunnel.wire.liveness import Liveness
from gotunnel.wire.v1 import SILENCE, Answer, Ping, V1Message, decode, encode

__all__ = ["V1Control"]


class V1Control(Protocol):
    """Owned by a session, which is told of each message and, once and last, of the end.

    `on_message(message)` may raise RemoteProtocolError. With `heartbeat` (seconds) it is the client's end, which pings;
    without, the server's, which says why when it closes. Either end gives up after `silence` seconds without a byte;
    with `limit` the other end is cut when it sends more messages than that.
    """

    transport: Any

    def __init__(
        self,
        clock: IReactorTime,
        on_message: Callable[[V1Message], None],
        on_lost: Callable[[str], None],
        heartbeat: float | None = None,
        limit: RateLimit | None = None,
        silence: float = SILENCE,
    ) -> None:
        self.lost = False
        self._clock = clock
        self._on_message = on_message
        self._on_lost = on_lost
        self._limit = limit
        self._pings = heartbeat is not None
        self._silence = silence
        self._liveness = Liveness(heartbeat or silence / 3, silence, clock.seconds())
        self._decoder = FrameDecoder(LIMIT_AFTER_AUTH)
        self._timer: IDelayedCall | None = None
        self._reason: str | None = None
        self._closing = False
        self._left_by_peer = False

    # What Twisted calls.

    def connectionMade(self) -> None:
        """The first exchange is over."""
        sock = self.transport.getHandle()
        set_nodelay(sock)
        set_keepalive(sock)
        set_user_timeout(sock, self._silence)
        self.transport.bufferSize = MOST_UNSENT
        self.transport.registerProducer(self, True)
        self._plan()

    def dataReceived(self, data: bytes) -> None:
        """Bytes of frames."""
        if self._closing:
            return
        now = self._clock.seconds()
        self._liveness.received(now)
        self._decoder.feed(data)
        try:
            while not self._closing:
                payload = self._decoder.next_frame()
                if payload is None:
                    return
                if self._limit is not None and not self._limit.take(now):
                    raise RemoteProtocolError("too many messages in a short time")
                self._on_message(decode(payload))
        except RemoteProtocolError as breach:
            last = None if self._pings else Answer("fail", breach.reason)
            self.close(f"protocol error: {breach.reason}", last)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The connection is gone."""
        self.lost = True
        # A reset may come from the network, while the process at the other end goes on and ends its legs in order.
        self._left_by_peer = not self._closing and bool(reason.check(ConnectionDone))
        self._cancel()
        said = "the other end closed it" if reason.check(ConnectionDone) else reason.getErrorMessage()
        self._on_lost(self._reason or said)

    def pauseProducing(self) -> None:
        """Too much is unsent: whoever does not read his answers asks nothing more."""
        self.transport.pauseProducing()

    def resumeProducing(self) -> None:
        """It has left."""
        self.transport.resumeProducing()

    def stopProducing(self) -> None:
        """The connection is being lost; connectionLost says so."""

    # What the session calls.

    @property
    def left(self) -> bool:
        """Whether the other end has closed it, as the kernel does for a process that dies: also when that was not read
        yet."""
        if self.lost or self._closing:
            return self._left_by_peer
        return is_gone(self.transport.fileno(), eof_means_gone=True)

    def send(self, message: V1Message) -> None:
        """Send a message; after `close` nothing is sent any more."""
        if not self._closing and not self.lost:
            self.transport.write(encode_frame(encode(message)))

    def close(self, reason: str, last: V1Message | None = None) -> None:
        """Close, with `last` as the last word. `reason` is what `on_lost` will hear."""
        if self._closing or self.lost:
            return
        self._closing = True
        self._reason = reason
        self._cancel()
        self.transport.unregisterProducer()
        self._timer = send_and_close(self.transport, self._clock, None if last is None else encode(last))

    def abort(self, reason: str) -> None:
        """Close without a word."""
        if not self.lost:
            self._reason = self._reason or reason
            self._closing = True
            self._cancel()
            self.transport.abortConnection()

    def _plan(self) -> None:
        self._timer = self._clock.callLater(self._liveness.next_check(self._clock.seconds()), self._beat)

    def _beat(self) -> None:
        self._timer = None
        due = self._liveness.due(self._clock.seconds())
        if due == "dead":
            self.abort(f"nothing was heard for {self._silence:g} s")
            return
        if due == "ping":
            self._liveness.ping(self._clock.seconds())
            if self._pings:
                self.send(Ping(int(time.time())))
        self._plan()

    def _cancel(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None and timer.active():
            timer.cancel()
