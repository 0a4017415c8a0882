"""What the relay contract stands on: a leg over real loopback sockets with an owner at both ends, visitors and targets
as plain blocking sockets, and an account of what the reactor still holds. It tests nothing by itself."""

from __future__ import annotations

import hashlib
import os
import select
import socket
import struct
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from twisted.internet import defer, reactor, task
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IHostnameResolver
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.threads import deferToThread
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure
from zope.interface import implementer

from gotunnel.address import Address, HostPort
from gotunnel.core.stream import StreamEnd
from gotunnel.errors import DialFailed
from gotunnel.interfaces import ILeg, ILegOwner, ILocal, IRelay
from gotunnel.net.biotls import BioTls
from gotunnel.net.legtls import client_leg_tls, server_leg_context
from gotunnel.net.tls import OWN_FILE, client_creator, own_server_tls
from gotunnel.net.transports import hand_over, raw_socket, unsent_bytes
from gotunnel.wire.legbodies import OpenBody
from gotunnel.wire.legs import LegDecoder, LegFrame
from gotunnel.wire.legstate import End, State

__all__ = [
    "Link",
    "Lone",
    "NoNames",
    "Owner",
    "RawPeer",
    "Stream",
    "abort",
    "clock",
    "connected_pair",
    "digest_of",
    "echo",
    "holdings",
    "is_stuck",
    "push",
    "read_all",
    "until",
    "was_reset",
]

DEADLINE = 15.0
"""Seconds after which a wait fails; far more than is needed, for a machine that is busy."""
clock: Any = reactor


async def until(condition: Callable[[], object], what: str) -> None:
    """Wait until something is so."""
    end = clock.seconds() + DEADLINE
    while not condition():
        if clock.seconds() > end:
            raise AssertionError(f"waited in vain until {what}")
        await task.deferLater(clock, 0.002)


def holdings() -> tuple[set[Any], set[Any], set[Any]]:
    """Return what the reactor holds now: readers, writers, timers."""
    return set(clock.getReaders()), set(clock.getWriters()), set(clock.getDelayedCalls())


class Ready(Protocol):
    """One end of a new connection: says a byte, and is ready when it has heard one."""

    def __init__(self) -> None:
        self.ready: Deferred[Any] = Deferred()

    def connectionMade(self) -> None:
        self.transport.write(b"!")

    def dataReceived(self, data: bytes) -> None:
        self.ready.callback(self.transport)


async def connected_pair(state: Path | None, own_tls: tuple[bool, bool] = (False, False)) -> tuple[Any, Any]:
    """Return two ends of a new loopback connection, the accepting one first; with a state folder, inside TLS:
    Twisted's, or where `own_tls` says so that of net.biotls."""
    ends = Ready(), Ready()
    accepting, connecting = (_Once(end) for end in ends)
    if state is not None:
        accepting = TLSMemoryBIOFactory(own_server_tls(state).creator, False, accepting, clock)
        connecting = TLSMemoryBIOFactory(client_creator(None, "server"), True, connecting, clock)
        if own_tls[0]:
            context = server_leg_context(state / OWN_FILE, state / OWN_FILE)
            accepting = _Once(BioTls(context, ends[0], server_side=True))
        if own_tls[1]:
            connecting = _Once(BioTls(client_leg_tls(None, "server").context, ends[1], server_side=False))
    port = clock.listenTCP(0, accepting, interface="127.0.0.1")
    clock.connectTCP("127.0.0.1", port.getHost().port, connecting)
    try:
        first, second = await defer.gatherResults([end.ready for end in ends])
    finally:
        await port.stopListening()
    return first, second


class _Once(Factory):
    noisy = False

    def __init__(self, protocol: Protocol) -> None:
        self._protocol = protocol

    def buildProtocol(self, addr: Any) -> Protocol:
        return self._protocol

    # What a client connector says to its factory.

    def startedConnecting(self, connector: Any) -> None: ...
    def clientConnectionLost(self, connector: Any, reason: Failure) -> None: ...


