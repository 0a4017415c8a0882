"""A visitor of a group's port: he may be given from one member to the next until a target has answered him, since until
then nothing is read from him. Whom he goes to is decided in `groups`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gotunnel.core.outcome import Outcome
from gotunnel.core.stream import StreamEnd
from gotunnel.errors import Sentence
from gotunnel.server.public import PublicVisitor

if TYPE_CHECKING:
    from gotunnel.server.groups import Group, MemberPort

__all__ = ["GroupVisitor"]


@dataclass(slots=True, eq=False)
class GroupVisitor(PublicVisitor):
    """`port` and `peer` are those of the member that has him now, `tried` those that have failed him."""

    held: bool = field(init=False, default=True)
    port: MemberPort
    group: Group
    tried: set[MemberPort] = field(default_factory=set)
    served: bool = False
    """A target has answered: from now on his bytes travel, and he is given to nobody else."""

    @property
    def came_to(self) -> str:
        """See Visitor: the log is to say which member served him."""
        return Sentence(
            "{mapping} of client {peer} (group {group})",
            mapping=self.mapping, peer=self.peer.name, group=self.group.name,
        )

    def answered(self) -> None:
        """See Visitor."""
        self.served = True
        self.group.roster.forgive(self.port)

    def elsewhere(self, outcome: Outcome, end: StreamEnd | None) -> bool:
        """See Visitor."""
        return self.group.pass_on(self, outcome, end)

    def over(self, outcome: Outcome, end: StreamEnd | None) -> None:
        """See Visitor. His leg gave him back, when no target had answered."""
        self.group.over(self)
        if not self.served:
            self.local.abort()
