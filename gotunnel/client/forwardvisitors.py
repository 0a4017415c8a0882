"""Visitors of a client's own ports, and what their OPEN says."""

from __future__ import annotations

from dataclasses import dataclass

from twisted.internet.defer import Deferred

from gotunnel.address import HostPort, UnixPath
from gotunnel.core.outcome import Outcome
from gotunnel.core.stream import StreamEnd
from gotunnel.dialrules import MappingTarget
from gotunnel.errors import DialFailed
from gotunnel.net.egress import EgressRequest
from gotunnel.net.visitor import Visitor
from gotunnel.wire.legbodies import OpenBody

__all__ = ["EgressVisitor", "ForwardVisitor", "OwnVisitor"]


@dataclass(slots=True, eq=False)
class ForwardVisitor(Visitor):
    """One who came to a forward; `target` is seen from the server."""

    target: HostPort | UnixPath | MappingTarget

    def body(self) -> OpenBody:
        """See Visitor."""
        if isinstance(self.target, MappingTarget):
            return OpenBody(self.conn, self.local.address, mapping=self.target.mapping, client=self.target.client)
        return OpenBody(self.conn, self.local.address, dial=str(self.target))


@dataclass(slots=True, eq=False)
class OwnVisitor(ForwardVisitor):
    """One of ours: `met` fires when he has been led to the target, or fails with DialFailed."""

    met: Deferred[None]

    def answered(self) -> None:
        """See Visitor."""
        if not self.met.called:
            self.met.callback(None)

    def over(self, outcome: Outcome, end: StreamEnd | None) -> None:
        """See Visitor."""
        if not self.met.called:
            code = end.code if end is not None and end.code else outcome.value
            self.met.errback(DialFailed(code, f"not led to {self.target}: {code}"))


@dataclass(slots=True, eq=False)
class EgressVisitor(ForwardVisitor):
    """One who asked on the egress socket, and wants an answer ahead of the stream."""

    request: EgressRequest

    def answered(self) -> None:
        """See Visitor."""
        self.request.established()

    def over(self, outcome: Outcome, end: StreamEnd | None) -> None:
        """See Visitor."""
        self.request.ended(outcome, end)
