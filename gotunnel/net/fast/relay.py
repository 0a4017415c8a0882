"""The fast relay: accepts visitors, dials targets and takes over legs on its own descriptors (Linux)."""

from __future__ import annotations

import socket
from collections.abc import Callable
from functools import partial
from socket import SocketType
from typing import Any

from twisted.internet.defer import Deferred
from twisted.protocols.tls import TLSMemoryBIOProtocol
from zope.interface import implementer

from gotunnel.address import Address, HostPort
from gotunnel.interfaces import IDatagramRelay, ILegOwner, IRelay
from gotunnel.net.biotls import BioTls
from gotunnel.net.descriptors import Descriptors, Gate
from gotunnel.net.fast.bridgedleg import BridgedLeg
from gotunnel.net.fast.dial import Candidate, Dial, Place, begin, literal, resolved
from gotunnel.net.fast.leg import FastLeg
from gotunnel.net.fast.listener import Listener, welcome
from gotunnel.net.fast.local import FastLocal
from gotunnel.net.fast.plainleg import PlainFastLeg
from gotunnel.net.fast.poller import Poller, ReactorPoller
from gotunnel.net.fast.reactor import PumpReactor
from gotunnel.net.fast.slottedlocal import SlottedLocal
from gotunnel.net.fast.tlsleg import TlsFastLeg
from gotunnel.net.fast.tools import Tools
from gotunnel.net.pathwatch import LegTimes, PathWatch
from gotunnel.net.sockets import accept, linger_reset, set_keepalive, set_nodelay
from gotunnel.wire.legstate import End

__all__ = ["FastRelay"]


@implementer(IRelay, IDatagramRelay)
class FastRelay:
    """See IRelay. One per process and role."""

    name = "fast"
    own_tls = True

    make_local: Callable[[SocketType, str, str, Tools, set[FastLocal]], FastLocal] = SlottedLocal
    plain_leg: type[PlainFastLeg] = PlainFastLeg
    tls_leg: type[TlsFastLeg] = TlsFastLeg

    def __init__(
        self, reactor: Any, dial_timeout: float = 10.0, descriptors: Descriptors | None = None
    ) -> None:
        self._reactor = reactor
        self.has_loop = isinstance(reactor, PumpReactor)
        poller: Poller = reactor.pump if isinstance(reactor, PumpReactor) else ReactorPoller(reactor)
        self._tools = Tools(reactor, poller, PathWatch(reactor), dial_timeout, descriptors)
        self._gate = self._tools.descriptors.visitors
        self._locals: set[FastLocal] = set()
        self._place: Place | None = None  # of the last dial

    @property
    def gate(self) -> Gate:
        """See IRelay."""
        return self._gate

    def time_legs(self, times: LegTimes | None) -> None:
        """Set the times after which silent legs are given up; see IRelay."""
        self._tools.watch.times = times

    def listen(self, host: str, port: int, on_visitor: Callable[[FastLocal], None], backlog: int = 1024) -> Listener:
        """Listen for visitors; see IRelay."""
        return Listener(self._tools.poller, self._gate, host, port, backlog, self._welcoming(on_visitor))

    def dial(self, target: Address, timeout: float) -> FastLocal | Deferred[FastLocal]:
        """Connect to a target; see IRelay."""
        place = self._place
        if place is None or place.target is not target:  # mostly it is the same target as before
            place = self._place = literal(target)
        return self._dial_place(place, timeout) if place.candidates else self._dial_name(place, timeout)

    def take(self, sock: socket.socket, address: str, host: str) -> FastLocal:
        """Take over a socket; see IRelay."""
        linger_reset(sock)
        if sock.family != socket.AF_UNIX:
            set_nodelay(sock)
            set_keepalive(sock)
        local = self._made(sock, host, address)
        local.watch_for_loss()
        return local

    def flow(self, *arguments: Any) -> Any:
        """Make a flow; see IDatagramRelay."""
        from gotunnel.net.fast.flow import FastFlow  # imported late: few processes use datagrams

        return FastFlow(self._reactor, *arguments)

    def leg(self, transport: Any, leftover: bytes, end: End, owner: ILegOwner, plain: bool) -> FastLeg:
        """Take over an authenticated connection; see IRelay."""
        leg: FastLeg
        if isinstance(transport, BioTls):
            leg = self.tls_leg(self._tools, transport, end, owner, plain)
        elif isinstance(transport, TLSMemoryBIOProtocol):
            leg = BridgedLeg(self._tools, transport, end, owner, plain)
        else:
            leg = self.plain_leg(self._tools, transport, end, owner, plain)
        leg.begin(leftover)
        return leg

    @property
    def locals(self) -> int:
        """The number of open connections of visitors and targets; see IRelay."""
        return len(self._locals)

    def stop(self) -> None:
        """Reset the connections that are still finishing; see IRelay."""
        for local in tuple(self._locals):
            local.abort()
        self._tools.stop()

    def _welcoming(self, on_visitor: Callable[[FastLocal], None]) -> Callable[[Listener, int], None]:
        """Return the function that accepts the visitors of a port."""
        return partial(welcome, self._gate, on_visitor, self._accept)

    def _accept(self, listening: SocketType, family: int) -> FastLocal:
        """Accept a visitor. Raises OSError."""
        sock, peer = accept(listening, family)
        sock.setblocking(False)
        host = peer[0].removeprefix("::ffff:")  # an IPv4 visitor on a socket for both families
        return self._made(sock, host, f"[{host}]:{peer[1]}" if ":" in host else f"{host}:{peer[1]}")

    def _made(self, sock: SocketType, host: str, address: str) -> FastLocal:
        local = self.make_local(sock, address, host, self._tools, self._locals)
        self._locals.add(local)
        return local

    def _dial_place(self, place: Place, timeout: float) -> FastLocal | Deferred[FastLocal]:
        sock, error = begin(place.candidates[0], self._gate)
        if sock is not None and not error:
            return self._made(sock, place.host, place.text)
        return Dial(self._reactor, self._tools, place, self._made, sock, error).start(timeout)

    def _dial_name(self, place: Place, timeout: float) -> Deferred[FastLocal]:
        assert isinstance(place.target, HostPort)
        until = self._reactor.seconds() + timeout

        def found(candidates: tuple[Candidate, ...]) -> Any:
            return self._dial_place(place._replace(candidates=candidates), max(0.0, until - self._reactor.seconds()))

        return resolved(self._reactor, place.target, timeout).addCallback(found)
