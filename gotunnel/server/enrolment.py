"""The server's side of exchanging a one-time token for a lasting one, up to the end of the connection.

An enrolling client publishes nothing and replaces no session. Until the end, it counts as unauthenticated at the door.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.python.failure import Failure

from gotunnel.config import tokens
from gotunnel.config.identitychange import ClientRefused, begun, enrolled
from gotunnel.errors import AuthRejected, ConfigError, RemoteProtocolError, Sentence, printable
from gotunnel.logs import Logger
from gotunnel.net.control import ControlConnection
from gotunnel.net.transports import hand_over
from gotunnel.wire.frames import encode_frame
from gotunnel.wire.handshake import ServerHandshake, derive_key
from gotunnel.wire.messages import ENROL, Enrol, Enrolled, Error, Message, encode

if TYPE_CHECKING:
    from gotunnel.server.hub import Hub
    from gotunnel.server.reception import Door

__all__ = ["Enrolment", "lasting_token"]

TIME = 10.0
"""Seconds that a client has to store its token."""

_NOT_VALID = "the client name or the token is wrong"

log = Logger()


async def lasting_token(hub: Hub, handshake: ServerHandshake, *, encrypted: bool) -> str:
    """Create and return the lasting token for a client that proved its one-time token.

    Its key is stored first, so that the token is valid before it is sent. Raises AuthRejected or RemoteProtocolError
    with the error for the client.
    """
    name = handshake.hello.client
    if ENROL not in handshake.hello.caps:
        raise AuthRejected(
            "enrol_required", "this token can be used once, by `gotunnel join`, which gets a lasting one"
        )
    if not encrypted:
        raise RemoteProtocolError("a token is exchanged inside TLS only", "tls_required")
    token = tokens.new_token()
    try:
        await hub.change_clients(begun(name, handshake.key, derive_key(token, name)))
    except ClientRefused:
        raise AuthRejected("auth_failed", _NOT_VALID) from None
    except ConfigError as failed:
        _not_stored(name, failed)
        raise RemoteProtocolError("the server cannot store the token; its log says more", "internal") from None
    return token


class Enrolment:
    """Owns an enrolling client's control connection from `auth_ok` on. `handshake` has proved its one-time token."""

    def __init__(self, hub: Hub, door: Door, handshake: ServerHandshake, token: str) -> None:
        config = hub.config
        self._control = ControlConnection(
            hub.clock, config.heartbeat, config.heartbeat_timeout, self._message, self._lost
        )
        self._hub = hub
        self._door = door
        self._handshake = handshake
        self._token = token
        self._name = handshake.hello.client
        self._stored = False  # whether the client says that it has stored its token
        self._storing = False  # whether the clients file is being changed after that
        self._joined = False
        self._left = False
        self._late: IDelayedCall = hub.clock.callLater(TIME, self._too_late)

    def begin(self, transport: Any) -> None:
        """Send auth_ok with the lasting token, and take over the transport."""
        log.info("client {client} joins from {address}", client=self._name, address=self._door.address)
        config, limits = self._hub.config, self._hub.limits_for(self._name)
        transport.write(
            encode_frame(self._handshake.established(limits, config.heartbeat, config.heartbeat_timeout))
            + encode_frame(encode(Enrol(self._token)))
        )
        hand_over(transport, self._control, b"")

    def _message(self, message: Message) -> None:
        if isinstance(message, Error):
            return  # logged by `_lost`
        if not isinstance(message, Enrolled) or self._stored:
            raise RemoteProtocolError(Sentence(
                "a client that joins does not send {name} here", name=type(message).__name__
            ))
        self._stored = self._storing = True
        self._late.cancel()  # the rest of the time is ours
        Deferred.fromCoroutine(self._confirm()).addErrback(self._failed)

    def _lost(self, reason: str) -> None:
        if self._late.active():
            self._late.cancel()
        self._door.leave()
        self._left = True
        if not self._storing and not self._joined:
            self._not_joined(reason)

    def _not_joined(self, reason: str) -> None:
        valid = self._hub.shut_out(self._name, self._handshake.key) is None
        log.warn(
            "client {client} has not joined ({address}): {reason}; its one-time token {state}",
            client=self._name, address=self._door.address, reason=printable(reason),
            state="is still valid" if valid else "is not valid any more",
        )  # fmt: skip

    async def _confirm(self) -> None:
        try:
            await self._hub.change_clients(enrolled(self._name, derive_key(self._token, self._name)))
        except ClientRefused:
            self._end(Error("auth_failed", _NOT_VALID), "it was changed meanwhile")
        except ConfigError as failed:
            _not_stored(self._name, failed)
            error = Error("internal", "the server cannot store the token; its log says more")
            self._end(error, "the clients file cannot be changed")
        else:
            self._joined = True
            log.info(
                "client {client} has joined from {address}: its one-time token is used up",
                client=self._name, address=self._door.address,
            )  # fmt: skip
            self._control.send(Enrolled())
            self._control.close(None, "joined")

    def _end(self, error: Error | None, reason: str) -> None:
        """The token is not stored. Tell the client so, or without an error cut it, unless it has left meanwhile."""
        self._storing = False
        if self._left:
            self._not_joined(reason)
        elif error is None:
            self._control.abort(reason)
        else:
            self._control.close(error, reason)

    def _too_late(self) -> None:
        self._control.close(Error("protocol_error", Sentence(
            "no enrolled within {time:g} s", time=TIME
        )), "it was too slow")

    def _failed(self, failure: Failure) -> None:
        log.failure("enrolling client {client} failed", failure, client=self._name)
        self._end(None, "internal error")


def _not_stored(name: str, failed: ConfigError) -> None:
    log.error(
        "the lasting token of client {client} cannot be stored: {problem}",
        client=name, problem=printable(failed.problems[0], 600),
    )  # fmt: skip
