"""The groups of a server: several clients publish one port, and each visitor goes to the member with the fewest.

The port belongs to the group. Each client has a member port (see `memberport`), which takes part in it. What happens to
a single visitor is in `groupvisitor`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.internet.defer import DeferredLock

from gotunnel.core.outcome import Outcome
from gotunnel.core.passing import BLAMED, may_pass
from gotunnel.core.ports import canonical_bind
from gotunnel.core.rights import Rights
from gotunnel.core.roster import Roster
from gotunnel.core.stream import StreamEnd
from gotunnel.errors import PortUnavailable, Sentence
from gotunnel.interfaces import ILocal
from gotunnel.server.groupvisitor import GroupVisitor
from gotunnel.server.public import PublicPort

if TYPE_CHECKING:
    from gotunnel.server.hub import Hub
    from gotunnel.server.memberport import MemberPort

__all__ = ["Group", "Groups"]


class Groups:
    """All groups of one server, by name.

    `turn` must be held to open or close a port of a group: closing takes a turn of the reactor, and members of several
    peers do it.
    """

    def __init__(self, hub: Hub) -> None:
        self.turn = DeferredLock()
        self._hub = hub
        self._groups: dict[str, Group] = {}

    def __len__(self) -> int:
        return len(self._groups)

    async def join(self, member: MemberPort, rights: Rights) -> Group:
        """Add a member to its group, making the group if needed, and return the group.

        Raises PortUnavailable; nothing is held then.
        """
        group = self._groups.get(member.group_name)
        if group is None:
            group = Group(self._hub, member)
            group.listener.vet = self._hub.vetter(member.peer.name, member.name, member.bind)
            await group.listener.open(rights)
            self._groups[member.group_name] = group
        else:
            group.check_terms(member)
            rights.check_port(member.bind, group.listener.port)
            await _vetted(self._hub, member, group.listener.port)
            if not member.off:
                await group.listener.resume()
        group.roster.add(member)
        if member.off:
            await group.rest()
        return group

    async def leave(self, group: Group, member: MemberPort) -> None:
        """Remove a member. The port closes with the last one."""
        group.roster.remove(member)
        if len(group.roster):
            await group.rest()
        else:
            del self._groups[group.name]
            await group.listener.close()


class Group:
    """One group. It exists as long as it has members, including those whose client is away within its time of grace."""

    def __init__(self, hub: Hub, first: MemberPort) -> None:
        self.name = first.group_name
        self.roster: Roster[MemberPort] = Roster()
        self._hub = hub
        self.listener = PublicPort(
            self.name, first.bind, first.wanted, first.plain, hub.relay, hub.ports, self, self._arrived
        )
        self.listener.choose = hub.chooser(first.peer.name, self.name, first.bind)
        self.listener.fronts = hub.fronts

    def check_terms(self, member: MemberPort) -> None:
        """Check that a member requests the same terms as the group. Raises PortUnavailable (group_mismatch) if not."""
        listener = self.listener
        for what, theirs, ours in (
            ("address", member.bind, listener.bind), ("port", member.wanted, listener.wanted),
            ("encrypt", not member.plain, not listener.plain),
        ):  # fmt: skip
            if what == "address":
                theirs, ours = canonical_bind(str(theirs)), canonical_bind(str(ours))
            if theirs != ours:
                raise PortUnavailable("group_mismatch", Sentence(
                    "the other members of the group {group} ask for the {key} {ours}, and this one for {theirs}",
                    group=self.name, key=what, ours=_word(ours), theirs=_word(theirs),
                ))  # fmt: skip

    async def rest(self) -> None:
        """A member left or went down: stop listening unless another member is up."""
        if all(member.shut is not None for member in self.roster) and self.listener.is_open:
            await self.listener.suspend("all members are down")

    @property
    def members_up(self) -> int:
        """The number of members that can serve visitors, or could if their clients were connected."""
        return sum(member.up for member in self.roster)

    # Visitors.

    def _arrived(self, listener: PublicPort, local: ILocal) -> None:
        hub = self._hub
        first = next(iter(self.roster), None)
        if first is None:
            local.abort()
            return
        visitor = GroupVisitor(
            hub.next_conn(), first.name, first.plain, local, hub.clock.seconds(), first, first.peer, self
        )
        # If no member has room, let the limits of one decide, so that the log says which limit was reached.
        member = self._next(visitor, wait=True) or next((m for m in self.roster if m.up), first)
        self._assign(visitor, member)
        member.peer.let_in(visitor)

    def pass_on(self, visitor: GroupVisitor, outcome: Outcome, end: StreamEnd | None) -> bool:
        """A visitor's member does not serve it: pass it on to the next untried member. Returns whether there is one."""
        if visitor.served or visitor.local.gone or not may_pass(outcome, end):
            return False
        was, now = visitor.port, self._hub.clock.seconds()
        visitor.tried.add(was)
        if outcome in BLAMED:
            self.roster.failed(was, now)
        # A visitor that has waited in vain for a member that is away must not wait for another such member.
        member = self._next(visitor, wait=outcome is not Outcome.NO_LEG)
        if member is None:
            return False
        code = end.bracketed if end is not None else ""
        self._hub.say_of(
            was.peer.name, "group",
            "visitor {visitor} of group {group} moves from client {client} to {other}: {outcome}{code} ({conn})",
            visitor=visitor.local.address, group=self.name, other=member.peer.name, outcome=outcome.value, code=code,
            conn=visitor.conn,
        )  # fmt: skip
        self._move(visitor, member)
        return True

    def settle(self) -> None:
        """A member joined, left or changed: move visitors that wait at absent members to a member that serves now."""
        for member in self.roster:
            if member.present:
                continue
            waiting = member.peer.waiting[member.plain]
            for visitor in waiting.those_of(member.name):
                visitor.settles()

    def settle_one(self, visitor: GroupVisitor) -> bool:
        """Move a visitor of an absent member to a member that serves now. Returns whether it has moved."""
        other = None if visitor.port.present else self._next(visitor, wait=False)
        if other is not None:
            self._move(visitor, other)
        return other is not None

    def over(self, visitor: GroupVisitor) -> None:
        """Stop counting a visitor that has finished."""
        self.roster.gave(visitor.port)

    def _next(self, visitor: GroupVisitor, *, wait: bool) -> MemberPort | None:
        now, tried = self._hub.clock.seconds(), visitor.tried
        found = self.roster.choose(now, lambda member: member.present and member.has_room, tried)
        if found is None and wait:
            found = self.roster.choose(now, lambda member: member.up and member.has_room, tried)
        return found

    def _assign(self, visitor: GroupVisitor, member: MemberPort) -> None:
        visitor.port, visitor.peer, visitor.mapping = member, member.peer, member.name
        self.roster.took(member)

    def _move(self, visitor: GroupVisitor, member: MemberPort) -> None:
        self.roster.gave(visitor.port)
        visitor.peer.leaves(visitor)
        self._assign(visitor, member)
        self._hub.visitor_moved(visitor, member.peer)
        member.peer.take_over(visitor)


async def _vetted(hub: Hub, member: MemberPort, port: int) -> None:
    vet = hub.vetter(member.peer.name, member.name, member.bind)
    if vet is not None:
        await vet(port)


def _word(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value) or "all addresses"
