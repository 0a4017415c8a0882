"""The portable relay: visitors, targets and legs on Twisted's transports. Works on any reactor and system."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

from twisted.internet import error
from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IAddress, IListeningPort, IReactorFDSet
from twisted.internet.protocol import ServerFactory
from zope.interface import implementer

from gotunnel.address import Address
from gotunnel.errors import DialFailed, Sentence
from gotunnel.interfaces import IDatagramRelay, ILegOwner, IRelay
from gotunnel.net.deadlines import Deadlines
from gotunnel.net.descriptors import Descriptors
from gotunnel.net.leg import PortableLeg
from gotunnel.net.listening import listen_failure
from gotunnel.net.local import Local
from gotunnel.net.pathwatch import LegTimes, PathWatch
from gotunnel.net.port import GatedPort
from gotunnel.net.quiet import OneProtocol
from gotunnel.net.target import dial_failed, target_endpoint
from gotunnel.net.transports import hand_over
from gotunnel.wire.legstate import End

__all__ = ["PortableRelay", "dial_failed", "target_endpoint"]

ACCEPTS_AT_ONCE = 64
"""Visitors accepted per event, so that a flood of new ones does not delay those being served."""


@implementer(IRelay, IDatagramRelay)
class PortableRelay:
    """See IRelay. One per process and role."""

    name = "portable"
    own_tls = False

    def __init__(
        self, reactor: Any, dial_timeout: float = 10.0, descriptors: Descriptors | None = None
    ) -> None:
        self._reactor = reactor
        self.gate = (descriptors or Descriptors(reactor)).visitors
        self._dial_timeout = dial_timeout
        self._watch = PathWatch(reactor)
        self._deadlines = Deadlines(reactor)
        self._locals: set[Local] = set()

    def time_legs(self, times: LegTimes | None) -> None:
        """Set the times after which silent legs are given up; see IRelay."""
        self._watch.times = times

    def listen(self, host: str, port: int, on_visitor: Callable[[Local], None], backlog: int = 1024) -> IListeningPort:
        """Listen for visitors; see IRelay."""
        visitors = _Visitors(self, on_visitor)
        try:
            if not IReactorFDSet.providedBy(self._reactor):
                # Windows' completion ports have no descriptors to wait for, and no limit that would need a reserve.
                accepting: IListeningPort = self._reactor.listenTCP(port, visitors, backlog=backlog, interface=host)
                return accepting
            listening = GatedPort(port, visitors, backlog, host, self._reactor, self.gate, ACCEPTS_AT_ONCE)
            listening.startListening()
        except error.CannotListenError as failed:
            raise listen_failure(host, port, failed.socketError) from None
        return listening

    def dial(self, target: Address, timeout: float) -> Deferred[Local]:
        """Connect to a target; see IRelay."""
        if not self.gate.has_room():
            self.gate.say()
            return fail(DialFailed("no_fds", Sentence("{target}: out of file descriptors", target=target)))
        dialled: Deferred[Any] = target_endpoint(self._reactor, target, timeout).connect(
            OneProtocol(lambda: Local(self.remember, self.forget))
        )
        # The endpoint's own timeout applies to each address of a name, and not to the lookup.
        dialled.addTimeout(timeout, self._reactor, lambda _cancelled, _seconds: _timed_out(target))
        return dialled.addErrback(dial_failed, target)

    def take(self, sock: socket.socket, address: str, host: str) -> Local:
        """Take over a socket; see IRelay."""
        local = Local(self.remember, self.forget, (address, host))
        try:
            self._reactor.adoptStreamConnection(sock.fileno(), sock.family, OneProtocol(lambda: local))
        finally:
            sock.close()  # Twisted has duplicated the descriptor
        return local

    def flow(self, *arguments: Any) -> Any:
        """Make a flow; see IDatagramRelay."""
        from gotunnel.net.portableflow import PortableFlow  # imported late: few processes use datagrams

        return PortableFlow(self._reactor, *arguments)

    def leg(self, transport: Any, leftover: bytes, end: End, owner: ILegOwner, plain: bool) -> PortableLeg:
        """Take over an authenticated connection; see IRelay."""
        leg = PortableLeg(
            self._reactor, self._watch, self._deadlines, end, owner, plain, self._dial_timeout
        )
        hand_over(transport, leg, b"")
        leg.begin(leftover)
        return leg

    @property
    def locals(self) -> int:
        """The number of open connections of visitors and targets; see IRelay."""
        return len(self._locals)

    def stop(self) -> None:
        """Reset the connections that are still finishing; see IRelay."""
        self._watch.stop()
        self._deadlines.stop_all()
        for local in tuple(self._locals):
            local.abort()

    def remember(self, local: Local) -> None:
        """Register a connection that was made."""
        self._locals.add(local)
        self._watch.add(local)

    def forget(self, local: Local) -> None:
        """Forget a connection that has closed."""
        self._locals.discard(local)
        self._watch.remove(local)


class _Visitors(ServerFactory):
    """Makes a Local for each visitor of one port."""

    noisy = False

    def __init__(self, relay: PortableRelay, on_visitor: Callable[[Local], None]) -> None:
        self._relay = relay
        self._on_visitor = on_visitor

    def buildProtocol(self, addr: IAddress | None) -> Local:
        return Local(self._made, self._relay.forget)

    def _made(self, local: Local) -> None:
        self._relay.remember(local)
        self._on_visitor(local)


def _timed_out(target: Address) -> Any:
    raise DialFailed("timeout", Sentence("{target}: no answer in time", target=target))
