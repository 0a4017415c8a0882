"""The login of a client on a control connection, from hello and auth to auth_ok or a refusal.

Framing and the other kinds of connections are in `greeting`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure

from gotunnel.address import plain_address
from gotunnel.config.plugged import AuthenticatorConfig
from gotunnel.core.logins import Accepted, Login
from gotunnel.core.ratelimit import RateLimit
from gotunnel.core.sessions import Decision
from gotunnel.errors import AuthRejected, RemoteProtocolError
from gotunnel.net.biotls import BioTls
from gotunnel.net.clientca import chain_shown, client_problem
from gotunnel.net.control import ControlConnection
from gotunnel.net.tls import ServerTls, exporter_binding
from gotunnel.net.transports import hand_over
from gotunnel.server.claim import claim, refusal
from gotunnel.server.enrolment import Enrolment, lasting_token
from gotunnel.server.guests import Guest
from gotunnel.server.logins import Unanswered
from gotunnel.server.session import ServerSession
from gotunnel.wire.frames import encode_frame
from gotunnel.wire.greeting import EXAMINES
from gotunnel.wire.handshake import ServerHandshake
from gotunnel.wire.messages import Error

if TYPE_CHECKING:
    from gotunnel.server.hub import Hub
    from gotunnel.server.reception import Door

__all__ = ["RETRY_AFTER_AUTH", "ClientLogin"]

RETRY_AFTER_AUTH = 5.0
"""Seconds that a client is asked to wait after a failed authentication."""
MESSAGE_SECONDS = 5
"""A client may send `limits.messages` per second, in bursts of so many seconds' worth,"""
MESSAGES_PER_MAPPING = 4
"""plus this many per mapping: when it connects or its network breaks, all mappings change state at once."""


