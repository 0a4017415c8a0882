"""The control connection of version 2 after its handshake, at either end: turns frames into messages, keeps up the
heartbeat, and ends with a reason. The session that owns it interprets the messages."""

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
"""Seconds. If a deadline is noticed later than this, the process was probably stopped meanwhile. The answer may be
waiting unread, so the deadline is extended by this time, once."""


class ControlConnection(FramedConnection[Message]):
    """Owned by a session, which gets each message and, once and last, the reason of the end.

    `on_message(message)` may raise RemoteProtocolError, which closes the connection with `error`. Pings and pongs are
    handled here and not passed on. `heartbeat` and `timeout` are seconds. `limit` bounds the rate of messages, pings
    included; a peer that exceeds it is disconnected with `error/limit`.
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
        """Seconds that the last ping's round trip took; None before the first."""
        return self._liveness.round_trip

    @property
    def heard_age(self) -> float:
        """Seconds since the last pong: other messages prove that the network works, but not that both ends do."""
        return self._clock.seconds() - self._liveness.answered_at

    @property
    def owed(self) -> float:
        """Seconds for which a ping has been unanswered; 0 if none is."""
        return self._liveness.owed(self._clock.seconds())

    def asked_for(self) -> None:
        """Do not count the last message against the limit, since it answers one of ours."""
        if self._limit is not None:
            self._limit.give_back()

    def answers(self, seconds: float) -> Deferred[bool]:
        """Send a ping now. Fires with True if the pong arrives within `seconds`, else with False."""
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
        """Close, with `error` as the last message. `on_lost` gets `reason`."""
        self._end(error, reason)

    # FramedConnection.

    def _received(self, payload: bytes) -> None:
        message = decode(payload)
        if isinstance(message, Ping):
            self.send(Pong(message.n))
        elif isinstance(message, Pong):
            self._liveness.pong(message.n, self._clock.seconds())
            if message.n in self._waiting_pongs:
                self.asked_for()  # others who claim this client's name cause these pings, as often as they like
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