@implementer(ILegOwner)
class Owner:
    """The session that a leg belongs to, at either end. It dials unless told to hold."""

    def __init__(self, relay: IRelay) -> None:
        self.relay = relay
        self.leg: Any = None
        self.target: Address = HostPort("127.0.0.1", 0)
        self.hold = False
        self.held = False
        self.awaited = False
        self.begins = b""
        self.says = b""
        self.serving: Any = None
        self.waiting: deque[ILocal] = deque()
        self.bodies: list[bytes] = []
        self.ends: list[StreamEnd] = []
        self.events: list[str] = []
        self.first_bytes = 0
        self.lost: list[str] = []
        self._dial: Deferred[Any] | None = None

    def arrived(self, local: ILocal) -> None:
        """A visitor is here."""
        self.waiting.append(local)
        self._serve()

    def _serve(self) -> None:
        if self.waiting and self.leg.state is State.IDLE:
            local = self.waiting.popleft()
            self.serving = local
            body = OpenBody(f"c{self.leg.opens}", local.address, mapping="m").encode()
            self.leg.open(local, body, self.held, self.says)

    def dial(self) -> None:
        """Dial the target for the leg."""
        self._dial = defer.maybeDeferred(self.relay.dial, self.target, 5.0)
        self._dial.addCallbacks(self._answered, self._refused)

    def _answered(self, local: ILocal) -> None:
        if self.begins:
            local.begin_with(self.begins)
        self.leg.accept(local, self.awaited)

    def _refused(self, failure: Failure) -> None:
        failure.trap(DialFailed)
        if self.leg.state is State.DIALLING:
            self.leg.refuse(failure.value.code)

    # What the leg says.

    def leg_open(self, leg: ILeg, body: bytes) -> None:
        self.events.append("open")
        self.bodies.append(body)
        if not self.hold:
            self.dial()

    def leg_answered(self, leg: ILeg) -> None:
        self.events.append("answered")

    def leg_first_byte(self, leg: ILeg) -> None:
        self.first_bytes += 1

    def leg_probed(self, leg: ILeg) -> None:
        self.events.append("probed")
        self._serve()

    def leg_abandoned(self, leg: ILeg) -> None:
        self.events.append("abandoned")
        if self._dial is not None:
            self._dial.cancel()

    def leg_ended(self, leg: ILeg, end: StreamEnd) -> None:
        self.events.append("ended")
        self.ends.append(end)

    def leg_idle(self, leg: ILeg) -> None:
        self.events.append("idle")
        self._serve()

    def leg_lost(self, leg: ILeg, reason: str) -> None:
        self.events.append("lost")
        self.lost.append(reason)


class RawPeer(Protocol):
    """The other end of a leg, without any manners: sends what it is told to, and keeps what it gets."""

    def __init__(self) -> None:
        self.frames: list[tuple[LegFrame, bytes]] = []
        self.lost: Failure | None = None
        self.blocked = False
        self._decoder = LegDecoder()

    def connectionMade(self) -> None:
        self.transport.registerProducer(self, True)

    def pauseProducing(self) -> None:
        self.blocked = True

    def resumeProducing(self) -> None:
        self.blocked = False

    def stopProducing(self) -> None: ...

    def dataReceived(self, data: bytes) -> None:
        self._decoder.feed(data)
        while (frame := self._decoder.next()) is not None:
            self.frames.append(frame)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.lost = reason

    def kinds(self) -> list[LegFrame]:
        """Return the types of the frames that came."""
        return [kind for kind, _ in self.frames]


@implementer(IHostnameResolver)
class NoNames:
    """Resolves nothing, without asking anybody: no name exists, or no answer ever comes."""

    def __init__(self, silent: bool) -> None:
        self._silent = silent

    def resolveHostName(self, receiver: Any, hostName: str, *more: Any, **options: Any) -> Any:
        """Called by Twisted."""
        receiver.resolutionBegan(self)
        if not self._silent:
            receiver.resolutionComplete()
        return self

    def cancel(self) -> None:
        """Called by Twisted when it gives up."""


