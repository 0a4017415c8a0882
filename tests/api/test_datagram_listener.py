"""A listener for datagrams between flows and a protocol, without a network; and what is said of what cannot be."""

from __future__ import annotations

from typing import Any

from twisted.internet.error import InvalidAddressError, MessageLengthError
from twisted.internet.protocol import DatagramProtocol, Factory, Protocol
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from gotunnel.api import ConfigError, Tunnel
from gotunnel.api.addresses import TunnelAddress
from gotunnel.api.datagrams import DatagramListener
from gotunnel.core.dropped import Drop
from gotunnel.errors import DialFailed
from gotunnel.net.portableflow import PortableFlow
from gotunnel.net.relay import PortableRelay
from gotunnel.wire.datagrams import MOST_DATAGRAM
from tests.integration.base import TOKEN
from tests.integration.udp import Service


class Port:
    """A public port, as a listener knows it."""

    def __init__(self) -> None:
        self.stopped = 0

    def getHost(self) -> TunnelAddress:
        return TunnelAddress("here")

    def stopListening(self) -> Any:
        self.stopped += 1


class Held:
    """A session with a clock and a relay, and nothing else."""

    def __init__(self, reactor: Clock) -> None:
        self.reactor = reactor
        self.relay: Any = PortableRelay.__new__(PortableRelay)
        self.relay.flow = lambda *arguments: PortableFlow(reactor, *arguments)


class Leg:
    """Keeps what a flow gives it."""

    unfinished = False

    def __init__(self) -> None:
        self.got: list[bytes] = []
        self.lost = 0

    def local_data(self, data: bytes) -> None:
        self.got.append(data)

    def local_lost(self) -> None:
        self.lost += 1


class ListenerTests(SynchronousTestCase):
    """One listener between flows and a protocol, without a network."""

    def setUp(self) -> None:
        """Open it."""
        self.clock = Clock()
        self.service = Service()
        self.listener = DatagramListener(self.service, Held(self.clock))  # type: ignore[arg-type]
        self.listener.name = "dns"
        self.port = Port()
        self.listener.open(self.port)  # type: ignore[arg-type]
        self.drops: list[Drop] = []

    def flow(self, source: str = "192.0.2.1:5") -> tuple[Any, Leg]:
        """A visitor has come."""
        flow: Any = self.listener.arrive(source, 60.0, self.drops.append)
        leg = Leg()
        flow.attach(leg)
        flow.resume()
        return flow, leg

    def test_sooner_than_opened(self) -> None:
        """A visitor who is there before it is known that the port is open starts the protocol; it is started once. What
        he sends is given to it in the next turn, and not within the leg's own."""
        flow, leg = self.flow()
        transport = self.service.transport
        self.assertIsNot(transport, None)
        flow.write(b"one")
        flow.write(b"two")
        self.assertEqual(self.service.heard, [])
        self.listener.opened()
        self.assertIs(self.service.transport, transport)
        self.clock.advance(0)
        self.assertEqual(leg.got, [b"one", b"two"])
        self.assertEqual([source for _, source in self.service.heard], [("192.0.2.1", 5)] * 2)

    def test_two_addresses(self) -> None:
        """Who asks two addresses of the server from one port has two flows, and the answer takes that by which he has
        asked last; when one has ended the other goes on."""
        (one, first), (other, second) = self.flow(), self.flow()
        for flow in (one, other, one):
            flow.write(b"x")
            self.clock.advance(0)
        self.assertEqual((len(first.got), len(second.got)), (2, 1))
        one.lost()
        other.write(b"y")
        self.clock.advance(0)
        self.assertEqual(second.got, [b"x", b"y"])

    def test_to_nobody(self) -> None:
        """What is written to who has sent nothing, or whose flow has ended, goes nowhere, and the log says so once a
        minute; what cannot be written at all is Twisted's own error."""
        self.listener.opened()
        lines: list[str] = []
        self.patch(DatagramListener, "log", _Lines(lines))
        transport = self.service.transport
        flow, leg = self.flow()
        transport.write(b"hello", ("192.0.2.1", 5))
        self.assertEqual((leg.got, lines), ([b"hello"], []))
        flow.lost()
        for _ in range(3):
            transport.write(b"late", ("192.0.2.1", 5))
        self.assertEqual(lines, ["dns 192.0.2.1:5"])
        for address in (None, ("server.example", 5)):
            self.assertRaises(InvalidAddressError, transport.write, b"x", address)
        self.assertRaises(MessageLengthError, transport.write, bytes(MOST_DATAGRAM + 1), ("192.0.2.1", 5))
        self.assertRaises(RuntimeError, transport.connect, "192.0.2.1", 5)
        transport.setBroadcastAllowed(True)
        self.assertFalse(transport.getBroadcastAllowed())

    def test_closed(self) -> None:
        """When the port is closed every flow is ended, in the word for that; nothing that is on its way is given to a
        protocol that was stopped, and nobody new is let in. The transport does no harm then."""
        (one, leg), (other, _) = self.flow(), self.flow()
        transport = self.service.transport
        one.write(b"late")
        self.listener.close()
        self.listener.close()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual((self.service.heard, self.service.transport), ([], None))
        self.assertEqual((one.why, other.why, leg.lost), ("closed", "closed", 1))
        self.assertRaises(DialFailed, self.flow)
        self.assertEqual(transport.getHost(), TunnelAddress("dns"))
        self.successResultOf(transport.stopListening())
        self.assertEqual(self.port.stopped, 0)

    def test_unlikely(self) -> None:
        """A server that does not say who has come, a relay without datagrams and a protocol that does not start let
        nobody in; and nothing can connect to see whether it is well."""
        with self.assertRaisesRegex(DialFailed, "does not say whose"):
            self.listener.arrive("somebody", 60.0, self.drops.append)
        self.service.startProtocol = _raise  # type: ignore[method-assign]
        with self.assertRaisesRegex(DialFailed, "listener failed"):
            self.flow()
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
        self.listener._session.relay = object()  # type: ignore[misc]
        with self.assertRaisesRegex(DialFailed, "this relay carries no datagrams"):
            self.flow()
        self.failureResultOf(self.listener.look(Factory.forProtocol(Protocol)), DialFailed)


