"""How a client reaches its server: names are resolved anew each time, failures are words, cancelling closes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectError, ConnectionRefusedError, NoRouteError, TCPTimedOutError
from twisted.internet.interfaces import IHostnameResolver
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from gotunnel.address import HostPort
from gotunnel.net.dialer import ServerPath, Unreachable
from gotunnel.net.greeting import ControlGreeting
from gotunnel.net.legtls import client_leg_tls
from gotunnel.net.tls import client_creator
from gotunnel.wire.handshake import ClientHandshake


@implementer(IHostnameResolver)
class Resolver:
    """Counts the questions; answers with what the test says."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.addresses: Sequence[Any] = (IPv4Address("TCP", "192.0.2.7", 0),)
        self.silent = False

    def resolveHostName(self, receiver: Any, hostName: str, *args: object, **kwargs: object) -> Any:
        """See IHostnameResolver."""
        self.asked.append(hostName)
        receiver.resolutionBegan(self)
        if not self.silent:
            for address in self.addresses:
                receiver.addressResolved(
                    type(address)("TCP", address.host, kwargs.get("portNumber", args[0] if args else 0))
                )
            receiver.resolutionComplete()
        return receiver


class DialTests(SynchronousTestCase):
    """ServerPath.greet."""

    def setUp(self) -> None:
        """A path without TLS to a named server."""
        self.reactor = MemoryReactorClock()
        self.resolver = Resolver()
        self.reactor.installNameResolver(self.resolver)
        self.path = ServerPath(self.reactor, HostPort("tunnel.example.com", 17000), None)

    def greet(self, path: ServerPath | None = None) -> Deferred[Any]:
        """Begin an attempt."""
        greeting = ControlGreeting(self.reactor, 10.0, ClientHandshake("edge", "0123456789abcdef", b"one", "test"))
        return Deferred.fromCoroutine((path or self.path).greet(greeting, 10.0))

    def test_address_is_no_name(self) -> None:
        """An IP address is connected to without a question to the resolver."""
        for host in ("192.0.2.9", "2001:db8::9"):
            attempt = self.greet(ServerPath(self.reactor, HostPort(host, 17000), None))
            self.assertEqual(self.reactor.tcpClients[-1][:2], (host, 17000))
            attempt.addErrback(lambda _: None)
            attempt.cancel()
        self.assertEqual(self.resolver.asked, [])

    def test_resolves_anew(self) -> None:
        """Each attempt asks for the name again, and goes where the answer says."""
        for number, host in enumerate(("192.0.2.7", "192.0.2.8", "192.0.2.9"), 1):
            self.resolver.addresses = (IPv4Address("TCP", host, 0),)
            attempt = self.greet()
            self.assertEqual(self.resolver.asked, ["tunnel.example.com"] * number)
            self.assertEqual(self.reactor.tcpClients[-1][:2], (host, 17000))
            factory = self.reactor.tcpClients[-1][2]
            factory.clientConnectionFailed(self.reactor.connectors[-1], Failure(NoRouteError()))
            self.reactor.advance(1)
            self.failureResultOf(attempt, Unreachable)

    def test_both_families(self) -> None:
        """An address that does not answer does not hold up the other one."""
        self.resolver.addresses = (IPv6Address("TCP", "2001:db8::1", 0), IPv4Address("TCP", "192.0.2.7", 0))
        attempt = self.greet()
        self.reactor.advance(0.5)
        self.assertEqual([client[0] for client in self.reactor.tcpClients], ["2001:db8::1", "192.0.2.7"])
        attempt.cancel()
        self.failureResultOf(attempt, CancelledError)

    def test_words(self) -> None:
        """Every failure to connect is one line for an operator that names the server."""
        for cause, words in [
            (ConnectionRefusedError(), "connection refused"),
            (TCPTimedOutError(), "no answer in time"),
            (NoRouteError(), "no route to it"),
        ]:
            attempt = self.greet()
            factory = self.reactor.tcpClients[-1][2]
            factory.clientConnectionFailed(self.reactor.connectors[-1], Failure(cause))
            self.reactor.advance(1)
            error = self.failureResultOf(attempt, Unreachable).value
            self.assertEqual(str(error), f"cannot reach tunnel.example.com:17000: {words}")

    def test_name_that_does_not_resolve(self) -> None:
        """Said as such."""
        self.resolver.addresses = ()
        error = self.failureResultOf(self.greet(), Unreachable).value
        self.assertEqual(str(error), "cannot reach tunnel.example.com:17000: the name does not resolve")

    def test_other_failure(self) -> None:
        """What nobody foresaw is a failure to connect as well."""
        attempt = self.greet()
        factory = self.reactor.tcpClients[-1][2]
        factory.clientConnectionFailed(self.reactor.connectors[-1], Failure(ConnectError(string="odd")))
        self.reactor.advance(1)
        self.failureResultOf(attempt, Unreachable)

    def test_cancel(self) -> None:
        """While it resolves, while it connects, and while it greets: an error at once, and nothing is left."""
        self.resolver.silent = True
        attempt = self.greet()
        attempt.cancel()
        self.failureResultOf(attempt, Unreachable)
        self.resolver.silent = False

        attempt = self.greet()
        attempt.cancel()
        self.failureResultOf(attempt, CancelledError)
        self.assertTrue(self.reactor.connectors[-1].stoppedConnecting)

        attempt = self.greet()
        protocol = self.reactor.tcpClients[-1][2].buildProtocol(None)
        transport = StringTransport()
        protocol.makeConnection(transport)
        self.assertIn(b'"hello"', transport.value())
        attempt.cancel()
        self.failureResultOf(attempt, CancelledError)
        self.assertTrue(transport.disconnecting)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_tls_unless_plain(self) -> None:
        """With TLS the first byte is a ClientHello and no hello is to be seen; a plain leg is asked for as such."""
        creator = client_creator(None, "tunnel.example.com")
        for own_tls, plain, first in (
            (None, False, b"\x16"),
            (None, True, b"\0"),
            (client_leg_tls(None, "tunnel.example.com"), False, b"\x16"),
            (client_leg_tls(None, "tunnel.example.com"), True, b"\0"),
        ):
            path = ServerPath(self.reactor, self.path.address, creator, own_tls)
            self.assertTrue(path.encrypted)
            greeting = ControlGreeting(self.reactor, 10.0, ClientHandshake("edge", "0123456789abcdef", b"one", "test"))
            attempt = Deferred.fromCoroutine(path.greet_leg(greeting, 10.0, plain=plain, sni=None))
            protocol = self.reactor.tcpClients[-1][2].buildProtocol(None)
            transport = StringTransport()
            protocol.makeConnection(transport)
            self.assertEqual(transport.value()[:1], first)
            self.assertEqual(b"edge" in transport.value(), plain)
            attempt.cancel()
            self.failureResultOf(attempt, CancelledError)

    def test_never_falls_back(self) -> None:
        """A server without TLS gets nothing but a ClientHello, whatever it answers."""
        path = ServerPath(self.reactor, self.path.address, client_creator(None, "tunnel.example.com"))
        for answer in (b"\0\0\0\x2f" + b'{"type":"error","code":"tls_off","reason":"off"}', b"SSH-2.0-x\r\n", b""):
            attempt = self.greet(path)
            protocol = self.reactor.tcpClients[-1][2].buildProtocol(None)
            transport = StringTransport()
            protocol.makeConnection(transport)
            if answer:
                protocol.dataReceived(answer)
            protocol.connectionLost(Failure(ConnectionRefusedError()))
            self.failureResultOf(attempt)
            self.assertEqual(transport.value()[:1], b"\x16")
            self.assertNotIn(b"edge", transport.value())
