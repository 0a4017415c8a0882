"""The control connection after its handshake, at either end: frames to messages, heartbeat, and an end that is said.
What the messages mean is for the session that owns it."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.python.failure import Failure

from gotunnel.core.ratelimit import RateLimit
from gotunnel.errors import RemoteProtocolError, Sentence, printable
from gotunnel.logs import Logger
from gotunnel.net.framed import FramedConnection
from gotunnel.wire.messages import Error, Message, Ping, Pong, decode, encode

__all__ = ["ControlConnection"]

OVERSLEPT = 0.5
"""Seconds. A deadline that is noticed so much too late was slept through, as by a process that was stopped: the answer
may wait to be read, and has as long once more."""


class ControlConnection(FramedConnection[Message]):
    """Owned by a session, which is told of each message and, once and last, of the end.

    `on_message(message)` may raise RemoteProtocolError, which closes the connection with `error`. Pings and pongs
    are answered here and not passed on. `heartbeat` and `timeout` are seconds. With `limit` the other end is cut, with
    `error/limit`, when it sends more messages than that, pings included.
    """

    log = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        heartbeat: float,
        timeout: float,
        on_message: Callable[[Message], None],
        on_lost: Callable[[str], None],
        limit: RateLimit | None = None,
    ) -> None:
        super().__init__(clock, heartbeat, timeout, on_lost, limit)
        self._on_message = on_message
        self._waiting_pongs: dict[int, tuple[Deferred[bool], IDelayedCall]] = {}

    @property
    def round_trip(self) -> float | None:
        """Seconds of the last ping's round trip, None before the first."""
        return self._liveness.round_trip

    @property
    def heard_age(self) -> float:
        """Seconds since the last pong: other messages prove that the network lives, and not that both hearts beat."""
        return self._clock.seconds() - self._liveness.answered_at

    @property
    def owed(self) -> float:
        """For how many seconds a ping is without an answer, 0 if none is."""
        return self._liveness.owed(self._clock.seconds())

    def asked_for(self) -> None:
        """The message that was passed on last answers one of ours: it does not count."""
        if self._limit is not None:
            self._limit.give_back()

    def answers(self, seconds: float) -> Deferred[bool]:
        """Ping now; fires with True when the pong comes within `seconds`, else with False."""
        answer: Deferred[bool] = Deferred()
        if self._closing or self.lost:
            answer.callback(False)
            return answer
        now = self._clock.seconds()
        number = self._liveness.ping(now)
        late = self._clock.callLater(seconds, self._no_pong, number, now + seconds)
        self._waiting_pongs[number] = answer, late
        self.send(Ping(number))
        return answer

    def close(self, error: Error | None, reason: str) -> None:
        """Close, with `error` as the last word. `reason` is what `on_lost` will hear."""
        self._end(error, reason)

    # FramedConnection.

    def _received(self, payload: bytes) -> None:
        message = decode(payload)
        if isinstance(message, Ping):
            self.send(Pong(message.n))
        elif isinstance(message, Pong):
            self._liveness.pong(message.n, self._clock.seconds())
            if message.n in self._waiting_pongs:
                self.asked_for()  # by others who want to be this client, as often as they like
                self._settle(message.n, True)
        elif isinstance(message, Error):
            self._reason = Sentence(
                "the other end says {code}: {reason}",
                code=printable(message.code), reason=printable(message.reason),
            )
            self._on_message(message)
            self.abort(self._reason)
        else:
            self._on_message(message)

    def _no_pong(self, number: int, deadline: float | None) -> None:
        if deadline is not None and self._clock.seconds() - deadline > OVERSLEPT:
            answer, _ = self._waiting_pongs[number]
            self._waiting_pongs[number] = answer, self._clock.callLater(OVERSLEPT, self._no_pong, number, None)
            return
        self._settle(number, False)

    def _settle(self, number: int, answered: bool) -> None:
        answer, late = self._waiting_pongs.pop(number)
        if late.active():
            late.cancel()
        answer.callback(answered)

    def _breached(self, breach: RemoteProtocolError) -> None:
        self.close(Error(breach.code, breach.reason), Sentence(
            "protocol error: {reason}", reason=breach.reason
        ))

    def _ping(self, number: int) -> None:
        self.send(Ping(number))

    def _encoded(self, message: Message) -> bytes:
        return encode(message)

    def _gone(self, reason: Failure) -> None:
        while self._waiting_pongs:
            self._settle(next(iter(self._waiting_pongs)), False)
