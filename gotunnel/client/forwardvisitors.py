"""Visitors of a client's own ports, and what their OPEN says."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred

from gotunnel.address import HostPort, UnixPath
from gotunnel.core.outcome import Outcome
from gotunnel.core.stream import StreamEnd
from gotunnel.dialrules import MappingTarget
from gotunnel.errors import DialFailed, Sentence
from gotunnel.net.visitor import Visitor
from gotunnel.wire.legbodies import OpenBody

if TYPE_CHECKING:
    from gotunnel.client.openers import Opener, Openers
    from gotunnel.net.egress import EgressRequest

__all__ = ["EgressVisitor", "ForwardVisitor", "OwnVisitor"]


@dataclass(slots=True, eq=False)
class ForwardVisitor(Visitor):
    """One who came to a forward; `target` is seen from the server. `openers` know who may serve him."""

    target: HostPort | UnixPath | MappingTarget
    openers: Openers
    opener: Opener | None = field(init=False, default=None)
    """The session that has him."""
    tried: set[Opener] = field(init=False, default_factory=set)
    """Those that have failed him."""
    served: bool = field(init=False, default=False)
    """A target has answered: from now on his bytes travel, and he is given to nobody else."""

    def body(self) -> OpenBody:
        """See Visitor."""
        if isinstance(self.target, MappingTarget):
            return OpenBody(self.conn, self.local.address, mapping=self.target.mapping, client=self.target.client)
        return OpenBody(self.conn, self.local.address, dial=str(self.target))

    def answered(self) -> None:
        """See Visitor."""
        self.served = True
        self.openers.answered(self)

    def elsewhere(self, outcome: Outcome, end: StreamEnd | None) -> bool:
        """See Visitor."""
        return self.openers.pass_on(self, outcome, end)

    def over(self, outcome: Outcome, end: StreamEnd | None) -> None:
        """See Visitor. Where his leg gave him back there is nobody else to reset him."""
        self.openers.passed.discard(self)
        if self.held and not self.served:
            self.local.abort()


@dataclass(slots=True, eq=False)
class OwnVisitor(ForwardVisitor):
    """One of ours: `met` fires when he has been led to the target, or fails with DialFailed."""

    met: Deferred[None]

    def answered(self) -> None:
        """See Visitor."""
        ForwardVisitor.answered(self)
        if not self.met.called:
            self.met.callback(None)

    def over(self, outcome: Outcome, end: StreamEnd | None) -> None:
        """See Visitor."""
        ForwardVisitor.over(self, outcome, end)
        if not self.met.called:
            code = end.code if end is not None and end.code else outcome.value
            self.met.errback(DialFailed(code, Sentence(
                "{target} was not reached: {code}", target=self.target, code=code
            )))


@dataclass(slots=True, eq=False)
class EgressVisitor(ForwardVisitor):
    """One who asked on the egress socket, and wants an answer ahead of the stream."""

    request: EgressRequest

    def answered(self) -> None:
        """See Visitor."""
        ForwardVisitor.answered(self)
        self.request.established()

    def over(self, outcome: Outcome, end: StreamEnd | None) -> None:
        """See Visitor."""
        self.request.ended(outcome, end)
        ForwardVisitor.over(self, outcome, end)
