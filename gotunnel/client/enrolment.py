"""One connection of a client that joins: both ends prove themselves, and a one-time token is exchanged for a permanent
one. It publishes nothing and never retries."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred

from gotunnel.config import tokens
from gotunnel.errors import AuthRejected, GotunnelError, RemoteProtocolError, Sentence, printable
from gotunnel.net.control import ControlConnection
from gotunnel.net.dialer import ServerPath
from gotunnel.net.greeting import ControlGreeting
from gotunnel.net.transports import hand_over
from gotunnel.wire.handshake import ClientHandshake
from gotunnel.wire.messages import Drain, Enrol, Enrolled, Error, Message, NeedLegs

__all__ = ["TIMEOUT", "Enrolment", "NotConfirmed"]

TIMEOUT = 10.0
"""Seconds for each of the connect, the handshake, and the rest."""


class NotConfirmed(GotunnelError):
    """The permanent token is stored, but the connection ended before the server's confirmation. Both tokens are valid
    until the permanent one is used."""


class Enrolment:
    """Runs once. `store` must store the permanent token durably before it returns; if it raises, the attempt ends and
    the one-time token stays valid. If the server says `auth_failed` after the token was stored, the attempt fails with
    AuthRejected, and the stored token is useless."""

    def __init__(self, clock: Any, path: ServerPath, store: Callable[[str], None]) -> None:
        self._clock = clock
        self._path = path
        self._store = store
        self.stored = False
        """Whether the permanent token is stored already."""
        self._over: Deferred[bool | Exception] = Deferred()
        self._gone: Deferred[None] = Deferred()
        self._control: ControlConnection

    async def run(self, handshake: ClientHandshake) -> bool:
        """Return whether a permanent token was received and stored; if not, the token of the handshake is permanent.

        The handshake's `caps` must include ENROL. Raises what ServerPath.greet raises, what `store` raises, or
        NotConfirmed.
        """
        greeted = await self._path.greet(ControlGreeting(self._clock, TIMEOUT, handshake), TIMEOUT)
        established = greeted.established
        assert established is not None
        auth_ok = established.auth_ok
        self._control = ControlConnection(
            self._clock, auth_ok.heartbeat, auth_ok.heartbeat_timeout, self._message, self._lost
        )
        late = self._clock.callLater(TIMEOUT, self._fail, RemoteProtocolError("no answer in time", "timeout"))
        hand_over(greeted.transport, self._control, b"")
        # An enrol follows right behind auth_ok, so a pong without an enrol before it means that none will come.
        self._control.answers(TIMEOUT).addCallback(self._answered)
        if greeted.leftover:
            self._control.dataReceived(greeted.leftover)
        outcome = await self._over
        if late.active():
            late.cancel()
        self._control.close(None, "done")
        await self._gone  # so that the last message arrives
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def _message(self, message: Message) -> None:
        if isinstance(message, Enrol) and not self.stored and not self._over.called:
            self._take(message.token)
        elif isinstance(message, Enrolled) and self.stored:
            self._finish(True)
        elif isinstance(message, Error):
            self._fail(AuthRejected(message.code, message.reason, message.retry_after))
        elif not isinstance(message, (NeedLegs, Drain)):  # these need no answer: the connection ends soon
            raise RemoteProtocolError(Sentence(
                "a server does not send {name} here", name=type(message).__name__
            ))

    def _take(self, token: str) -> None:
        if not self._path.encrypted:
            raise RemoteProtocolError("a token came outside of TLS", "tls_required")
        if tokens.refusal(token) is not None:
            raise RemoteProtocolError("the token that came can be guessed")
        try:
            self._store(token)
        except (GotunnelError, OSError) as failed:
            self._control.close(Error("internal", "the client could not store the token"), "the token is not stored")
            self._fail(failed)
            return
        self.stored = True
        self._control.send(Enrolled())

    def _answered(self, answered: bool) -> None:
        if answered and not self.stored:
            self._finish(False)

    def _lost(self, reason: str) -> None:
        self._gone.callback(None)
        self._fail(RemoteProtocolError(Sentence(
            "the connection ended: {reason}", reason=printable(reason)
        ), "closed"))

    def _finish(self, enrolled: bool) -> None:
        if not self._over.called:
            self._over.callback(enrolled)

    def _fail(self, error: Exception) -> None:
        if not self._over.called:
            # If two clients use one token at the same moment, only one is accepted: this one was definitely refused.
            dead = isinstance(error, AuthRejected) and error.code == "auth_failed"
            self._over.callback(NotConfirmed(str(error)) if self.stored and not dead else error)