class RefusedTests(SynchronousTestCase):
    """Nothing connects."""

    def test_wrong(self) -> None:
        """One line each: what fits no datagrams, and a protocol that has a port."""
        tunnel = Tunnel("server.example", token=TOKEN, reactor=Clock())
        busy = DatagramProtocol()
        busy.transport = object()  # type: ignore[assignment]
        datagrams, streams = DatagramProtocol(), Factory.forProtocol(Protocol)
        for what, options, words in (
            (datagrams, {"protocol": "tcp"}, "protocol: is tcp, and a DatagramProtocol takes datagrams; remove it"),
            (datagrams, {"group": "g"}, "group: is for TCP: clients cannot share a port with protocol: udp; remove it"),
            (datagrams, {"idle": 0}, "idle: "),
            (datagrams, {"health": "tcp"}, "health: tcp probes a service by connecting to it, and this one takes data"),
            (datagrams, {"proxy_protocol": "v2"}, "proxy_protocol: goes ahead of a stream, which protocol: udp has no"),
            (busy, {}, "what: this DatagramProtocol has a port already; give each port a protocol of its own"),
            (streams, {"protocol": "udp"}, "what: what listens for connections takes no datagrams; give a "),
            (streams, {"idle": 5}, "idle: is for protocol: udp; add protocol: udp, or remove it"),
            ("unix:/run/x", {"protocol": "udp"}, "what: unix:/run/x takes no datagrams; write "),
            (8000, {"protocol": "sctp"}, "protocol: 'sctp' is not one of "),
        ):
            failure = self.failureResultOf(tunnel.expose(what, 0, **options), ConfigError)  # type: ignore[arg-type]
            said = str(failure.value)
            self.assertTrue(said.startswith(f"gotunnel: {words}"), said)
            self.assertNotIn("\n", said)


class _Lines:
    """Keeps the values of warnings."""

    def __init__(self, lines: list[str]) -> None:
        self._lines = lines

    def warn(self, format: str, *, mapping: str, visitor: str, more: str) -> None:
        self._lines.append(f"{mapping} {visitor}{more}")


def _raise(*_: object) -> None:
    raise RuntimeError("a protocol")
