"""What the server keeps for one mapping of version 1 beyond a session.

It is a peer like those of version 2, with the rights and the relay of version 1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred

from gotunnel.core.rights import Rights
from gotunnel.interfaces import IRelay
from gotunnel.server.peer import Peer

if TYPE_CHECKING:
    from gotunnel.server.v1.peers import V1Peers

__all__ = ["Identity", "V1Peer"]

Identity = tuple[str, int]
"""The name and the remote port, by which two processes of the same Go client differ."""


class V1Peer(Peer):
    """The peer of one mapping. Its name contains a space, so it cannot collide with a name of version 2."""

    def __init__(self, peers: V1Peers, identity: Identity) -> None:
        super().__init__(peers.hub, f"{identity[0]} (version 1)")
        self.identity = identity
        self._peers = peers

    @property
    def client(self) -> str:
        """The client's own name, which other peers may share."""
        return self.identity[0]

    @property
    def rights(self) -> Rights:
        """The rights of version 1 clients."""
        return self._peers.rights

    @property
    def relay(self) -> IRelay:
        """The relay of version 1."""
        return self._peers.relay

    def rights_changed(self) -> None:
        """See Peer: keep or close the one mapping."""
        if self.session is not None:
            self.session.most_legs = self.rights.max_legs
        Deferred.fromCoroutine(self._close_denied()).addErrback(
            lambda failure: self.log.failure("closing the port of client {client} failed", failure, client=self.name)
        )

    async def _close_denied(self) -> None:
        if not all(mapping.permitted(self.rights) for mapping in self.mappings.values()):
            self._peers.reset_streams(self)
        await super()._close_denied()

    def _forget(self) -> None:
        self._peers.forget(self)
