"""The client's side of its first exchanges with a server: the handshakes of a control connection and of a leg. Each is
a protocol that lives from connect to proof and is then replaced by another."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IDelayedCall, IHandshakeListener, IReactorTime
from twisted.internet.protocol import Protocol, connectionDone
from twisted.protocols.tls import TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from zope.interface import implementer

from gotunnel.errors import AuthRejected, GotunnelError, RemoteProtocolError, Sentence
from gotunnel.net.biotls import BioTls
from gotunnel.net.reasons import words_of
from gotunnel.net.tls import exporter_binding
from gotunnel.net.tlspeer import leg_binding, tls_words
from gotunnel.wire.frames import LIMIT_BEFORE_AUTH, FrameDecoder, encode_frame
from gotunnel.wire.handshake import ClientHandshake, Established, leg_client_mac, leg_server_mac, same
from gotunnel.wire.messages import Challenge, Error, Leg, LegOk, decode, encode

__all__ = ["ControlGreeting", "Greeted", "Greeting", "LegGreeting", "SessionKey"]

Purpose = Literal["reverse", "forward"]


@dataclass(frozen=True, slots=True)
class Greeted:
    """A connection whose two ends have proved themselves: its transport, and the bytes behind the last answer."""

    transport: Any
    leftover: bytes
    established: Established | None = None


UNHEARD = (
    "the server closed the connection without a word: it is busy, or it refuses this address for a while after "
    "failed logins, as its log says"
)


class Greeting(Protocol):
    """The common part: one request at a time, one deadline for all of it, and an end that is always reported."""

    transport: Any

    def __init__(self, clock: IReactorTime, timeout: float) -> None:
        self.done: Deferred[Greeted] = Deferred(self._cancelled)
        self._clock = clock
        self._timeout = timeout
        self._decoder = FrameDecoder(LIMIT_BEFORE_AUTH)
        self._timer: IDelayedCall | None = None
        self._over = False
        self._unheard = False  # whether a login got no answer at all

    def connectionMade(self) -> None:
        self._arm()
        self.transport.write(encode_frame(self._first()))

    def dataReceived(self, data: bytes) -> None:
        if self._over:
            return
        self._decoder.feed(data)
        try:
            payload = self._decoder.next_frame()
            if payload is not None:
                self._answer(payload)
        except GotunnelError as error:
            self._fail(error)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        words = tls_words(reason)
        if words is not None:
            self._fail(RemoteProtocolError(words, "tls"))
        elif isinstance(reason.value, GotunnelError):
            self._fail(reason.value)  # the certificate was refused
        elif self._unheard:
            self._fail(RemoteProtocolError(UNHEARD, "closed"))
        elif reason.check(ConnectionDone):
            self._fail(RemoteProtocolError("the server closed the connection during the handshake", "closed"))
        else:
            self._fail(RemoteProtocolError(Sentence(
                "the connection broke: {reason}", reason=words_of(reason.value)
            ), "closed"))

    def _first(self) -> bytes:
        raise NotImplementedError

    def _answer(self, payload: bytes) -> None:
        raise NotImplementedError

    def _arm(self) -> None:
        late = RemoteProtocolError(Sentence(
            "no answer within {timeout:g} s", timeout=self._timeout
        ), "timeout")
        self._timer = self._clock.callLater(self._timeout, self._fail, late)

    def _nothing_ahead(self) -> None:
        if self._decoder.buffered:
            raise RemoteProtocolError("the server sent more than it was asked")

    def _succeed(self, established: Established | None) -> None:
        self._stop()
        self.done.callback(Greeted(self.transport, self._decoder.take_leftover(), established))

    def _fail(self, error: GotunnelError) -> None:
        if not self._over:
            self._stop()
            self.transport.abortConnection()
            self.done.errback(Failure(error))

    def _cancelled(self, done: Deferred[Greeted]) -> None:
        self._stop()
        if self.transport is not None:
            self.transport.abortConnection()

    def _stop(self) -> None:
        self._over = True
        timer, self._timer = self._timer, None
        if timer is not None and timer.active():
            timer.cancel()


class ControlGreeting(Greeting):
    """hello → challenge → auth → auth_ok. `done` fires with a Greeted that has an `Established`, or fails with
    AuthRejected or RemoteProtocolError; the connection is then aborted.

    `judge(challenge)` is called before auth, when nothing has been proved yet. If it raises GotunnelError, the attempt
    ends before the server gets a proof of ours."""

    def __init__(
        self,
        clock: IReactorTime,
        timeout: float,
        handshake: ClientHandshake,
        judge: Callable[[Challenge], None] = lambda _: None,
    ) -> None:
        super().__init__(clock, timeout)
        self._judge = judge
        self._handshake = handshake
        self._challenged = False
        self._unheard = True

    def _first(self) -> bytes:
        return self._handshake.hello()

    def _answer(self, payload: bytes) -> None:
        if self._challenged:
            self._succeed(self._handshake.receive_auth_ok(payload))
            return
        self._challenged, self._unheard = True, False
        self._nothing_ahead()
        try:
            auth = self._handshake.receive_challenge(payload, exporter_binding(self.transport))
        except RemoteProtocolError:
            if not _is_version_1(payload):
                raise
            raise RemoteProtocolError(
                "the server speaks version 1 of the protocol, the Go gotunnel; move it to version 2, or set client.v1: "
                "true, and a token of its own for it",
                "version_1",
            ) from None
        self._judge(self._handshake.challenge)
        self.transport.write(encode_frame(auth))


@dataclass(frozen=True, slots=True)
class SessionKey:
    """The id and key of a session, with which a leg proves itself."""

    sid: bytes
    ks: bytes

    def __repr__(self) -> str:
        return f"SessionKey(sid={self.sid.hex()})"


@implementer(IHandshakeListener)
class LegGreeting(Greeting):
    """leg → leg_ok. `done` fires with the transport and the bytes behind the answer, or fails with AuthRejected or
    RemoteProtocolError."""

    def __init__(self, clock: IReactorTime, timeout: float, key: SessionKey, seq: int, purpose: Purpose) -> None:
        super().__init__(clock, timeout)
        self._key = key
        self._seq = seq
        self._purpose = purpose
        self._binding = b""

    def connectionMade(self) -> None:
        if isinstance(self.transport, (TLSMemoryBIOProtocol, BioTls)):
            # The certificate is known only after the TLS handshake, which begins now.
            self._arm()
        else:
            super().connectionMade()

    def handshakeCompleted(self) -> None:
        """Send the first frame after the TLS handshake; see IHandshakeListener."""
        self.transport.write(encode_frame(self._first()))

    def _first(self) -> bytes:
        key = self._key
        self._binding = leg_binding(self.transport)
        mac = leg_client_mac(key.ks, key.sid, self._seq, self._purpose, self._binding)
        return encode(Leg(key.sid, self._seq, self._purpose, mac))

    def _answer(self, payload: bytes) -> None:
        answer = decode(payload)
        if isinstance(answer, Error):
            raise AuthRejected(answer.code, answer.reason, answer.retry_after)
        if not isinstance(answer, LegOk):
            raise RemoteProtocolError(Sentence("expected leg_ok, got {name}", name=type(answer).__name__))
        key = self._key
        if not same(answer.mac, leg_server_mac(key.ks, key.sid, self._seq, self._purpose, self._binding)):
            raise AuthRejected("bad_server_mac", "the server did not prove itself on a leg; somebody may be in between")
        self._succeed(None)


def _is_version_1(payload: bytes) -> bool:
    """Return whether this is a Go server's answer to a hello: it takes it for a register with a wrong token."""
    from gotunnel.wire import v1  # imported late: only needed when the answer is not one of version 2

    try:
        return isinstance(v1.decode(payload), v1.Answer)
    except RemoteProtocolError:
        return False