class Stream(NamedTuple):
    """A visitor's socket and the target's, with a leg between them."""

    visitor: socket.socket
    target: socket.socket

    def ways(self) -> tuple[tuple[socket.socket, socket.socket], tuple[socket.socket, socket.socket]]:
        """Return (near, far) for both directions."""
        return (self.visitor, self.target), (self.target, self.visitor)


def abort(near: socket.socket) -> None:
    """Reset a connection."""
    near.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    near.close()


def was_reset(far: socket.socket, *, after_fin: bool = False) -> bool:
    """Wait for a connection to be reset, throwing away what comes before; False when it ends cleanly. In a thread."""
    try:
        while far.recv(65536):
            pass
    except ConnectionResetError:
        return True
    if not after_fin:
        return False
    # After the other side's FIN a reset shows in no recv().
    poller = select.poll()
    poller.register(far, 0)
    return bool(poller.poll(5000)) and bool(far.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))


def read_all(far: socket.socket, pause: float = 0.0) -> bytes:
    """Read to the clean end of a stream, with pauses perhaps. In a thread."""
    parts = []
    while part := far.recv(65536):
        parts.append(part)
        if pause:
            time.sleep(pause)
    return b"".join(parts)


def digest_of(far: socket.socket, length: int) -> bytes:
    """Read so many bytes and return their SHA-256. In a thread."""
    digest, buffer = hashlib.sha256(), bytearray(1 << 18)
    view = memoryview(buffer)
    while length:
        count = far.recv_into(view[: min(length, len(buffer))])
        if not count:
            raise AssertionError(f"the stream ended {length} bytes early")
        digest.update(view[:count])
        length -= count
    return digest.digest()


def echo(far: socket.socket) -> None:
    """Send back what comes until it ends, then end. In a thread."""
    view = memoryview(bytearray(1 << 18))
    while count := far.recv_into(view):
        far.sendall(view[:count])
    far.shutdown(socket.SHUT_WR)


def is_stuck(transport: Any) -> bool:
    """Say whether bytes are unsent and the kernel takes no more of them."""
    poller = select.poll()
    poller.register(raw_socket(transport), select.POLLOUT)
    return bool(unsent_bytes(transport)) and not poller.poll(0)


def push(near: socket.socket, most: int) -> int:
    """Send until nothing is taken any more for a while, `most` bytes at most; return how many. In a thread."""
    poller, sent, piece = select.poll(), 0, os.urandom(1 << 16)
    poller.register(near, select.POLLOUT)
    while sent < most and poller.poll(200):
        sent += near.send(piece[: most - sent], socket.MSG_DONTWAIT)
    return sent


