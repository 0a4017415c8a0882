"""Tests of gotunnel.core.ports."""

import ipaddress
from collections.abc import Hashable
from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from twisted.trial.unittest import SynchronousTestCase

from gotunnel.core.ports import PortSet, PortTable, canonical_bind
from gotunnel.errors import PortUnavailable
from tests.core import PROPERTY


class PortSetTests(SynchronousTestCase):
    """Sets of ports as configurations write them."""

    def test_parse(self) -> None:
        """Numbers, texts and ranges mix, and neighbours merge."""
        ports = PortSet.parse(["1024-2000", 80, " 2001 ", "1500 - 1600", 81, 65535])
        self.assertEqual(str(ports), "80-81, 1024-2001, 65535")
        for port, inside in ((80, True), (82, False), (1024, True), (2001, True), (2002, False), (0, False)):
            self.assertEqual(port in ports, inside, port)

    def test_empty(self) -> None:
        """No ports at all is a set too, and says so."""
        self.assertFalse(PortSet.parse([]))
        self.assertEqual(str(PortSet.parse([])), "none")
        self.assertNotIn(80, PortSet())

    def test_nonsense(self) -> None:
        """Whatever is no port is refused in one line."""
        for item in (
            "",
            "-",
            "0",
            0,
            65536,
            "1-65536",
            "2000-1000",
            "80,81",
            "http",
            "-5",
            "1-2-3",
            True,
            1.5,
            "٣",
        ):
            error = self.assertRaises(ValueError, PortSet.parse, [item])
            self.assertNotIn("\n", str(error))

    @PROPERTY
    @given(st.lists(st.tuples(st.integers(1, 300), st.integers(0, 40))))
    def test_like_a_set(self, ranges: list[tuple[int, int]]) -> None:
        """It holds what a plain set of numbers holds, and its text reads back as the same set."""
        ports = PortSet.parse([f"{low}-{low + more}" for low, more in ranges])
        plain = {port for low, more in ranges for port in range(low, low + more + 1)}
        self.assertEqual({port for port in range(350) if port in ports}, plain)
        if ports:
            self.assertEqual(PortSet.parse(str(ports).split(", ")), ports)


class CanonicalBindTests(SynchronousTestCase):
    """One spelling for each address."""

    def test_spellings(self) -> None:
        """What means the same address becomes the same text."""
        for written, canonical in (
            ("", ""),
            ("localhost", "127.0.0.1"),
            ("10.0.0.1", "10.0.0.1"),
            ("::ffff:10.0.0.1", "10.0.0.1"),
            ("2001:DB8:0::1", "2001:db8::1"),
            ("0:0:0:0:0:0:0:0", "::"),
            ("FE80:0::1%eth0", "fe80::1%eth0"),
        ):
            self.assertEqual(canonical_bind(written), canonical)

    def test_names_are_refused(self) -> None:
        """Nothing is resolved on behalf of a peer, and his text is harmless in the reason."""
        for written in ("example.org", "10.0.0.256", "010.0.0.1", "1", "a\x1b[31m\n", "fe80::1%eth0\n"):
            error = self.assertRaises(ValueError, canonical_bind, written)
            self.assertTrue(str(error).isprintable())


