"""A target of datagrams, dialled: a socket of its own for each flow, so that an answer belongs to one visitor and the
target's system can say that nobody listens. Datagrams know no connection: that one is dialled says nothing more."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.defer import Deferred

from gotunnel.address import HostPort, is_ip
from gotunnel.core.dropped import Drop
from gotunnel.core.stream import PORT_UNREACHABLE
from gotunnel.errors import DialFailed, Sentence
from gotunnel.interfaces import ILocal
from gotunnel.net.resolve import resolve
from gotunnel.net.udp import TargetSocket, can_carry

__all__ = ["GRACE", "dial_flow"]

GRACE = 5.0
"""Seconds that this end waits beyond the idle time: it is for the opener to say when a flow is quiet, and this is for
one who never does."""


def dial_flow(
    reactor: Any, relay: Any, target: HostPort, timeout: float, idle: float, dropped: Callable[[Drop], None]
) -> ILocal | Deferred[ILocal]:
    """Do for a target of datagrams what `IRelay.dial` does for others. Raises DialFailed, too."""
    if not can_carry(relay, reactor):
        raise DialFailed("failed", Sentence("{target}: this relay carries no datagrams", target=target))
    if not relay.gate.has_room():
        relay.gate.say()
        raise DialFailed("no_fds", Sentence("{target}: out of file descriptors", target=target))

    def connect(hosts: Sequence[str]) -> ILocal:
        for host in hosts[:-1]:
            try:
                return _Target(reactor, relay, host, target, idle, dropped).flow
            except DialFailed:
                continue  # no way to this one, as there is no IPv6 on many machines
        return _Target(reactor, relay, hosts[-1], target, idle, dropped).flow

    if is_ip(target.host):
        return connect((target.host,))
    return resolve(reactor, target.host, target.port, timeout).addCallback(connect)


class _Target:
    """The outlet of one flow."""

    flow: Any

    def __init__(
        self, reactor: Any, relay: Any, host: str, target: HostPort, idle: float, dropped: Callable[[Drop], None]
    ) -> None:
        self._dropped = dropped
        self._socket = TargetSocket(reactor, host, target.port, self._arrived, self._refused)
        self.flow = relay.flow(self, idle + GRACE, str(target), host, self._socket.here, dropped, True)

    def send(self, datagram: bytes) -> None:
        """See Outlet."""
        try:
            self._socket.send(datagram)
        except (ConnectionRefusedError, ConnectionResetError):
            self.flow.why = PORT_UNREACHABLE
            raise
        except OSError:
            self._dropped(Drop.UNSENT)

    def close(self) -> None:
        """See Outlet."""
        sock = self._socket
        del self._socket  # it calls this outlet, and each would keep the other until the garbage is collected
        sock.close()

    def _arrived(self, datagram: bytes) -> None:
        self.flow.arrived(datagram)

    def _refused(self) -> None:
        self.flow.end(PORT_UNREACHABLE)