class Link:
    """Two relays and one leg between them, one port for visitors and one target, whose port is the test's. Made by the
    contract's `link`."""

    def __init__(
        self, relays: tuple[IRelay, IRelay], transports: tuple[Any, Any], plain: bool, host: str, port: int
    ) -> None:
        self.relays = relays
        self.opener, self.dialler = (Owner(relay) for relay in relays)
        for owner, transport, end in zip((self.opener, self.dialler), transports, End, strict=True):
            owner.leg = owner.relay.leg(transport, b"", end, owner, plain)
        self.port = relays[0].listen(host, 0, self.opener.arrived, 50)
        self.target = socket.create_server(("127.0.0.1", port))
        self.target.settimeout(DEADLINE)
        self.target_address: tuple[str, int] = self.target.getsockname()
        self.dialler.target = HostPort(*self.target_address)
        self._sockets: list[socket.socket] = []
        self.visits = 0

    def visit_alone(self) -> socket.socket:
        """Return a visitor's socket; his target is still to be accepted, or never will be."""
        host = self.port.getHost()
        visitor = socket.create_connection((host.host, host.port), DEADLINE)
        visitor.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.visits += 1
        self._sockets.append(visitor)
        return visitor

    async def visit(self) -> Stream:
        """Return a visitor and his target."""
        visitor = self.visit_alone()
        target, _ = await deferToThread(self.target.accept)
        target.settimeout(DEADLINE)
        self._sockets.append(target)
        # A relay may let OPENED wait for the target's first bytes, a little.
        await until(lambda: self.opener.leg.state is not State.DIALLING, "the opener knows that the target answered")
        return Stream(visitor, target)

    async def visit_early(self, content: bytes) -> Stream:
        """Return a visitor who sent this and ended while his target was being dialled, and that target."""
        self.dialler.hold = True
        visitor = self.visit_alone()
        sending = deferToThread(visitor.sendall, content)
        await until(lambda: self.dialler.leg.state is State.DIALLING, "the dialler was asked")
        await sending
        visitor.shutdown(socket.SHUT_WR)
        await until(lambda: self.opener.leg.state is State.DIALLING_FIN, "the opener has sent all")
        self.dialler.hold = False
        self.dialler.dial()
        target, _ = await deferToThread(self.target.accept)
        target.settimeout(DEADLINE)
        return Stream(visitor, target)

    async def rest(self) -> tuple[StreamEnd, StreamEnd]:
        """Wait until the leg is idle at both ends, and return how both saw the last visitor."""
        legs = self.opener.leg, self.dialler.leg
        await until(
            lambda: all(leg.opens == self.visits and leg.state in (State.IDLE, State.CLOSED) for leg in legs),
            "the leg is idle",
        )
        for leg, owner in zip(legs, (self.opener, self.dialler), strict=True):
            assert leg.state is State.IDLE, f"the leg is closed at the {leg.end.value}: {owner.lost}"
            assert leg.opens == len(owner.ends) == self.visits, (leg.opens, owner.ends, self.visits)
        for opened in self._sockets:
            opened.close()
        self._sockets.clear()
        return self.opener.ends[-1], self.dialler.ends[-1]

    async def stop(self) -> None:
        """Close everything."""
        for owner in (self.opener, self.dialler):
            owner.leg.close()
            for local in owner.waiting:
                local.abort()
        await self.port.stopListening()
        for opened in [*self._sockets, self.target]:
            opened.close()
        await until(lambda: self.opener.lost and self.dialler.lost, "both ends have lost the leg")
        for relay in self.relays:
            relay.stop()


class Lone:
    """One leg whose other end is a `RawPeer`; the visitor or target is a socket."""

    def __init__(
        self, relay: IRelay, transports: tuple[Any, Any], end: End, plain: bool, leftover: bytes = b""
    ) -> None:
        self.relay = relay
        self.owner = Owner(relay)
        self.peer = RawPeer()
        ours, theirs = transports
        hand_over(theirs, self.peer, b"")
        self.server = socket.create_server(("127.0.0.1", 0))
        self.server.settimeout(DEADLINE)
        self.owner.target = HostPort(*self.server.getsockname())
        self.leg = self.owner.leg = relay.leg(ours, leftover, end, self.owner, plain)
        self.port = relay.listen("127.0.0.1", 0, self.owner.arrived, 50)
        self.local: socket.socket | None = None

    def send(self, content: bytes) -> None:
        """Let the peer send something."""
        self.peer.transport.write(content)

    def visit(self) -> socket.socket:
        """Return a new visitor's socket."""
        self.local = socket.create_connection(("127.0.0.1", self.port.getHost().port), DEADLINE)
        return self.local

    async def accept(self) -> socket.socket:
        """Return the socket of the target that was dialled."""
        self.local, _ = await deferToThread(self.server.accept)
        self.local.settimeout(DEADLINE)
        return self.local

    async def reaches(self, state: State) -> None:
        """Wait for a state of the leg."""
        await until(lambda: self.leg.state is state, f"the leg is {state.name}, and not {self.leg.state.name}")

    async def stop(self) -> None:
        """Close everything."""
        self.leg.close()
        for local in self.owner.waiting:
            local.abort()
        if self.peer.lost is None:
            self.peer.transport.abortConnection()
        await self.port.stopListening()
        self.server.close()
        if self.local is not None:
            self.local.close()
        await until(lambda: self.owner.lost and self.peer.lost is not None, "both ends have lost the leg")
        self.relay.stop()