class ClientLogin(Protocol):
    """The part of a greeting that logs clients in. `_over` means that the connection was handed over or is closing."""

    transport: Any

    def __init__(self, hub: Hub, door: Door, tls: ServerTls | None) -> None:
        self._hub = hub
        self._door = door
        self._tls = tls  # the TLS settings of this connection, which may differ from the hub's current ones
        self._handshake: ServerHandshake | None = None
        self._number = 0
        self._over = False
        self._deciding = False
        self._judging: Deferred[None] | None = None
        self._asking = False  # whether authenticators are judging the token that the client has sent

    def _turn_out(self) -> None:
        """Close without an answer."""
        raise NotImplementedError

    def _refuse(self, error: Error, *, said: bool = False) -> None:
        """Send a refusal and close; `said` if it has already been logged."""
        raise NotImplementedError

    def _failed(self, failure: Failure) -> None:
        """Close because of an internal error."""
        raise NotImplementedError

    def _hello(self, payload: bytes) -> None:
        if self._door.legs_only:
            self._door.turned_down()
            self._turn_out()
            return
        if self._hub.tls is not None and self._tls is None:
            raise RemoteProtocolError("this server wants TLS (client.tls.mode: required)", "tls_required")
        if isinstance(self.transport, BioTls):
            # This TLS has no exporter, and a man in the middle could relay a proof that is not bound to the connection.
            raise RemoteProtocolError("a control connection does not ask for the server name of legs")
        bearer = self._tls is not None and self._hub.logins is not None
        now = round(self._hub.wall_clock(), 3)
        self._handshake = ServerHandshake(
            self._hub.keys_for, self._hub.caps, self._hub.instance, bearer=bearer, time=now
        )
        challenge = self._handshake.receive_hello(payload)
        self._check_certificate(self._handshake.hello.client)
        self._number = self._hub.sessions.next_number()
        self.transport.write(encode_frame(challenge))

    def _certificate_problem(self, client: str) -> str | None:
        if self._tls is None or self._hub.tls is None:
            return None
        return client_problem(self.transport, client, self._tls.authorities, self._hub.tls.authorities)

    def _check_certificate(self, client: str) -> None:
        problem = self._certificate_problem(client)
        if problem is not None:
            raise AuthRejected("auth_failed", problem, RETRY_AFTER_AUTH)

    def _auth(self, payload: bytes, handshake: ServerHandshake) -> None:
        if self._door.refused:  # so that parallel guesses gain nothing over sequential ones
            self._door.turned_down()
            self._turn_out()
            return
        try:
            token = handshake.receive_auth(payload, exporter_binding(self.transport))
        except AuthRejected as refused:
            raise AuthRejected(refused.code, refused.reason, RETRY_AFTER_AUTH) from None
        self._deciding = True
        if token is not None:
            self._judging = Deferred.fromCoroutine(self._judge(handshake, token))
            self._judging.addErrback(self._failed)
            return
        hub, name = self._hub, handshake.hello.client
        found = hub.keyring.accept(name, handshake.key, hub.wall_clock())
        if found is None:
            raise AuthRejected("auth_failed", "the client name or the token is wrong", RETRY_AFTER_AUTH)
        self._door.proved()
        accepted, by = found
        guest = None if by is None else self._guest(handshake, accepted, by)
        joins = hub.identities.joins(name, handshake.key)
        deciding = self._enrol(handshake) if joins else self._decide(handshake, guest)
        Deferred.fromCoroutine(deciding).addErrback(self._failed)

    async def _enrol(self, handshake: ServerHandshake) -> None:
        try:
            token = await lasting_token(self._hub, handshake, encrypted=self._tls is not None)
        except AuthRejected as refused:
            error = Error(refused.code, refused.reason, RETRY_AFTER_AUTH)
        except RemoteProtocolError as refused:
            error = Error(refused.code, refused.reason, RETRY_AFTER_AUTH)
        else:
            if not self._over:
                self._over = True
                self._door.decided()
                Enrolment(self._hub, self._door, handshake, token).begin(self.transport)
            return
        if not self._over:
            self._refuse(error)

    async def _judge(self, handshake: ServerHandshake, token: str) -> None:
        """Let authenticators judge the token that the client has sent, unless its name belongs to an identity."""
        hub, name = self._hub, handshake.hello.client
        refusal = Error("auth_failed", "the client name or the token is wrong", RETRY_AFTER_AUTH)
        found = None
        if hub.logins is not None:
            host, patience = self._door.host, hub.config.handshake_timeout
            login = Login(name, token, str(plain_address(host) or host))
            self._asking = True
            try:
                # For an owned name nobody is asked, but it takes as long, so that timing does not reveal which exist.
                found = await hub.logins.judge(login, patience, ask=not hub.keyring.owned(name))
            except Unanswered:
                reason = "the server cannot have the token judged now; its log says more"
                refusal = Error("internal", reason, RETRY_AFTER_AUTH)
            except CancelledError:
                return
            self._asking = False
        if self._over:
            return
        if found is None:
            self._refuse(refusal)
            return
        self._door.proved()
        await self._decide(handshake, self._guest(handshake, *found))

    def _guest(self, handshake: ServerHandshake, accepted: Accepted, by: AuthenticatorConfig) -> Guest:
        until = None if accepted.seconds is None else self._hub.wall_clock() + accepted.seconds
        return Guest(handshake.key, accepted, by, until)

    async def _decide(self, handshake: ServerHandshake, guest: Guest | None = None) -> None:
        name, instance = handshake.hello.client, handshake.hello.instance or b""
        examines = (handshake.hello.agent or "").rpartition(" ")[2] == EXAMINES
        decision = await claim(
            self._hub, self._door, name, instance, self._number, lambda: self._over, rival=not examines
        )
        if self._over:
            return
        refused = refusal(decision, name)
        gone = self._shut_out(name, handshake.key, guest)  # may have been revoked while the old session was asked
        certificate = self._certificate_problem(name)  # and so may its certificate authority
        if gone is not None:
            self._refuse(Error("auth_failed", "the client name or the token is wrong", RETRY_AFTER_AUTH))
        elif certificate is not None:
            self._refuse(Error("auth_failed", certificate, RETRY_AFTER_AUTH))
        elif refused is not None and refused.code == "name_in_use" and examines:
            self._hub.tell_of(
                name, "examined", "gotunnel doctor at {address} verified that the login of client {client} works; "
                                  "that client is running and was not disturbed", address=self._door.address,
            )  # fmt: skip
            self._refuse(refused, said=True)
        elif refused is not None:
            self._refuse(refused)
        else:
            if guest is not None:
                self._hub.let_in(name, guest)
                self._door.accepted(name, guest.by.plugin, guest.accepted.who)
            self._establish(handshake, name, instance, decision)

    def _shut_out(self, name: str, key: bytes, guest: Guest | None) -> str | None:
        hub = self._hub
        if guest is None:
            return hub.shut_out(name, key)
        now = hub.wall_clock()
        if guest.by in hub.keyring.configs:
            found = hub.keyring.accept(name, key, now)
            still = found is not None and found[1] == guest.by
        else:
            still = hub.logins is not None and guest.by in hub.logins.configs and not hub.keyring.owned(name)
        return guest.shut(now) if still else "the authenticator that let it in is not configured any more"

    def _establish(self, handshake: ServerHandshake, name: str, instance: bytes, decision: Decision) -> None:
        hub, config = self._hub, self._hub.config
        session = ServerSession(
            hub, hub.peer(name), handshake.sid, handshake.key, handshake.ks, self._door.host, self._door.address
        )
        session.agent, session.caps = handshake.hello.agent, handshake.hello.caps
        if self._tls is not None and self._tls.asks_clients:
            session.shown = chain_shown(self.transport)
        messages = config.limits.messages
        burst = MESSAGE_SECONDS * messages + MESSAGES_PER_MAPPING * session.peer.rights.max_mappings
        control = ControlConnection(
            hub.clock, config.heartbeat, config.heartbeat_timeout, session.message, session.lost,
            RateLimit(messages, burst, hub.clock.seconds()),
        )  # fmt: skip
        session.control = control
        self._over = True
        self._door.leave()
        sni = None if self._tls is None else session.leg_sni
        payload = handshake.established(hub.limits_for(name), config.heartbeat, config.heartbeat_timeout, sni)
        self.transport.write(encode_frame(payload))
        hand_over(self.transport, control, b"")
        hub.begin(session, name, instance, self._number, decision)
