"""The server's side of both handshakes, on a connection whose first byte has arrived: a client, a leg, or version 1.

Limits and the deadline are enforced by the door.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.protocol import connectionDone
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

from gotunnel.core.penalties import Offence
from gotunnel.errors import AuthRejected, RemoteProtocolError, printable
from gotunnel.net.framed import send_and_close
from gotunnel.net.tls import ServerTls, is_tls_failure
from gotunnel.net.tlspeer import client_refusal
from gotunnel.server.clientlogin import ClientLogin
from gotunnel.server.cures import refusal_cure
from gotunnel.server.legadmission import admitted, spend, take
from gotunnel.wire import strictjson, v1
from gotunnel.wire.frames import LIMIT_BEFORE_AUTH, FrameDecoder, encode_frame
from gotunnel.wire.messages import Error, Leg, decode_object, encode

if TYPE_CHECKING:
    from gotunnel.server.hub import Hub
    from gotunnel.server.reception import Door

__all__ = ["ServerGreeting"]

V1_PAUSE = 2.0
"""Seconds before a Go client receives the refusal of a wrong token. It retries 3 s later, which is slow enough for its
penalty to expire in between. So a forgotten client does not get other clients at its address refused."""

COSTS = {
    "auth_failed": Offence.AUTH_FAILURE, "protocol_error": Offence.NO_AUTH, "bad_json": Offence.NO_AUTH
}  # fmt: skip
"""The offence charged for a refusal, by its code. All other codes are free: a wrong mode or version, a name in use or a
finished session are not attempts to break in."""


class ServerGreeting(ClientLogin):
    """Exists from the first byte until `auth_ok`, `leg_ok` or the close."""

    def __init__(self, hub: Hub, door: Door, tls: ServerTls | None) -> None:
        super().__init__(hub, door, tls)
        self._decoder = FrameDecoder(LIMIT_BEFORE_AUTH)
        self._version = 2
        self._closing: IDelayedCall | None = None
        self._pause: Deferred[None] | None = None

    def dataReceived(self, data: bytes) -> None:
        """Process bytes of the one frame that is due."""
        if self._over:
            return
        self._decoder.feed(data)
        try:
            if self._deciding:
                raise RemoteProtocolError("bytes came ahead of an answer")
            payload = self._decoder.next_frame()
            if payload is not None:
                self._receive(payload)
        except AuthRejected as refused:
            self._refuse(Error(refused.code, refused.reason, refused.retry_after))
        except RemoteProtocolError as breach:
            self._refuse(Error(breach.code, breach.reason))

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Clean up. Disconnecting is not charged, except after a TLS failure or while authenticators are asked."""
        if not self._over and is_tls_failure(reason):
            self._door.charge(Offence.NO_AUTH)
            problem = client_refusal(self.transport, reason)
            if problem is not None:
                self._door.say("certificate", "{address} was refused: {problem}", problem=printable(problem, 256))
        self._over = True
        if self._asking and self._judging is not None:
            # Authenticators are being asked for this client: connecting and leaving must not load them free of charge.
            self._door.charge(Offence.NO_AUTH)
            self._judging.cancel()
        self._door.leave()
        if self._pause is not None:
            self._pause.cancel()
        if self._closing is not None and self._closing.active():
            self._closing.cancel()

    def _receive(self, payload: bytes) -> None:
        if self._handshake is not None:
            self._nothing_ahead()
            self._auth(payload, self._handshake)
            return
        found = strictjson.loads(payload)
        kind = found.get("type")  # any JSON value
        if isinstance(kind, str) and kind in v1.FIRST_TYPES:
            self._version = 1  # so that errors from here on are sent in the form of version 1
        self._nothing_ahead()
        if self._version == 1:
            self._deciding = True
            Deferred.fromCoroutine(self._greet_v1(found)).addErrback(self._failed)
        elif kind == "hello":
            self._hello(payload)
        elif kind == "leg":
            message = decode_object(found)
            assert isinstance(message, Leg)
            self._leg(message)
        else:
            raise RemoteProtocolError("a connection begins with hello or leg")

    def _nothing_ahead(self) -> None:
        if self._decoder.buffered:
            raise RemoteProtocolError("bytes came ahead of an answer")

    # Legs.

    def _leg(self, leg: Leg) -> None:
        session, answer = admitted(self._hub, self._tls, leg)
        self._check_certificate(session.peer.name)
        spend(session, leg)
        self._over = True
        self._door.leave()
        self.transport.write(encode_frame(encode(answer)))
        plain = self._hub.tls is not None and self._tls is None
        take(self._hub, session, leg, self.transport, plain=plain)

    # Version 1.

    async def _greet_v1(self, found: dict[str, object]) -> None:
        if self._hub.v1 is None:
            self._door.say(
                "v1", "{address} speaks version 1 of the protocol (the Go gotunnel), which is off: refused (set "
                      "server.v1.enabled: true to allow it)",
            )  # fmt: skip
            self._close(v1.encode(v1.Answer("fail", "version 1 is not enabled on this server")))
            return
        # Imported only by servers that accept version 1.
        from gotunnel.server.v1.greeting import admit
        from gotunnel.server.v1.peers import V1Refused

        try:
            taken = await admit(self._hub.v1, found, self._door, encrypted=self._tls is not None)
        except V1Refused as refused:
            if refused.code == "auth_failed" and not self._over:
                self._door.charge(COSTS[refused.code])
                self._pause = deferLater(self._hub.clock, min(V1_PAUSE, self._hub.config.handshake_timeout / 2))
                try:
                    await self._pause
                except CancelledError:
                    return
            if not self._over:
                self._refuse(
                    Error(refused.code, refused.reason), charged=refused.code == "auth_failed", told=refused.told
                )
            return
        if self._over:
            taken.dropped()
            return
        self._over = True
        self._door.leave()
        self.transport.write(encode_frame(v1.encode(v1.Answer("ok"))))
        taken.begin(self.transport)

    # Refusals.

    def _turn_out(self) -> None:
        self._over = True
        self._door.turn_out()

    def _refuse(self, error: Error, *, charged: bool = False, said: bool = False, told: str | None = None) -> None:
        self._hub.usage.refused[error.code] += 1
        if error.code in COSTS and not charged:
            self._door.charge(COSTS[error.code])
        if error.code != "no_session" and not said:
            self._door.say(
                f"refused {error.code}", "{address} was refused: {code}: {reason}{hint}",
                code=printable(error.code), reason=printable(error.reason),
                hint=refusal_cure(error.code, error.reason),
            )  # fmt: skip
        self._close(v1.encode(v1.Answer("fail", told or error.reason)) if self._version == 1 else encode(error))

    def _close(self, payload: bytes) -> None:
        self._over = True
        self._door.decided()
        self._closing = send_and_close(self.transport, self._hub.clock, payload)

    def _failed(self, failure: Failure) -> None:
        self._door.log_failure(failure)
        self._over = True
        self.transport.abortConnection()
