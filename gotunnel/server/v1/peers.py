"""Who of version 1 is connected, and who may come in: the token, the ports, and which older session stands in the way.
What a session says once it is there is its own business."""

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
"""Seconds within which the other end of an older session must acknowledge a byte to keep its port."""


class V1Refused(GotunnelError):
    """A first frame is refused. `code` is for our log and the penalties. `told` goes to the peer, who has no field for
    a code: the reason, behind its code if `coded`."""

    def __init__(self, code: str, reason: str, *, coded: bool = False) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason
        self.told = f"{code}: {reason}" if coded else reason


class V1Peers:
    """All of version 1 on one server. Its peers are apart from those of version 2: neither takes anything over from
    the other, and both claim their ports in the hub's one table."""

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
        """The configuration has changed. With another token all are cut; what may not be published any more closes."""
        before = self._digest
        self._set(config)
        if self._digest != before:
            self.go_away("its token is not valid any more")
        for peer in self.peers:
            peer.rights_changed()

    async def close(self) -> None:
        """Version 1 is off: cut all, and close their ports."""
        self.go_away("version 1 is off")
        for peer in self.peers:
            await peer.stop()

    def release(self) -> None:
        """The server is drained: let go of what is left."""
        self.relay.stop()

    def reset_streams(self, peer: V1Peer) -> None:
        """Cut the visitors of one mapping."""
        for session in tuple(self._present):
            if session.peer is peer:
                session.reset_streams(Outcome.STOPPED)

    # First frames.

    def check_token(self, token: str) -> None:
        """Return if this is our token. Raises V1Refused, in the words of the Go server."""
        # Of equal length whatever was sent, so that the time of the comparison tells nothing.
        if not hmac.compare_digest(_digest(token), self._digest):
            raise V1Refused("auth_failed", "authentication failed")

    async def register(self, request: Register, host: str, address: str) -> V1Session:
        """Open the port and return the session, which begins when its caller says so; the token is checked. Raises
        V1Refused."""
        if request.protocol != "tcp":
            raise V1Refused("bad_request", Sentence(
                "the protocol {protocol} is not supported", protocol=printable(request.protocol, 20)
            ))
        try:
            self.rights.check_port(self.hub.config.addr.host, request.remote_port)
        except PortUnavailable as refused:
            raise V1Refused(refused.code, refused.reason, coded=True) from None
        identity = (request.name, request.remote_port)
        await self._old_gives_way(identity, address)
        peer = self._peer(identity)
        session = V1Session(self, peer, request, host, address)
        self._current[identity] = session
        self._present.add(session)
        peer.begin(session)
        granted = False
        try:
            (result,) = await peer.published.register((MappingRequest(session.mapping, request.remote_port),), session)
            granted = result.status == "ok"
        finally:
            if not granted:  # by a fault of ours perhaps: a session that never begins must not hold the port for good
                session.dropped()
        if not granted:
            raise V1Refused(result.code or "", result.reason or "", coded=True)
        return session

    def leg(self, request: DataChannel, host: str) -> V1Leg:
        """Return the leg that this connection may be; the token is checked. Raises V1Refused."""
        session = self._current.get((request.name, request.remote_port))
        if session is None or session.local_port != request.local_port:
            raise V1Refused("no_session", "no control connection has registered this mapping")
        if session.host != host:
            # A leg has no id: without this whoever knows the token could wait for another client's visitors.
            raise V1Refused("wrong_address", "a data channel must come from the address of its control connection")
        if not session.wants_leg():
            raise V1Refused("no_session", "no visitor is waiting for a data channel")
        return V1Leg(session)

    def awaits(self, request: DataChannel, host: str) -> bool:
        """Whether a leg like this was asked for, its token aside."""
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
        """Nothing is held for this mapping any more."""
        if self._peers.get(peer.identity) is peer:
            del self._peers[peer.identity]

    # Sessions.

    def session_lost(self, session: V1Session) -> None:
        """It is over, as far as new visitors are concerned."""
        if self._current.get(session.identity) is session:
            del self._current[session.identity]
        session.peer.lost(session)

    def session_gone(self, session: V1Session) -> None:
        """Nothing is left of it."""
        self._present.discard(session)
        self.hub.changed()

    def legs_expected_from(self, host: str) -> int:
        """How many legs sessions at this address were asked for."""
        return sum(session.legs_expected for session in self._current.values() if session.host == host)

    # For who waits for the end.

    @property
    def peers(self) -> tuple[V1Peer, ...]:
        """All who hold a port or a visitor."""
        return tuple(self._peers.values())

    @property
    def present(self) -> tuple[V1Session, ...]:
        """Sessions with a control connection or a stream."""
        return tuple(self._present)

    @property
    def left(self) -> int:
        """Sessions with a control connection or a stream."""
        return len(self._present)

    def go_away(self, reason: str) -> None:
        """Cut what still streams, and end all control connections."""
        for session in tuple(self._present):
            session.reset_streams(Outcome.DRAINED)
            session.close(None, reason)


def _digest(token: str) -> bytes:
    # A lone surrogate cannot arrive: strict JSON has refused it.
    return hashlib.sha256(token.strip().encode()).digest()
