"""Serves requests of the egress socket for which no client announces the node: the server dials, if configured to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from gotunnel.core.accounts import Account
from gotunnel.core.outcome import WORDS, Outcome
from gotunnel.core.stream import StreamEnd
from gotunnel.errors import DialFailed, printable
from gotunnel.logs import Logger
from gotunnel.net.egress import EgressRequest
from gotunnel.net.joint import Joint
from gotunnel.net.local import Local
from gotunnel.net.raw import RawRelay
from gotunnel.net.warnings import Warnings
from gotunnel.wire.legstate import End

if TYPE_CHECKING:
    from gotunnel.server.hub import Hub

__all__ = ["Direct", "DirectVisitor"]

DIAL_TIMEOUT = 10.0
"""Seconds for a dial, as for clients."""
EGRESS = "egress"
"""The mapping under which these visitors are counted, without a client: their targets are chosen by whoever asks."""


@dataclass(slots=True, eq=False)
class DirectVisitor:
    """One visitor: its id in the log, its request, when it came, and its account."""

    conn: str
    request: EgressRequest
    target: str
    began: float
    account: Account
    given_up: Outcome | None = None
    """Its outcome if its dial was cancelled."""


class Direct:
    """All direct visitors of one server. They are drained and counted like those on legs."""

    log = Logger()
    peer = None

    def __init__(self, hub: Hub, reactor: Any) -> None:
        self.streams: dict[Joint, DirectVisitor] = {}
        """Established streams."""
        self.dialling: dict[Deferred[Local], DirectVisitor] = {}
        """Pending dials."""
        self._warnings = Warnings(self.log, hub.clock)
        self._hub = hub
        self._relay = RawRelay(reactor)

    def serve(self, request: EgressRequest) -> None:
        """Dial the target, then answer the request."""
        hub = self._hub
        if hub.live >= hub.most_visitors:
            request.refuse("limit")
            return
        conn, account = hub.next_conn(), hub.usage.began("", EGRESS)
        visitor = DirectVisitor(conn, request, str(request.target), hub.clock.seconds(), account)
        if hub.usage.observers is not None:
            hub.usage.observers.opened(request, conn, "", visitor.target, "egress")
        hub.streaming.add(self)
        dialling: Deferred[Local] = self._relay.dial(request.target, DIAL_TIMEOUT)
        self.dialling[dialling] = visitor
        dialling.addBoth(self._dialled, dialling)
        done = dialling.addCallbacks(
            lambda far: self._join(visitor, far), lambda failure: self._failed(visitor, failure)
        )
        done.addErrback(lambda failure: self.log.failure("dialling for the egress socket failed", failure))

    def reset_streams(self) -> None:
        """Reset all streams and pending dials."""
        for dialling, visitor in tuple(self.dialling.items()):
            visitor.given_up = Outcome.DRAINED
            dialling.cancel()
        for joint in tuple(self.streams):
            joint.reset(Outcome.DRAINED)

    def kick(self, conn: str) -> bool:
        """Reset the visitor with this id; return False if there is none."""
        for dialling, visitor in tuple(self.dialling.items()):
            if visitor.conn == conn:
                visitor.given_up = Outcome.STOPPED
                dialling.cancel()
                return True
        for joint, visitor in tuple(self.streams.items()):
            if visitor.conn == conn:
                joint.reset(Outcome.STOPPED)
                return True
        return False

    def reset_denied(self) -> None:
        """Do nothing: no client's rights apply here."""

    def stop(self) -> None:
        """Reset what remains after draining."""
        self._relay.stop()

    def _dialled(self, result: object, dialling: Deferred[Local]) -> object:
        visitor = self.dialling.pop(dialling)
        if not isinstance(result, Failure):
            self._hub.usage.dial.observe(self._hub.clock.seconds() - visitor.began)
        return result

    def _failed(self, visitor: DirectVisitor, failure: Failure) -> None:
        if visitor.given_up is Outcome.STOPPED:
            visitor.request.refuse("failed", "ended by an operator")
            self._over(visitor, Outcome.STOPPED)
            return
        problem = failure.value
        failed = problem if isinstance(problem, DialFailed) else DialFailed("going_away", "the server stops")
        self._warnings.warn(
            "dial", "asked on the egress socket for {target}: {reason}",
            target=visitor.target, reason=printable(failed.reason, 256),
        )  # fmt: skip
        visitor.request.refuse(failed.code)
        self._over(visitor, visitor.given_up or Outcome.REFUSED)

    def _join(self, visitor: DirectVisitor, far: Local) -> None:
        near = visitor.request.accept(self._relay)
        if near is None:
            far.abort()
            self._over(visitor, Outcome.REFUSED)
            return
        assert isinstance(near, Local)
        visitor.request.established()
        joint = self._relay.join(near, far, End.OPENER, None, lambda end: self._ended(joint, end))
        self.streams[joint] = visitor
        joint.begin(b"")

    def _ended(self, joint: Joint, end: StreamEnd) -> None:
        visitor = self.streams.pop(joint)
        # There is no leg: the joint treats the target as one.
        outcome = Outcome.RESET_BY_TARGET if end.outcome is Outcome.LEG_LOST else end.outcome
        now = self._hub.clock.seconds()
        if self._hub.usage.crowds.has_line(now, visitor.target, outcome, end):
            self.log.info(
                "visitor {visitor} of {target} ended: {outcome}, {up} bytes up, {down} down, {seconds:.3f} s ({conn})",
                visitor="egress", target=visitor.target, outcome=WORDS[outcome], up=end.up, down=end.down,
                seconds=now - visitor.began, conn=visitor.conn,
            )  # fmt: skip
        self._over(visitor, outcome, end)

    def _over(self, visitor: DirectVisitor, outcome: Outcome, end: StreamEnd | None = None) -> None:
        self._hub.usage.ended(visitor.account, outcome, end)
        if self._hub.usage.observers is not None:
            self._hub.usage.observers.closed(visitor.request, outcome, end)
        if not self.streams and not self.dialling:
            self._hub.streaming.discard(self)
        self._hub.changed()
