"""One authenticated session of a client: the messages on its control connection, and its end.

Requests are handled in `requests` and legs in `legs`. Public ports and waiting visitors outlive a session and belong to
its peer.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from cryptography import x509

from gotunnel.errors import RemoteProtocolError, Sentence, printable
from gotunnel.logs import Logger
from gotunnel.net.control import ControlConnection
from gotunnel.server.cures import cut_cure
from gotunnel.server.legs import SessionLegs
from gotunnel.server.origins import LEG_SNI
from gotunnel.server.peer import Peer
from gotunnel.server.requests import Requests
from gotunnel.wire.greeting import MAPPING_STATE
from gotunnel.wire.messages import (
    Drain,
    DrainOk,
    Error,
    LegsFailed,
    MappingState,
    Message,
    NeedLegs,
    Nodes,
    Register,
    Unregister,
)
from gotunnel.wire.replay import SeqWindow

if TYPE_CHECKING:
    from gotunnel.server.hub import Hub

__all__ = ["ServerSession"]

LEGS_PER_REQUEST = 4096
"""The most legs that one need_legs message can request."""


class ServerSession(SessionLegs):
    """A session begins with `auth_ok`. It ends with its control connection, or when a successor takes over.

    Streams that are running then continue, and keep this object alive.
    """

    log = Logger()

    def __init__(self, hub: Hub, peer: Peer, sid: bytes, proven: bytes, ks: bytes, host: str, address: str) -> None:
        super().__init__(hub, peer, sid, ks, address)
        self.proven = proven
        """The key that the client has proved: the session may stay as long as this key is valid."""
        self.came_by = ""
        """The authenticator that admitted the client; empty for the server itself."""
        self.agent: str | None = None
        """How the client's program identifies itself."""
        self.began = hub.clock.seconds()
        self.caps: tuple[str, ...] = ()
        """The client's capabilities."""
        self.shown: tuple[x509.Certificate, ...] = ()
        """The client's certificate and its chain, if client certificates are required."""
        self.host = host
        self.leg_sni = ".".join(filter(None, (secrets.token_hex(8), hub.config.leg_name, LEG_SNI)))
        self.seqs = SeqWindow()
        self.control: ControlConnection
        self._lost = False
        self._asked_to_drain = False
        self._agreed = False
        self._leaving = False
        self._requests = Requests(self, hub.clock)

    def __repr__(self) -> str:
        return f"<session {self.sid.hex()[:8]} of {self.peer.name}>"

    # The control connection.

    def message(self, message: Message) -> None:
        """Handle a message. Raises RemoteProtocolError for one that a client must not send."""
        act = _MESSAGES.get(type(message))
        if act is None:
            raise RemoteProtocolError(Sentence(
                "a client does not send {name} here", name=type(message).__name__
            ))
        act(self, message)

    def lost(self, reason: str) -> None:
        """The control connection has closed."""
        if not self.over:
            self._hub.tell_of(
                self.peer.name, "lost", "client {client} lost ({address}): {reason}",
                address=self.address, reason=printable(reason),
            )  # fmt: skip
        self._lost = True
        self._hub.session_lost(self)
        self._end()
        self.peer.lost(self)
        self.legs_gone()

    def rival(self, address: str) -> None:
        """Another running client has tried to use the same name and was refused: log it."""
        self._hub.say_of(
            self.peer.name, "rival",
            "another running client calls itself {client}, from {address}, and was refused; this one is connected from "
            "{current}: give each client a name of its own",
            address=address, current=self.address,
        )  # fmt: skip

    def replaced(self) -> None:
        """A successor has taken over: end this session without touching what the peer holds."""
        self._end()
        self.control.close(Error("going_away", "another session of this client has taken over"), "replaced")

    def expel(self, reason: str, *, certificate: bool = False) -> None:
        """Disconnect a client that may no longer stay, with all its streams.

        `reason` appears in the logs of both ends; `certificate` says whether it concerns the client's certificate.
        """
        if not self._lost:
            self.log.warn(
                "client {client} was disconnected ({address}): {reason}{hint}",
                client=self.peer.name, address=self.address, reason=reason, hint=cut_cure(self.came_by, certificate),
            )  # fmt: skip
        self._hub.session_lost(self)
        self._end()
        self.drop_legs()
        self.peer.lost(self)
        self.control.close(Error("auth_failed", Sentence("this client may not stay: {reason}", reason=reason)), reason)

    def close(self, error: Error | None, reason: str) -> None:
        """End the session from our side."""
        self.control.close(error, reason)

    def ask_to_drain(self, seconds: float) -> None:
        """Inform the client that this server is about to stop. Until `leave` it still provides legs for visitors."""
        self._asked_to_drain = True
        self.control.send(Drain(int(seconds * 1000)))

    def leave(self, seconds: float) -> None:
        """Open nothing more, and end the session once the client has agreed to do the same.

        Running streams need no control connection, and the client can connect elsewhere, or to our successor, at once.
        """
        if not self._asked_to_drain:
            self.ask_to_drain(seconds)
        self.open_no_more()
        self._leaving = True
        self._part()

    def go_away(self) -> None:
        """End the session because this server stops."""
        self.close(Error("going_away", "the server stops"), "the server stops")

    def _part(self) -> None:
        # On an idle forward leg an OPEN may still be on its way. The client closes the other legs by itself.
        if self._leaving and self._agreed and self.forward.all_busy:
            self.go_away()

    def _forward_changed(self) -> None:
        super()._forward_changed()
        self._part()

    def tell_shut(self, mapping: str, reason: str | None) -> None:
        """See PeerSession. Sent only if the client knows the message; others would treat it as a protocol error."""
        if MAPPING_STATE in self.caps and not self._lost:
            self.control.send(MappingState(mapping, "up" if reason is None else "down", reason or ""))

    def need_legs(self, plain: bool, count: int) -> None:
        """See SessionLegs."""
        while count:
            self.control.send(NeedLegs(plain, min(count, LEGS_PER_REQUEST)))
            count -= min(count, LEGS_PER_REQUEST)

    def legs_gone(self) -> None:
        """See SessionLegs."""
        if self._lost and self.without_legs:
            self._hub.session_gone(self)

    def _end(self) -> None:
        self._requests.clear()
        self.end_legs()

    # Messages.

    def _on_request(self, request: Message) -> None:
        self._requests.take(request)

    def _on_legs_failed(self, message: LegsFailed) -> None:
        if message.count <= self.legs_expected:
            self.control.asked_for()
        self._hub.say_of(
            self.peer.name, "legs", "client {client} cannot bring {count} legs: {reason}",
            count=message.count, reason=printable(message.reason),
        )  # fmt: skip
        self.legs_failed(message.plain, message.count)
        self.peer.pass_on()

    def _on_drain(self, message: Drain) -> None:
        """The client is about to stop: open nothing more. Visitors wait for its successor."""
        self._hub.session_draining(self)
        self.open_no_more()
        self.peer.settle()
        self.control.send(DrainOk())

    def _on_drain_ok(self, message: DrainOk) -> None:
        if not self._asked_to_drain:
            raise RemoteProtocolError("drain_ok without a drain")
        self._agreed = True
        self._part()

    def _on_error(self, message: Error) -> None:
        """Nothing to do: `lost` will report the error."""


_MESSAGES: dict[type[Any], Callable[[ServerSession, Any], None]] = {
    Register: ServerSession._on_request,
    Unregister: ServerSession._on_request,
    Nodes: ServerSession._on_request,
    MappingState: ServerSession._on_request,
    LegsFailed: ServerSession._on_legs_failed,
    Drain: ServerSession._on_drain,
    DrainOk: ServerSession._on_drain_ok,
    Error: ServerSession._on_error,
}