class PortTableTests(SynchronousTestCase):
    """Who holds which port."""

    def assertTaken(self, table: PortTable, bind: str, port: int, owner: str) -> None:
        """Assert that a claim fails with port_in_use, and without the name of the holder."""
        error = self.assertRaises(PortUnavailable, table.claim, bind, port, owner)
        self.assertEqual(error.code, "port_in_use")
        self.assertNotIn("alice", str(error))

    def test_overlaps(self) -> None:
        """A wildcard stands in the way of every address of its family, `::` and "" of both families."""
        for first, second, overlap in (
            ("10.0.0.1", "10.0.0.1", True),
            ("10.0.0.1", "::ffff:10.0.0.1", True),
            ("10.0.0.1", "10.0.0.2", False),
            ("10.0.0.1", "0.0.0.0", True),
            ("10.0.0.1", "::", True),
            ("10.0.0.1", "", True),
            ("0.0.0.0", "::", True),
            ("0.0.0.0", "", True),
            ("2001:db8::1", "2001:DB8::1", True),
            ("2001:db8::1", "2001:db8::2", False),
            ("2001:db8::1", "::", True),
            ("2001:db8::1", "", True),
            ("2001:db8::1", "0.0.0.0", False),
            ("2001:db8::1", "10.0.0.1", False),
            ("localhost", "127.0.0.1", True),
        ):
            for one, other in ((first, second), (second, first)):
                table = PortTable()
                table.claim(one, 80, "alice")
                table.claim(other, 81, "bob")
                if overlap:
                    self.assertTaken(table, other, 80, "bob")
                    self.assertEqual(table.owner_of(other, 80), "alice")
                else:
                    table.claim(other, 80, "bob")
                    self.assertEqual(table.owner_of(other, 80), "bob")

    def test_again(self) -> None:
        """The same owner may claim the same again, as at takeover; what overlaps is refused to him as
        well."""
        table = PortTable()
        table.claim("10.0.0.1", 80, "alice")
        table.claim("10.0.0.1", 80, "alice")
        self.assertTaken(table, "0.0.0.0", 80, "alice")
        self.assertTrue(table.release("10.0.0.1", 80, "alice"))
        self.assertIsNone(table.owner_of("10.0.0.1", 80))

    def test_release(self) -> None:
        """Only the owner can give a port up, and once; then it is free."""
        table = PortTable()
        table.claim("", 80, "alice")
        self.assertFalse(table.release("", 80, "bob"))
        self.assertFalse(table.release("10.0.0.1", 80, "alice"))
        self.assertTaken(table, "10.0.0.1", 80, "bob")
        self.assertTrue(table.release("", 80, "alice"))
        self.assertFalse(table.release("", 80, "alice"))
        table.claim("10.0.0.1", 80, "bob")

    def test_bad_request(self) -> None:
        """What is no port or no address is the peer's mistake, in the words of the wire."""
        for bind, port in (("", 0), ("", 65536), ("", True), ("example.org", 80)):
            self.assertEqual(
                self.assertRaises(PortUnavailable, PortTable().claim, bind, port, "a").code, "bad_request"
            )


BINDS = st.sampled_from(["", "0.0.0.0", "::", "10.0.0.1", "10.0.0.2", "2001:db8::1", "::ffff:10.0.0.1"])
OWNERS = st.sampled_from(["alice", "bob"])
PORTS = st.integers(1, 2)


class PortTableMachine(RuleBasedStateMachine):
    """Claims and releases at random, against a list of who holds what."""

    def __init__(self) -> None:
        super().__init__()
        self.table = PortTable()
        self.held: dict[tuple[str, int], Hashable] = {}

    @rule(bind=BINDS, port=PORTS, owner=OWNERS)
    def claim(self, bind: str, port: int, owner: str) -> None:
        """A claim succeeds exactly when nothing overlaps with it but itself."""
        key = (canonical_bind(bind), port)
        free = self.held.get(key) == owner or not any(
            other[1] == port and overlapping(other[0], key[0]) for other in self.held
        )
        try:
            self.table.claim(bind, port, owner)
        except PortUnavailable:
            assert not free
        else:
            assert free
            self.held[key] = owner

    @rule(bind=BINDS, port=PORTS, owner=OWNERS)
    def release(self, bind: str, port: int, owner: str) -> None:
        """A release succeeds exactly for the holder."""
        key = (canonical_bind(bind), port)
        mine = self.held.get(key) == owner
        assert self.table.release(bind, port, owner) is mine
        if mine:
            del self.held[key]

    @invariant()
    def no_overlap(self) -> None:
        """No two claims overlap, and each belongs to who made it."""
        for one, other in combinations(self.held, 2):
            assert one[1] != other[1] or not overlapping(one[0], other[0])
        for (bind, port), owner in self.held.items():
            assert self.table.owner_of(bind, port) == owner


def overlapping(one: str, other: str) -> bool:
    """Say whether two listeners would meet, by the networks that they stand for."""
    families = {"": "46", "::": "46", "0.0.0.0": "4"}
    if one in families and other in families:
        return True
    if one in families or other in families:
        wild, single = (one, other) if one in families else (other, one)
        return str(ipaddress.ip_address(single).version) in families[wild]
    return one == other


class PortTableModelTests(SynchronousTestCase):
    """Who holds which port, at random."""

    def test_no_overlap(self) -> None:
        """No order of claims and releases makes two owners overlap."""
        run_state_machine_as_test(PortTableMachine, settings=PROPERTY)
