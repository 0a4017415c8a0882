"""A visitor of a group's port. It can be passed from member to member until a target has answered.

This is possible because nothing is read from it before that. `groups` decides which member it goes to.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gotunnel.core.outcome import Outcome
from gotunnel.core.stream import StreamEnd
from gotunnel.errors import Sentence
from gotunnel.server.public import PublicVisitor

if TYPE_CHECKING:
    from gotunnel.server.groups import Group
    from gotunnel.server.memberport import MemberPort

__all__ = ["GroupVisitor"]


@dataclass(slots=True, eq=False)
class GroupVisitor(PublicVisitor):
    """`port` and `peer` are those of the member that has the visitor now; `tried` are members that failed it."""

    held: bool = field(init=False, default=True)
    port: MemberPort
    group: Group
    tried: set[MemberPort] = field(default_factory=set)
    served: bool = False
    """Whether a target has answered. From then on its bytes are forwarded, and it cannot be passed on."""

    @property
    def came_to(self) -> str:
        """See Visitor: so that the log says which member served it."""
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

    def settles(self) -> bool:
        """See Visitor."""
        return self.group.settle_one(self)

    def over(self, outcome: Outcome, end: StreamEnd | None) -> None:
        """See Visitor. Before a target has answered, the leg hands the visitor's connection back, so close it here."""
        self.group.over(self)
        if not self.served:
            self.local.abort()
