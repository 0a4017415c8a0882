"""The control connection after its handshake, at either end: frames to messages, heartbeat, and an end that is said.
What the messages mean is for the session that owns it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure

from gotunnel.core.ratelimit import RateLimit
from gotunnel.errors import RemoteProtocolError, printable
from gotunnel.logs import Logger
from gotunnel.net.sockets import set_keepalive, set_nodelay, set_user_timeout
from gotunnel.net.transports import raw_socket, tcp_transport
from gotunnel.wire.frames import LIMIT_AFTER_AUTH, FrameDecoder, encode_frame
from gotunnel.wire.liveness import Liveness
from gotunnel.wire.messages import Error, Message, Ping, Pong, decode, encode

__all__ = ["ControlConnection", "send_and_close"]

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


class ControlConnection(Protocol):
    """Owned by a session, which is told of each message and, once and last, of the end.

    `on_message(message)` may raise RemoteProtocolError, which closes the connection with `error`. Pings and pongs
    are answered here and not passed on. `heartbeat` and `timeout` are seconds. With `limit` the other end is cut, with
    `error/limit`, when it sends more messages than that, pings included.
    """

    log = Logger()
    transport: Any

    def __init__(
        self,
        clock: IReactorTime,
        heartbeat: float,
        timeout: float,
        on_message: Callable[[Message], None],
        on_lost: Callable[[str], None],
        limit: RateLimit | None = None,
    ) -> None:
        self._clock = clock
        self._timeout = timeout
        self._on_message = on_message
        self._on_lost = on_lost
        self._limit = limit
        self._liveness = Liveness(heartbeat, timeout, clock.seconds())
        self._decoder = FrameDecoder(LIMIT_AFTER_AUTH)
        self._timer: IDelayedCall | None = None
        self._reason: str | None = None
        self._closing = False
        self._lost = False
        self._waiting_pongs: dict[int, Deferred[bool]] = {}
        self.last_received = clock.seconds()

    @property
    def round_trip(self) -> float | None:
        """Seconds of the last ping's round trip, None before the first."""
        return self._liveness.round_trip

    # What Twisted calls.

    def connectionMade(self) -> None:
        """The handshake is over."""
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
                if self._limit is not None and not self._limit.take(now):
                    raise RemoteProtocolError("too many messages in a short time", "limit")
                self._receive(decode(payload))
        except RemoteProtocolError as breach:
            self.close(Error(breach.code, breach.reason), f"protocol error: {breach.reason}")

    def asked_for(self) -> None:
        """The message that was passed on last answers one of ours: it does not count."""
        if self._limit is not None:
            self._limit.give_back()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The connection is gone."""
        self._lost = True
        self._cancel()
        pongs, self._waiting_pongs = self._waiting_pongs, {}
        for waiting in pongs.values():
            waiting.callback(False)
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

    def send(self, message: Message) -> None:
        """Send a message; after `close` nothing is sent any more."""
        if not self._closing and not self._lost:
            self.transport.write(encode_frame(encode(message)))

    def answers(self, seconds: float) -> Deferred[bool]:
        """Ping now; fires with True when the pong comes within `seconds`, else with False."""
        answer: Deferred[bool] = Deferred()
        if self._closing or self._lost:
            answer.callback(False)
            return answer
        number = self._liveness.ping(self._clock.seconds())
        self._waiting_pongs[number] = answer
        self.send(Ping(number))
        late = self._clock.callLater(seconds, self._no_pong, number)

        def stop(answered: bool) -> bool:
            if late.active():
                late.cancel()
            return answered

        return answer.addCallback(stop)

    def close(self, error: Error | None, reason: str) -> None:
        """Close, with `error` as the last word. `reason` is what `on_lost` will hear."""
        if self._closing or self._lost:
            return
        self._closing = True
        self._reason = reason
        self._cancel()
        self.transport.unregisterProducer()  # TLS never closes while a producer is registered
        self._timer = send_and_close(self.transport, self._clock, None if error is None else encode(error))

    def abort(self, reason: str) -> None:
        """Close without a word."""
        if not self._lost:
            self._reason = self._reason or reason
            self._closing = True
            self._cancel()
            self.transport.abortConnection()

    def _receive(self, message: Message) -> None:
        if isinstance(message, Ping):
            self.send(Pong(message.n))
        elif isinstance(message, Pong):
            self._liveness.pong(message.n, self._clock.seconds())
            answer = self._waiting_pongs.pop(message.n, None)
            if answer is not None:
                self.asked_for()  # by others who want to be this client, as often as they like
                answer.callback(True)
        elif isinstance(message, Error):
            self._reason = f"the other end says {printable(message.code)}: {printable(message.reason)}"
            self._on_message(message)
            self.abort(self._reason)
        else:
            self._on_message(message)

    def _no_pong(self, number: int) -> None:
        answer = self._waiting_pongs.pop(number, None)
        if answer is not None:
            answer.callback(False)

    def _plan(self) -> None:
        self._timer = self._clock.callLater(self._liveness.next_check(self._clock.seconds()), self._beat)

    def _beat(self) -> None:
        self._timer = None
        due = self._liveness.due(self._clock.seconds())
        if due == "dead":
            self.abort(f"nothing was heard for {self._timeout:g} s")
            return
        if due == "ping":
            self.send(Ping(self._liveness.ping(self._clock.seconds())))
        self._plan()

    def _cancel(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None and timer.active():
            timer.cancel()
