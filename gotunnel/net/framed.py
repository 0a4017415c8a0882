"""What control connections of both versions of the protocol share, after their first exchange and at either end:
frames in order, a heartbeat, a limit on what is unsent, and an end that is said. What a payload means is for the
subclass."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure

from gotunnel.core.ratelimit import RateLimit
from gotunnel.errors import RemoteProtocolError, Sentence
from gotunnel.net.reasons import words_of
from gotunnel.net.sockets import set_keepalive, set_nodelay, set_user_timeout
from gotunnel.net.transports import raw_socket, tcp_transport
from gotunnel.wire.frames import LIMIT_AFTER_AUTH, FrameDecoder, encode_frame
from gotunnel.wire.liveness import Liveness

__all__ = ["FramedConnection", "send_and_close"]

M = TypeVar("M")

CLOSE_TIMEOUT = 2.0
"""Seconds for the last words to leave before the connection is aborted."""
MOST_UNSENT = 256 * 1024
"""Bytes that may be unsent before nothing more is read (protocol, section 1)."""


def send_and_close(transport: Any, clock: IReactorTime, payload: bytes | None) -> IDelayedCall:
    """Send a last frame, if any, close, and see to it that the connection is gone soon also if nobody reads.

    The call that is returned does the latter; it is to be cancelled when the connection is lost.
    """
    if payload is not None:
        transport.write(encode_frame(payload))
    transport.loseConnection()
    return clock.callLater(CLOSE_TIMEOUT, transport.abortConnection)


BYTES_AS_ONE = 4096
"""A message longer than that counts as several: reading it takes as long."""


class FramedConnection(Protocol, Generic[M]):
    """`on_lost(reason)` is called once and last. `heartbeat` and `timeout` are seconds. With `limit` the other end is
    cut when it sends more messages than that."""

    transport: Any

    def __init__(
        self,
        clock: IReactorTime,
        heartbeat: float,
        timeout: float,
        on_lost: Callable[[str], None],
        limit: RateLimit | None,
    ) -> None:
        self.lost = False
        self.last_received = clock.seconds()
        self._clock = clock
        self._timeout = timeout
        self._on_lost = on_lost
        self._limit = limit
        self._liveness = Liveness(heartbeat, timeout, clock.seconds())
        self._decoder = FrameDecoder(LIMIT_AFTER_AUTH)
        self._timer: IDelayedCall | None = None
        self._reason: str | None = None
        self._closing = False

    # For the subclass to say.

    def _received(self, payload: bytes) -> None:
        """A frame has arrived. Raises RemoteProtocolError."""
        raise NotImplementedError

    def _breached(self, breach: RemoteProtocolError) -> None:
        """The other end broke the contract: close."""
        raise NotImplementedError

    def _ping(self, number: int) -> None:
        """The other end was silent for a while."""
        raise NotImplementedError

    def _encoded(self, message: M) -> bytes:
        """Return the payload of a message."""
        raise NotImplementedError

    def _gone(self, reason: Failure) -> None:
        """The connection is gone; `on_lost` hears it next."""

    # What Twisted calls.

    def connectionMade(self) -> None:
        """The first exchange is over."""
        sock = raw_socket(self.transport)
        set_nodelay(sock)
        set_keepalive(sock)
        set_user_timeout(sock, self._timeout)
        tcp_transport(self.transport).bufferSize = MOST_UNSENT
        self.transport.registerProducer(self, True)
        self._plan()

    def dataReceived(self, data: bytes) -> None:
        """Bytes of frames."""
        if self._closing:
            return  # who goes on talking while we say our last words is not to fill our memory
        self.last_received = now = self._clock.seconds()
        self._liveness.received(now)
        self._decoder.feed(data)
        try:
            while not self._closing:
                payload = self._decoder.next_frame()
                if payload is None:
                    return
                if self._limit is not None and not self._limit.take(now, 1 + len(payload) // BYTES_AS_ONE):
                    raise RemoteProtocolError("too many messages in a short time", "limit")
                self._received(payload)
        except RemoteProtocolError as breach:
            self._breached(breach)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The connection is gone."""
        self.lost = True
        self._cancel()
        self._gone(reason)
        self._on_lost(self._reason or words_of(reason.value))

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
    def timeout(self) -> float:
        """Seconds of silence after which the other end counts as gone."""
        return self._timeout

    @property
    def heard_age(self) -> float:
        """Seconds since the last sign of life that is to be expected from the other end."""
        return self._clock.seconds() - self.last_received

    def send(self, message: M) -> None:
        """Send a message; after `close` nothing is sent any more."""
        if not self._closing and not self.lost:
            self.transport.write(encode_frame(self._encoded(message)))

    def abort(self, reason: str) -> None:
        """Close without a word."""
        if not self.lost:
            self._reason = self._reason or reason
            self._closing = True
            self._cancel()
            self.transport.abortConnection()

    # Parts of the above.

    def _end(self, last: M | None, reason: str) -> None:
        """Close, with `last` as the last word."""
        if self._closing or self.lost:
            return
        self._closing = True
        self._reason = reason
        self._cancel()
        self.transport.unregisterProducer()  # TLS never closes while a producer is registered
        self._timer = send_and_close(self.transport, self._clock, None if last is None else self._encoded(last))

    def _plan(self) -> None:
        self._timer = self._clock.callLater(self._liveness.next_check(self._clock.seconds()), self._beat)

    def _beat(self) -> None:
        self._timer = None
        due = self._liveness.due(self._clock.seconds())
        if due == "dead":
            self.abort(Sentence("nothing was received for {timeout:g} s", timeout=self._timeout))
            return
        if due == "ping":
            self._ping(self._liveness.ping(self._clock.seconds()))
        self._plan()

    def _cancel(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None and timer.active():
            timer.cancel()
