"""Requests of the egress socket that no client leads to, dialled by the server itself where its file says so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred

from gotunnel.core.outcome import WORDS, Outcome
from gotunnel.core.stream import StreamEnd
from gotunnel.errors import DialFailed
from gotunnel.logs import Logger
from gotunnel.net.egress import EgressRequest
from gotunnel.net.joint import Joint
from gotunnel.net.local import Local
from gotunnel.net.raw import RawRelay
from gotunnel.wire.legstate import End

if TYPE_CHECKING:
    from gotunnel.server.hub import Hub

__all__ = ["Direct"]

DIAL_TIMEOUT = 10.0
"""Seconds for a dial, as for those of clients."""


class Direct:
    """All of one server. What it streams is drained and counted like what runs on legs."""

    log = Logger()
    peer = None

    def __init__(self, hub: Hub, reactor: Any) -> None:
        self.streams: dict[Joint, None] = {}
        self._hub = hub
        self._relay = RawRelay(reactor)

    def serve(self, request: EgressRequest) -> None:
        """Dial, then answer."""
        dialled: Deferred[Local] = self._relay.dial(request.target, DIAL_TIMEOUT)
        dialled.addCallbacks(lambda far: self._join(request, far), lambda failure: self._failed(request, failure.value))
        dialled.addErrback(lambda failure: self.log.failure("dialling for the egress socket", failure))

    def reset_streams(self) -> None:
        """Cut what still streams."""
        for joint in tuple(self.streams):
            joint.reset(Outcome.DRAINED)

    def reset_denied(self) -> None:
        """No client's rights are asked here."""

    def stop(self) -> None:
        """Reset what still finishes by itself."""
        self._relay.stop()

    def _failed(self, request: EgressRequest, problem: Exception) -> None:
        code = problem.code if isinstance(problem, DialFailed) else "failed"
        target, reason = str(request.target), str(problem)
        self.log.warn("asked on the egress socket for {target}: {reason}", target=target, reason=reason)
        request.refuse(code, reason)

    def _join(self, request: EgressRequest, far: Local) -> None:
        try:
            sock = request.accept()
        except OSError:
            far.abort()
            request.refuse("no_fds", "the server is out of file descriptors")
            return
        near = self._relay.take(sock, "egress", "")
        request.established()
        started, target = self._hub.clock.seconds(), str(request.target)
        joint = self._relay.join(near, far, End.OPENER, None, lambda end: self._ended(joint, target, started, end))
        self.streams[joint] = None
        self._hub.streaming.add(self)
        self._hub.visitors_total += 1
        joint.begin(b"")

    def _ended(self, joint: Joint, target: str, started: float, end: StreamEnd) -> None:
        del self.streams[joint]
        # There is no leg: what a joint takes for one is the target.
        outcome = Outcome.RESET_BY_TARGET if end.outcome is Outcome.LEG_LOST else end.outcome
        self.log.info(
            "visitor {visitor} of {target} ended: {outcome}, {up} bytes up, {down} down, {seconds:.3f} s",
            visitor="egress", target=target, outcome=WORDS[outcome], up=end.up, down=end.down,
            seconds=self._hub.clock.seconds() - started,
        )  # fmt: skip
        self._hub.outcomes[outcome] += 1
        if not self.streams:
            self._hub.streaming.discard(self)
        self._hub.changed()
