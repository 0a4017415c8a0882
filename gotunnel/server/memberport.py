"""The port of one client's mapping within a group: a member, which visitors of the group's port can be assigned to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gotunnel.core.rights import Rights
from gotunnel.errors import Sentence
from gotunnel.server.public import PublicPort

if TYPE_CHECKING:
    from gotunnel.server.groups import Group
    from gotunnel.server.hub import Hub
    from gotunnel.server.peer import Peer

__all__ = ["MemberPort"]


class MemberPort(PublicPort):
    """The port of one client's mapping within a group."""

    def __init__(self, name: str, group_name: str, bind: str, wanted: int, plain: bool, hub: Hub, peer: Peer) -> None:
        super().__init__(name, bind, wanted, plain, hub.relay, hub.ports, (peer.name, name), peer.arrived)
        self.group_name: str = group_name
        self.peer = peer
        self._groups = hub.groups
        self._group: Group | None = None
        self._leaving = False

    @property
    def where(self) -> str:
        """See PublicPort."""
        group = self._group
        if group is None:
            return str(self.address)
        return Sentence(
            "{address} (group {group}, {members_up} of {roster} up)",
            address=self.address, group=group.name, members_up=group.members_up, roster=len(group.roster),
        )

    @property
    def is_open(self) -> bool:
        """See PublicPort: whether visitors are assigned to this member."""
        return self.up

    @property
    def up(self) -> bool:
        """Whether its target is up, as far as known, and its client may publish it."""
        return self.shut is None and not self._leaving and self.permitted(self.peer.rights)

    @property
    def present(self) -> bool:
        """Whether it is up, and its client is connected and not draining."""
        session = self.peer.session
        return session is not None and not session.draining and self.up

    @property
    def has_room(self) -> bool:
        """Whether another visitor is within the limits of its client."""
        rights = self.peer.rights
        return self.peer.admitted < rights.max_visitors and self.peer.pending < rights.max_pending

    def check(self, rights: Rights) -> None:
        """See PublicPort: the group must be allowed, too."""
        rights.check_group(self.group_name)
        if self.port:
            super().check(rights)

    def check_wish(self, rights: Rights) -> None:
        """See PublicPort."""
        rights.check_group(self.group_name)
        super().check_wish(rights)

    def began(self) -> None:
        """See PublicPort: earlier failures are forgotten, and it may serve visitors that wait at other members."""
        if self._group is not None:
            self._group.roster.forgive(self)
            self._group.settle()

    def settle(self) -> None:
        """See PublicPort."""
        if self._group is not None:
            self._group.settle()

    async def open(self, rights: Rights) -> None:
        """See PublicPort: join the group, or create it."""
        async with self._groups.turn:
            self._group = await self._groups.join(self, rights)
        self.port = self._group.listener.port
        self._group.settle()

    async def resume(self) -> None:
        """See PublicPort."""
        async with self._groups.turn:
            if self._group is not None and not self.off:
                await self._group.listener.resume()
            self.suspended = self.stuck = None
        self.began()

    async def suspend(self, reason: str) -> None:
        """See PublicPort: the port stays open while another member is up."""
        self.suspended, self.stuck = reason, None
        await self._withdraw()

    async def _withdraw(self) -> None:
        """See PublicPort."""
        async with self._groups.turn:
            if self._group is not None:
                await self._group.rest()

    async def close(self) -> None:
        """See PublicPort: leave the group."""
        self._leaving = True
        async with self._groups.turn:
            if self._group is not None:
                await self._groups.leave(self._group, self)
