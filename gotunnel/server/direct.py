"""Requests of the egress socket that no client leads to, dialled by the server itself where its file says so."""

from __future__ import annotations

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

__all__ = ["Direct"]

DIAL_TIMEOUT = 10.0
"""Seconds for a dial, as for those of clients."""
EGRESS = "egress"
"""What is counted under this name, of no client: those who ask choose the targets."""


class Direct:
    """All of one server. What it streams is drained and counted like what runs on legs."""

    log = Logger()
    peer = None

    def __init__(self, hub: Hub, reactor: Any) -> None:
        self.streams: dict[Joint, tuple[str, float, Account]] = {}
        """What streams: its target, since when, and what it is counted on."""
        self.dialling: dict[Deferred[Local], tuple[str, float]] = {}
        """The same of what is being dialled."""
        self._warnings = Warnings(self.log, hub.clock)
        self._hub = hub
        self._relay = RawRelay(reactor)

    def serve(self, request: EgressRequest) -> None:
        """Dial, then answer."""
        hub = self._hub
        if hub.live >= hub.most_visitors:
            request.refuse("limit")
            return
        account = hub.usage.began("", EGRESS)
        if hub.usage.observers is not None:
            hub.usage.observers.opened(request, "", "", str(request.target), "egress")
        hub.streaming.add(self)
        dialling: Deferred[Local] = self._relay.dial(request.target, DIAL_TIMEOUT)
        self.dialling[dialling] = str(request.target), hub.clock.seconds()
        dialling.addBoth(self._dialled, dialling)
        done = dialling.addCallbacks(
            lambda far: self._join(request, far, account),
            lambda failure: self._failed(request, failure, account),
        )
        done.addErrback(lambda failure: self.log.failure("dialling for the egress socket", failure))

    def reset_streams(self) -> None:
        """Cut what still streams, and what is being dialled."""
        for dialling in tuple(self.dialling):
            dialling.cancel()
        for joint in tuple(self.streams):
            joint.reset(Outcome.DRAINED)

    def reset_denied(self) -> None:
        """No client's rights are asked here."""

    def stop(self) -> None:
        """Reset what still finishes by itself."""
        self._relay.stop()

    def _dialled(self, result: object, dialling: Deferred[Local]) -> object:
        _, began = self.dialling.pop(dialling)
        if not isinstance(result, Failure):
            self._hub.usage.dial.observe(self._hub.clock.seconds() - began)
        return result

    def _failed(self, request: EgressRequest, failure: Failure, account: Account) -> None:
        problem = failure.value
        failed = problem if isinstance(problem, DialFailed) else DialFailed("going_away", "the server stops")
        self._warnings.warn(
            "dial", "asked on the egress socket for {target}: {reason}",
            target=str(request.target), reason=printable(failed.reason, 256),
        )  # fmt: skip
        request.refuse(failed.code)
        self._over(request, account, Outcome.REFUSED)

    def _join(self, request: EgressRequest, far: Local, account: Account) -> None:
        near = request.accept(self._relay)
        if near is None:
            far.abort()
            self._over(request, account, Outcome.REFUSED)
            return
        assert isinstance(near, Local)
        request.established()
        started, target = self._hub.clock.seconds(), str(request.target)
        joint = self._relay.join(near, far, End.OPENER, None, lambda end: self._ended(joint, request, end))
        self.streams[joint] = target, started, account
        joint.begin(b"")

    def _ended(self, joint: Joint, request: EgressRequest, end: StreamEnd) -> None:
        target, started, account = self.streams.pop(joint)
        # There is no leg: what a joint takes for one is the target.
        outcome = Outcome.RESET_BY_TARGET if end.outcome is Outcome.LEG_LOST else end.outcome
        now = self._hub.clock.seconds()
        if self._hub.usage.crowds.has_line(now, target, outcome, end):
            self.log.info(
                "visitor {visitor} of {target} ended: {outcome}, {up} bytes up, {down} down, {seconds:.3f} s",
                visitor="egress", target=target, outcome=WORDS[outcome], up=end.up, down=end.down,
                seconds=now - started,
            )  # fmt: skip
        self._over(request, account, outcome, end)

    def _over(
        self, request: EgressRequest, account: Account, outcome: Outcome, end: StreamEnd | None = None
    ) -> None:
        self._hub.usage.ended(account, outcome, end)
        if self._hub.usage.observers is not None:
            self._hub.usage.observers.closed(request, outcome, end)
        if not self.streams and not self.dialling:
            self._hub.streaming.discard(self)
        self._hub.changed()
