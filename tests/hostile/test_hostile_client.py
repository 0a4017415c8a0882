"""A hostile client with a token, at forwards: whatever it writes as an address, and whatever the DNS of a name says,
the server dials only what the client's rules name; and its refusals do not fill the log."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.internet.testing import EventLoggingObserver
from twisted.logger import formatEvent, globalLogPublisher

from gotunnel.address import HostPort, UnixPath
from gotunnel.dialrules import DialRules
from gotunnel.net.lookups import Lookups
from gotunnel.wire.handshake import NO_BINDING, leg_client_mac
from gotunnel.wire.legbodies import OpenBody
from gotunnel.wire.messages import Leg, LegOk
from tests.doubles import FakeLeg
from tests.server.world import Client, ServerTestCase, World
from tests.wire.strategies import PROPERTY

RULES = (
    "10.1.0.0/16:443", "127.0.0.1:6443", "db.example:5432", "*.svc.example:80-90", "[fd00::/8]:22", "unix:/run/x.sock",
)  # fmt: skip
DNS = {
    "db.example": ["203.0.113.5", "127.0.0.1", "10.9.9.9"],
    "evil.svc.example": ["127.0.0.1", "169.254.169.254", "::1", "0.0.0.0", "fe80::1"],
    "good.svc.example": ["198.51.100.7"],
    "inside.example": ["10.1.2.3", "10.2.0.1"],
    "localhost": ["127.0.0.1", "::1"],
    # What the C library makes of them.
    "0x7f.1": ["127.0.0.1"],
    "0x7f000001": ["127.0.0.1"],
}
"""A resolver in the hand of whoever attacks."""

HOSTS = st.sampled_from(
    [*DNS, "DB.EXAMPLE.", "db.example.evil.test", "xsvc.example", "127.0.0.1", "127.0.0.2", "127.1", "2130706433",
     "0.0.0.0", "10.1.255.255", "10.2.0.0", "010.1.0.1", "169.254.169.254", "[::1]", "[::ffff:127.0.0.1]",
     "[::ffff:10.1.0.1]",
     "[fd00::1]", "[fd00::1%lo]", "[fe80::1%lo]", "[64:ff9b::7f00:1]", "[::]", "*", "", "0"]
)  # fmt: skip
PORTS = st.sampled_from(["443", "6443", "5432", "80", "85", "91", "22", "17000", "0", "65536", "-1", "443 ", "٤٤٣", ""])
PATHS = st.sampled_from(["unix:/run/x.sock", "unix:/run/../run/x.sock", "unix:/run/x.sock/", "unix:/run/y", "unix:x"])
ADDRESSES = st.builds("{}:{}".format, HOSTS, PORTS) | PATHS | st.text("a:.[]/%0127", max_size=12)


def dns(host: str, port: object, *args: object, **keys: object) -> list[tuple[Any, ...]]:
    """Answer as DNS says, in the words of getaddrinfo."""
    found = DNS.get(host.lower().rstrip("."))
    if found is None:
        raise socket.gaierror(socket.EAI_NONAME, "no such name")
    return [
        (socket.AF_INET6 if ":" in each else socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, 0)) for each in found
    ]


class _AtOnce(Clock):
    """A clock whose threads are done at once."""

    def callFromThread(self, call: Callable[..., Any], *args: Any) -> None:
        call(*args)


def forward_leg(client: Client, seq: int) -> FakeLeg:
    """Bring a forward leg."""
    own, world = client.established, client.world
    transport = world.connect()
    mac = leg_client_mac(own.ks, own.sid, seq, "forward", NO_BINDING)
    transport.say(Leg(own.sid, seq, "forward", mac))
    (answer,) = transport.heard()
    assert isinstance(answer, LegOk), answer
    return world.relay.legs[-1]


def within(host: str, port: int) -> bool:
    """Say, without the code of the rules, whether a literal address is one that RULES name, or that db.example and the
    names below svc.example may have."""
    address = ipaddress.ip_address(host.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    text = str(address)
    return (
        (text.startswith("10.1.") and port == 443)
        or (text == "127.0.0.1" and port == 6443)
        or (text in ("203.0.113.5", "10.9.9.9") and port == 5432)
        or (text == "198.51.100.7" and 80 <= port <= 90)
        or (text.startswith("fd00:") and port == 22)
    )


class ForwardTests(ServerTestCase):
    """What the server dials for it."""

    def setUp(self) -> None:
        super().setUp()
        self.patch(socket, "getaddrinfo", dns)

    def begin(self) -> tuple[World, Client]:
        """A server with such rules, and a client."""
        world = World(allow_dial=RULES)
        world.hub.lookups = Lookups(_AtOnce(), lambda work: work())
        return world, world.login()

    @PROPERTY
    @given(st.lists(ADDRESSES, min_size=1, max_size=6))
    def test_any_address(self, addresses: list[str]) -> None:
        """Nothing outside of the rules is dialled, and never a name: what was judged is what is dialled."""
        world, client = self.begin()
        for number, address in enumerate(addresses):
            if not 1 <= len(address) <= 320 or not address.isascii():
                continue
            leg = forward_leg(client, number)
            leg.receive_open(OpenBody("c", "192.0.2.1:5", dial=address).encode())
        for target, _ in world.relay.dials:
            if isinstance(target, UnixPath):
                self.assertEqual(target.path, "/run/x.sock")
            else:
                assert isinstance(target, HostPort)
                self.assertTrue(within(target.host, target.port), str(target))
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_finds(self) -> None:
        """What the rules do name is dialled, each by its address."""
        world, client = self.begin()
        asked = ("10.1.2.3:443", "DB.EXAMPLE.:5432", "good.svc.example:85", "inside.example:443", "unix:/run/x.sock")
        for number, address in enumerate(asked):
            forward_leg(client, number).receive_open(OpenBody("c", "192.0.2.1:5", dial=address).encode())
        self.assertEqual(
            [str(target) for target, _ in world.relay.dials],
            ["10.1.2.3:443", "203.0.113.5:5432", "198.51.100.7:85", "10.1.2.3:443", "unix:/run/x.sock"],
        )

    def test_log(self) -> None:
        """A thousand refusals, each of another address, are some lines."""
        world, client = self.begin()
        log = EventLoggingObserver.createWithCleanup(self, globalLogPublisher)
        leg = forward_leg(client, 1)
        for number in range(1000):
            dial = f"192.0.2.{number % 250}:{number + 1}"
            leg.receive_open(OpenBody(f"c{number}", "192.0.2.1:5", dial=dial).encode())
            leg.finish()
        self.assertEqual((len(leg.refused), world.relay.dials), (1000, []))
        self.assertLess(len([event for event in log if formatEvent(event)]), 50)


class RuleTests(ServerTestCase):
    """Patterns of rules."""

    def test_only_stars(self) -> None:
        """A mapping's name may have all that shells know; in a rule only `*` stands for something."""
        rules = DialRules.parse(["mapping:edge/web[1]", "mapping:edge/a?c", "mapping:edge/x*[z]"])
        for name, allowed in (
            ("web[1]", True), ("web1", False), ("a?c", True), ("abc", False), ("x-y[z]", True), ("x-yz", False),
            ("x*[z]", True),
        ):  # fmt: skip
            self.assertEqual(rules.allows_mapping("edge", name), allowed, name)
