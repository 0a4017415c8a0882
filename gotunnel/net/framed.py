"""What the control connections of both protocol versions share, at either end, after the first exchange: frames in
order, a heartbeat, a limit on unsent bytes, and an orderly end with a reason. The subclass interprets the payloads."""

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
"""Seconds for the last frame to be sent before the connection is aborted."""
MOST_UNSENT = 256 * 1024
"""Unsent bytes above which nothing more is read (protocol, section 1)."""


def send_and_close(transport: Any, clock: IReactorTime, payload: bytes | None) -> IDelayedCall:
    """Send a last frame, if any, and close the connection; abort it after CLOSE_TIMEOUT if the other end does not read.

    Returns the delayed call of the abort: cancel it when the connection is lost.
    """
    if payload is not None:
        transport.write(encode_frame(payload))
    transport.loseConnection()
    return clock.callLater(CLOSE_TIMEOUT, transport.abortConnection)


BYTES_AS_ONE = 4096
"""A message counts as one more per this many bytes, since reading it takes that much longer."""


class FramedConnection(Protocol, Generic[M]):
    """One control connection after the first exchange.

    `on_lost(reason)` is called once, as the last thing. `heartbeat` and `timeout` are seconds. `limit` bounds the rate
    of messages; a peer that exceeds it is disconnected.
    """

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

    # For the subclass to implement.

    def _received(self, payload: bytes) -> None:
        """Handle the payload of a frame. Raises RemoteProtocolError."""
        raise NotImplementedError

    def _breached(self, breach: RemoteProtocolError) -> None:
        """Close the connection because the other end broke the protocol."""
        raise NotImplementedError

    def _ping(self, number: int) -> None:
        """Send a ping: the other end has been silent for a while."""
        raise NotImplementedError

    def _encoded(self, message: M) -> bytes:
        """Return the payload of a message."""
        raise NotImplementedError

    def _gone(self, reason: Failure) -> None:
        """The connection has closed; `on_lost` is called next."""

    # Called by Twisted.

    def connectionMade(self) -> None:
        """Take over the connection after the first exchange."""
        sock = raw_socket(self.transport)
        set_nodelay(sock)
        set_keepalive(sock)
        set_user_timeout(sock, self._timeout)
        tcp_transport(self.transport).bufferSize = MOST_UNSENT
        self.transport.registerProducer(self, True)
        self._plan()

    def dataReceived(self, data: bytes) -> None:
        """Take bytes of frames."""
        if self._closing:
            return  # a peer that keeps sending while we close must not fill our memory
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
        """The connection has closed: call `on_lost`."""
        self.lost = True
        self._cancel()
        self._gone(reason)
        self._on_lost(self._reason or words_of(reason.value))

    def pauseProducing(self) -> None:
        """Too much is unsent: take no more requests from a peer that does not read its answers."""
        self.transport.pauseProducing()

    def resumeProducing(self) -> None:
        """Enough has been sent: read again."""
        self.transport.resumeProducing()

    def stopProducing(self) -> None:
        """Do nothing: connectionLost follows."""

    # Called by the session.

    @property
    def timeout(self) -> float:
        """Seconds of silence after which the other end is considered lost."""
        return self._timeout

    @property
    def heard_age(self) -> float:
        """Seconds since anything was received from the other end."""
        return self._clock.seconds() - self.last_received

    def send(self, message: M) -> None:
        """Send a message. Does nothing after `close` or when the connection is lost."""
        if not self._closing and not self.lost:
            self.transport.write(encode_frame(self._encoded(message)))

    def abort(self, reason: str) -> None:
        """Close at once, without a last message."""
        if not self.lost:
            self._reason = self._reason or reason
            self._closing = True
            self._cancel()
            self.transport.abortConnection()

    # Parts of the above.

    def _end(self, last: M | None, reason: str) -> None:
        """Close in order, with `last` as the last message."""
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
