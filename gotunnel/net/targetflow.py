"""Dials a target of datagrams. Each flow has a socket of its own, so that an answer belongs to one visitor and the
target's system can report that nobody listens.

Datagram sockets have no connection, so a successful dial proves nothing. The flow's first datagrams show at which
address of a name somebody listens; its silence later calls for another look.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.defer import Deferred

from gotunnel.address import HostPort, is_ip
from gotunnel.core.dropped import Drop
from gotunnel.core.stream import PORT_UNREACHABLE
from gotunnel.errors import DialFailed, Sentence
from gotunnel.interfaces import ILocal
from gotunnel.net.lastanswer import LastAnswers
from gotunnel.net.resolve import resolve
from gotunnel.net.targetsocket import REFUSALS, no_way
from gotunnel.net.targetway import TargetWay
from gotunnel.net.udp import can_carry

__all__ = ["GRACE", "SILENCE", "dial_flow"]

GRACE = 5.0
"""Seconds that this end waits beyond the idle time: the opener should end an idle flow, and this is for one that never
does."""
SILENCE = 60.0
"""Seconds without an answer after which a flow that keeps sending checks whether its target's address still holds. The
name may have a new address, or this machine may, and no system reports that. Many services never answer, and should
still see the flow come from one port."""
_RENEWED = 1.0
"""Seconds between two attempts to find another way when the system reports that there is none."""


def dial_flow(
    reactor: Any, relay: Any, target: HostPort, timeout: float, idle: float, dropped: Callable[[Drop], None],
    answers: LastAnswers,
) -> ILocal | Deferred[ILocal]:  # fmt: skip
    """Dial a target of datagrams; the counterpart of `IRelay.dial`. `idle` is in seconds. May also raise DialFailed
    directly."""
    if not can_carry(relay, reactor):
        raise DialFailed("failed", Sentence("{target}: this relay carries no datagrams", target=target))
    if not relay.gate.has_room():
        relay.gate.say()
        raise DialFailed("no_fds", Sentence("{target}: out of file descriptors", target=target))

    def connect(hosts: Sequence[str]) -> ILocal:
        flow: ILocal = _Target(reactor, relay, tuple(hosts), target, timeout, idle, dropped, answers).flow
        return flow

    if is_ip(target.host):
        return connect((target.host,))
    return resolve(reactor, target.host, target.port, timeout).addCallback(connect)


class _Target:
    """The outlet of one flow. Raises DialFailed if no address of its target can be reached."""

    flow: Any

    def __init__(
        self, reactor: Any, relay: Any, hosts: tuple[str, ...], target: HostPort, timeout: float, idle: float,
        dropped: Callable[[Drop], None], answers: LastAnswers,
    ) -> None:  # fmt: skip
        self.dropped = dropped
        self._reactor = reactor
        self._target = target
        self._timeout = timeout
        self._answers = answers
        way = TargetWay(reactor, target, hosts, answers, self)
        self._way: TargetWay | None = way
        self._told = self._renewed = reactor.seconds()
        """When the way was last known to work, and when another one was last looked for."""
        self.flow = relay.flow(self, idle + GRACE, str(target), way.host, way.here, dropped, True)

    def send(self, datagram: bytes) -> None:
        """See Outlet."""
        assert self._way is not None
        if self._reactor.seconds() - self._told >= SILENCE:
            self._make_sure()
        try:
            try:
                self._way.send(datagram)
            except OSError as failed:
                if isinstance(failed, REFUSALS) or not no_way(failed) or not self._another_way():
                    raise
                self._way.send(datagram)
        except REFUSALS:
            self.flow.why = PORT_UNREACHABLE
            raise
        except OSError:
            self.dropped(Drop.UNSENT)

    def close(self) -> None:
        """See Outlet."""
        way, self._way = self._way, None
        if way is not None:
            way.close()

    # Traveller.

    def arrived(self, datagram: bytes) -> None:
        """See Traveller."""
        self._told = self._reactor.seconds()
        self.flow.arrived(datagram)

    def refused(self) -> None:
        """See Traveller."""
        self.flow.end(PORT_UNREACHABLE)

    def moved(self, host: str, here: str) -> None:
        """See Traveller."""
        self.flow.moved(host, here)

    # Checks of the way.

    def _make_sure(self) -> None:
        self._told = self._reactor.seconds()
        if is_ip(self._target.host):
            self._found((self._target.host,))
        else:
            self._answers.look(self._target, self._timeout, self._found)

    def _found(self, hosts: Sequence[str]) -> None:
        if self._way is not None:
            self._way.renew(hosts)

    def _another_way(self) -> bool:
        """Look for another way after the system reported that there is none: this machine may have a new address."""
        assert self._way is not None
        now = self._reactor.seconds()
        if now - self._renewed < _RENEWED:
            return False
        self._renewed = now
        return self._way.renew((self._way.host,))
