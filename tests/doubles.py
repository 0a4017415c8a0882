"""Stand-ins for what touches the network: a transport in memory, a relay whose legs and ports are told what happens to
them. They obey the contracts of `gotunnel.interfaces` and of Twisted's transports, and no more."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionAborted, ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from zope.interface import implementer

from gotunnel.core.identities import Identities
from gotunnel.core.outcome import Outcome
from gotunnel.core.stream import StreamEnd
from gotunnel.errors import PortUnavailable
from gotunnel.interfaces import ILeg, ILocal, IRelay
from gotunnel.server.keyring import Keyring
from gotunnel.wire.frames import LIMIT_AFTER_AUTH, FrameDecoder, encode_frame
from gotunnel.wire.legbodies import OpenBody
from gotunnel.wire.legstate import End
from gotunnel.wire.messages import Message, decode, encode

__all__ = ["FakeLeg", "FakeLocal", "FakePort", "FakeRelay", "MemoryTransport", "keys_of"]


class _Socket:
    """Takes any option."""

    family = 2

    def setsockopt(self, *args: object) -> None:
        """Called by gotunnel.net.sockets."""


class MemoryTransport(StringTransport):
    """A TCP transport whose other end is the test.

    As a real one it tells its protocol of the end a turn later. With `holds` an orderly close does not get through:
    the other end does not read.
    """

    def __init__(self, clock: Clock, host: str = "192.0.2.1", port: int = 40000, holds: bool = False) -> None:
        super().__init__(peerAddress=IPv4Address("TCP", host, port))
        self.clock = clock
        self.protocol: Any = None
        self.holds = holds
        self.aborted = False
        self.closed = False
        self.lost = False
        self.bufferSize = 65536
        self._decoder = FrameDecoder(LIMIT_AFTER_AUTH)
        self._read = 0

    def getHandle(self) -> Any:
        return _Socket()

    def loseConnection(self) -> None:
        if not self.closed:
            self.closed = True
            if not self.holds:
                self.clock.callLater(0, self.lose, ConnectionDone())

    def abortConnection(self) -> None:
        if not self.aborted and not self.lost:
            self.aborted = True
            self.clock.callLater(0, self.lose, ConnectionAborted())

    def lose(self, reason: Exception | None = None) -> None:
        """The connection is gone; by the other end, unless a reason is given."""
        if not self.lost:
            self.lost = True
            self.protocol.connectionLost(Failure(reason or ConnectionDone()))

    @property
    def gone(self) -> bool:
        """Whether this end has closed it, in order or not."""
        return self.closed or self.aborted

    # The test's end.

    def say(self, *messages: Message) -> None:
        """Send messages, each in a segment of its own."""
        for message in messages:
            self.say_bytes(encode_frame(encode(message)))

    def say_bytes(self, data: bytes) -> None:
        """Send bytes in one segment, unless the connection is over."""
        if not self.lost and not self.aborted:
            self.protocol.dataReceived(data)

    def say_json(self, text: str | bytes) -> None:
        """Send one frame of JSON."""
        self.say_bytes(encode_frame(text if isinstance(text, bytes) else text.encode()))

    def payloads(self) -> list[bytes]:
        """Return the payloads that have arrived since the last call."""
        data = self.value()[self._read :]
        self._read += len(data)
        self._decoder.feed(data)
        found = []
        while (payload := self._decoder.next_frame()) is not None:
            found.append(payload)
        return found

    def heard(self) -> list[Message]:
        """Return the messages that have arrived since the last call."""
        return [decode(payload) for payload in self.payloads()]


@implementer(ILocal)
class FakeLocal:
    """A visitor's or a target's connection."""

    def __init__(self, address: str = "198.51.100.7:5000") -> None:
        self.address = address
        self.host = address.rpartition(":")[0]
        self.on_gone: Callable[[], None] = lambda: None
        self.aborted = False
        self.gone = False
        self.came_to = "203.0.113.1:10250"
        self.begun = b""

    def fileno(self) -> int:
        """See ILocal."""
        return -1

    def stand_for(self, address: str, host: str, destination: str) -> None:
        """See ILocal."""
        self.address, self.host, self.came_to = address, host, destination

    def destination(self) -> str:
        """See ILocal."""
        return self.came_to

    def begin_with(self, data: bytes) -> None:
        """See ILocal."""
        self.begun += data

    def abort(self) -> None:
        """See ILocal."""
        self.aborted = self.gone = True

    def lost(self) -> None:
        """See ILocal."""
        self.abort()

    def leave(self) -> None:
        """The visitor goes away while no leg has him."""
        self.gone = True
        self.on_gone()


@implementer(ILeg)
class FakeLeg:
    """One end of a leg; the test plays the other one."""

    def __init__(self, clock: Clock, transport: Any, end: End, owner: Any, plain: bool) -> None:
        self.end = end
        self.plain = plain
        self.state = "idle"
        self.last_received = clock.seconds()
        self.opens = 0
        self.tag: Any = None
        self.transport = transport
        self.owner = owner
        self.opened: list[OpenBody] = []
        self.accepted: list[Any] = []
        self.refused: list[str] = []
        self.resets: list[str] = []
        self.probes = 0
        self.held = False
        self.awaited = False
        self.begins = b""
        self.closed = False
        self.carried = (0, 0)
        self._clock = clock

    # ILeg.

    def open(self, local: Any, body: bytes, held: bool = False, begins: bytes = b"") -> None:
        assert self.state == "idle", self.state
        self.state = "busy"
        self.begins = begins
        self.held = held
        self.opens += 1
        self.opened.append(OpenBody.decode(body))

    def probe(self) -> None:
        assert self.state == "idle", self.state
        self.state = "probing"
        self.probes += 1

    def accept(self, local: Any, awaited: bool = False) -> None:
        assert self.state == "dialling", self.state
        self.state = "busy"
        self.accepted.append(local)
        self.awaited = awaited

    def refuse(self, code: str) -> None:
        assert self.state == "dialling", self.state
        self.state = "busy"
        self.refused.append(code)

    def reset(self, code: str) -> None:
        if self.state == "busy":
            self.resets.append(code)

    def close(self) -> None:
        if self.state == "closed":
            return
        before, self.state, self.closed = self.state, "closed", True
        if before == "dialling":
            self.owner.leg_abandoned(self)
        if before in ("busy", "dialling"):
            self.owner.leg_ended(self, StreamEnd(Outcome.STOPPED, None, 0, 0))
        self._clock.callLater(0, self.owner.leg_lost, self, "closed by this end")

    # The test's words.

    def receive_open(self, body: bytes) -> None:
        """An OPEN arrives at a dialler."""
        assert self.state == "idle", self.state
        self.state = "dialling"
        self.opens += 1
        self.owner.leg_open(self, body)

    def probe_comes_back(self) -> None:
        """It lives."""
        assert self.state == "probing", self.state
        self.state = "idle"
        self.last_received = self._clock.seconds()
        self.owner.leg_probed(self)

    def answer(self) -> None:
        """The target answers."""
        assert self.state == "busy", self.state
        self.owner.leg_answered(self)

    def finish(self, outcome: Outcome = Outcome.COMPLETED, code: str | None = None) -> None:
        """The visitor is over; the leg is idle again."""
        assert self.state == "busy", self.state
        self.last_received = self._clock.seconds()
        self.owner.leg_ended(self, StreamEnd(outcome, code, 3, 5))
        if self.state == "busy":
            self.state = "idle"
            self.owner.leg_idle(self)

    def lose(self) -> None:
        """The leg's connection breaks."""
        if self.state == "closed":
            return
        before, self.state = self.state, "closed"
        if before == "dialling":
            self.owner.leg_abandoned(self)
        if before in ("busy", "dialling"):
            self.owner.leg_ended(self, StreamEnd(Outcome.LEG_LOST, None, 0, 0))
        self.owner.leg_lost(self, "it broke")


