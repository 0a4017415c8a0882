"""The visitors of a client's own ports, and the contents of their OPENs."""

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
    """A visitor of a forward. `target` is as seen from the server. `openers` are the sessions that may serve it."""

    target: HostPort | UnixPath | MappingTarget
    openers: Openers
    opener: Opener | None = field(init=False, default=None)
    """The session that serves it."""
    tried: set[Opener] = field(init=False, default_factory=set)
    """The sessions that have failed to serve it."""
    served: bool = field(init=False, default=False)
    """Whether its target has answered: from now on its bytes are sent, and no other session can serve it."""

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
        """See Visitor. Resets a visitor that was given back by its leg, since nothing else would."""
        self.openers.passed.discard(self)
        if self.held and not self.served:
            self.local.abort()


@dataclass(slots=True, eq=False)
class OwnVisitor(ForwardVisitor):
    """A probe. `met` fires when it has reached the target, or fails with DialFailed."""

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
    """A visitor of the egress socket, which gets an answer before the stream."""

    request: EgressRequest

    def answered(self) -> None:
        """See Visitor."""
        ForwardVisitor.answered(self)
        self.request.established()

    def over(self, outcome: Outcome, end: StreamEnd | None) -> None:
        """See Visitor."""
        self.request.ended(outcome, end)
        ForwardVisitor.over(self, outcome, end)
