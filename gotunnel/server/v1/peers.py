"""The clients of version 1: checks tokens and ports, and decides about older sessions for the same port.

What happens within a session is in `session`.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING

from gotunnel.config.model import V1ServerConfig
from gotunnel.core.outcome import Outcome
from gotunnel.core.ports import PortSet
from gotunnel.core.rights import Rights
from gotunnel.errors import GotunnelError, PortUnavailable, Sentence, printable
from gotunnel.server.v1.peer import Identity, V1Peer
from gotunnel.server.v1.session import V1Leg, V1Session
from gotunnel.wire.messages import MappingRequest
from gotunnel.wire.v1 import DataChannel, Register

if TYPE_CHECKING:
    from gotunnel.net.raw import RawRelay
    from gotunnel.server.hub import Hub

__all__ = ["V1Peers", "V1Refused"]

OLD_SESSION_ANSWERS = 2.0
"""Seconds within which the peer of an older session must acknowledge a byte to keep its port."""


class V1Refused(GotunnelError):
    """A first frame is refused. `code` is for our log and the penalties.

    `told` is sent to the peer, whose protocol has no field for a code: the reason, preceded by the code if `coded`.
    """

    def __init__(self, code: str, reason: str, *, coded: bool = False) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason
        self.told = f"{code}: {reason}" if coded else reason


class V1Peers:
    """All clients of version 1 on one server.

    Their peers are separate from those of version 2, and neither can take over from the other. Both claim their ports
    in the hub's port table.
    """

    def __init__(self, hub: Hub, config: V1ServerConfig, relay: RawRelay, reserved: frozenset[int]) -> None:
        """`reserved` are the server's own ports."""
        self.relay = relay
        self.hub = hub
        self._reserved = reserved
        self._set(config)
        self._peers: dict[Identity, V1Peer] = {}
        self._current: dict[Identity, V1Session] = {}
        self._present: set[V1Session] = set()  # with a control connection or a stream

    def _set(self, config: V1ServerConfig) -> None:
        assert config.token is not None
        limits = self.hub.config.limits
        self._digest = _digest(config.token.get_secret_value())
        self.rights = Rights(
            PortSet.parse(config.allow_ports), self._reserved, 1, limits.legs, limits.visitors, None, limits.pending
        )

    # Changes.

    def use(self, config: V1ServerConfig) -> None:
        """Apply a changed configuration. A new token disconnects all; ports that are no longer allowed are closed."""
        before = self._digest
        self._set(config)
        if self._digest != before:
            self.go_away("its token is not valid any more", Outcome.STOPPED)
        for peer in self.peers:
            peer.rights_changed()

    async def close(self) -> None:
        """Version 1 was switched off: disconnect all clients and close their ports."""
        self.go_away("version 1 is off", Outcome.STOPPED)
        for peer in self.peers:
            await peer.stop()

    def release(self) -> None:
        """Reset what is left after draining."""
        self.relay.stop()

    def reset_streams(self, peer: V1Peer) -> None:
        """Reset the visitors of one mapping."""
        for session in tuple(self._present):
            if session.peer is peer:
                session.reset_streams(Outcome.STOPPED)

    # First frames.

    def check_token(self, token: str) -> None:
        """Check the token. Raises V1Refused with the Go server's text if it is wrong."""
        # The digests have equal length whatever was sent, so that the comparison takes constant time.
        if not hmac.compare_digest(_digest(token), self._digest):
            raise V1Refused("auth_failed", "authentication failed")

    async def register(self, request: Register, host: str, address: str) -> V1Session:
        """Open the port and return the session, which begins when the caller says so. Raises V1Refused.

        The token must have been checked. It is checked again if the register had to wait for an older session.
        """
        if request.protocol != "tcp":
            raise V1Refused("bad_request", Sentence(
                "the protocol {protocol} is not supported", protocol=printable(request.protocol, 20)
            ))
        try:
            self.rights.check_port(self.hub.config.addr.host, request.remote_port)
        except PortUnavailable as refused:
            raise V1Refused(refused.code, refused.reason, coded=True) from None
        identity = (request.name, request.remote_port)
        if identity in self._current:
            await self._old_gives_way(identity, address)
            if self.hub.v1 is not self:
                raise V1Refused("going_away", "version 1 is off", coded=True)
            self.check_token(request.token)  # it may have been changed meanwhile
        peer = self._peer(identity)
        session = V1Session(self, peer, request, host, address)
        self._current[identity] = session
        self._present.add(session)
        peer.begin(session)
        granted = False
        try:
            (result,) = await peer.published.register((MappingRequest(session.mapping, request.remote_port),), session)
            if session.refused:
                await peer.published.unregister((session.mapping,), session)
                raise V1Refused("going_away", session.refused, coded=True)
            granted = result.status == "ok"
        finally:
            if not granted:  # also after an internal error: a session that never begins must not hold the port for good
                session.dropped()
        if not granted:
            raise V1Refused(result.code or "", result.reason or "", coded=True)
        return session

    def leg(self, request: DataChannel, host: str) -> V1Leg:
        """Return the leg for this connection. The token must have been checked. Raises V1Refused."""
        session = self._current.get((request.name, request.remote_port))
        if session is None or session.local_port != request.local_port:
            raise V1Refused("no_session", "no control connection has registered this mapping")
        if session.host != host:
            # Legs have no id: without this check, anyone with the token could receive another client's visitors.
            raise V1Refused("wrong_address", "a data channel must come from the address of its control connection")
        if not session.wants_leg():
            raise V1Refused("no_session", "no visitor is waiting for a data channel")
        return V1Leg(session)

    def awaits(self, request: DataChannel, host: str) -> bool:
        """Return whether a leg like this was requested; the token is not checked."""
        try:
            self.leg(request, host)
        except V1Refused:
            return False
        return True

    async def _old_gives_way(self, identity: Identity, address: str) -> None:
        while (old := self._current.get(identity)) is not None:
            if await old.answers(OLD_SESSION_ANSWERS):
                self.hub.say_of(
                    old.peer.name, "rival",
                    "another client of version 1 calls itself {client} and wants {mapping} too, from {address}, and "
                    "was refused; the one that has it is connected from {current}",
                    mapping=old.mapping, address=address, current=old.address,
                )  # fmt: skip
                raise V1Refused("port_in_use", Sentence(
                    "a running client has port {identity}", identity=identity[1]
                ), coded=True)
            old.give_way()

    def _peer(self, identity: Identity) -> V1Peer:
        peer = self._peers.get(identity)
        if peer is None:
            most = self.hub.config.limits.mappings
            if len(self._peers) >= most:
                raise V1Refused("limit", Sentence(
                    "clients of version 1 may publish {most} mappings together", most=most
                ), coded=True)
            peer = self._peers[identity] = V1Peer(self, identity)
        return peer

    def forget(self, peer: V1Peer) -> None:
        """Forget a peer for which nothing is held any more."""
        if self._peers.get(peer.identity) is peer:
            del self._peers[peer.identity]

    # Sessions.

    def session_lost(self, session: V1Session) -> None:
        """A session has ended for new visitors; its streams may continue."""
        if self._current.get(session.identity) is session:
            del self._current[session.identity]
        session.peer.lost(session)

    def session_gone(self, session: V1Session) -> None:
        """Forget a session of which nothing is left."""
        self._present.discard(session)
        self.hub.changed()

    def legs_expected_from(self, host: str) -> int:
        """The number of legs requested from sessions at this address."""
        return sum(session.legs_expected for session in self._current.values() if session.host == host)

    # For draining.

    @property
    def peers(self) -> tuple[V1Peer, ...]:
        """All peers that hold a port or a visitor."""
        return tuple(self._peers.values())

    @property
    def present(self) -> tuple[V1Session, ...]:
        """The sessions with a control connection or a stream."""
        return tuple(self._present)

    @property
    def left(self) -> int:
        """The number of sessions with a control connection or a stream."""
        return len(self._present)

    def go_away(self, reason: str, outcome: Outcome) -> None:
        """Reset all streams, and close all control connections. Sessions that are about to begin are refused."""
        for session in tuple(self._present):
            session.reset_streams(outcome)
            session.close(None, reason)


def _digest(token: str) -> bytes:
    # Encoding cannot fail: strict JSON has refused lone surrogates.
    return hashlib.sha256(token.strip().encode()).digest()