class FakePort:
    """A public port that was opened."""

    def __init__(self, relay: FakeRelay, host: str, port: int, on_visitor: Callable[[Any], None]) -> None:
        self.host = host
        self.port = port
        self.open = True
        self._relay = relay
        self._on_visitor = on_visitor

    def visit(self, address: str = "198.51.100.7:5000") -> FakeLocal:
        """A visitor connects."""
        assert self.open
        local = FakeLocal(address)
        self._on_visitor(local)
        return local

    def getHost(self) -> IPv4Address:
        """See IListeningPort."""
        return IPv4Address("TCP", self.host, self.port)

    def stopListening(self) -> Deferred[None]:
        """Closed a turn of the reactor later, as in Twisted."""
        closed: Deferred[None] = Deferred()

        def close() -> None:
            self.open = False
            self._relay.ports.remove(self)
            closed.callback(None)

        self._relay.clock.callLater(0, close)
        return closed


@implementer(IRelay)
class FakeRelay:
    """Opens ports and dials targets in memory."""

    name = "fake"
    locals = 0

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.ports: list[FakePort] = []
        self.listens = 0
        self.taken: set[int] = set()
        self.dials: list[tuple[Any, Deferred[Any]]] = []
        self.cancelled = 0
        self.legs: list[FakeLeg] = []
        self.times: object = None

    def time_legs(self, times: object) -> None:
        """See IRelay."""
        self.times = times

    def listen(self, host: str, port: int, on_visitor: Callable[[Any], None], backlog: int = 1024) -> FakePort:
        """See IRelay."""
        if port in self.taken or any(p.port == port for p in self.ports):
            raise PortUnavailable("port_in_use", f"{host}:{port}: another program on the server listens there")
        self.listens += 1
        opened = FakePort(self, host, port, on_visitor)
        self.ports.append(opened)
        return opened

    def dial(self, target: Any, timeout: float) -> Deferred[Any]:
        """See IRelay."""

        def cancelled(_: object) -> None:
            self.cancelled += 1

        dialled: Deferred[Any] = Deferred(cancelled)
        self.dials.append((target, dialled))
        return dialled

    def leg(self, transport: Any, leftover: bytes, end: End, owner: Any, plain: bool) -> FakeLeg:
        """See IRelay."""
        leg = FakeLeg(self.clock, transport, end, owner, plain)
        self.legs.append(leg)
        return leg

    def stop(self) -> None:
        """See IRelay."""

    def port(self, number: int) -> FakePort:
        """Return the open port of that number."""
        (found,) = [port for port in self.ports if port.port == number]
        return found


def keys_of(identities: Identities, name: str, now: float) -> tuple[bytes, ...]:
    """Return the keys that let a name in at a server with these identities and this shared token."""
    keyring = Keyring()
    keyring.use(identities)
    return keyring.keys_for(name, now)
