"""Tests of gotunnel.core.admission."""

from collections import Counter

from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from twisted.trial.unittest import SynchronousTestCase

from gotunnel.core.admission import Admission, Ticket
from tests.core import PROPERTY


class AdmissionTests(SynchronousTestCase):
    """Room for connections that have not proved themselves yet."""

    def test_other_limits(self) -> None:
        """Smaller limits push nobody out by themselves; who comes next meets them, and larger ones make room."""
        admission = Admission(total=4, per_address=4)
        for _ in range(3):
            admission.admit("10.0.0.1", 0.0)
        admission.use(2, 2)
        self.assertEqual(len(admission), 3)
        self.assertIsNotNone(admission.admit("10.0.0.1", 1.0)[1])
        admission.use(9, 9)
        self.assertIsNone(admission.admit("10.0.0.1", 2.0)[1])

    def test_room(self) -> None:
        """While there is room nobody makes way, and a release makes room, once."""
        admission = Admission(total=2, per_address=2)
        first, victim = admission.admit("10.0.0.1", 0.0)
        self.assertIsNone(victim)
        self.assertTrue(admission.release(first))
        self.assertFalse(admission.release(first))
        self.assertEqual(len(admission), 0)
        self.assertEqual([admission.admit("10.0.0.1", 1.0)[1] for _ in range(2)], [None, None])

    def test_per_address(self) -> None:
        """One address pushes out its own oldest connection, nobody else's."""
        admission = Admission(total=10, per_address=2)
        other, _ = admission.admit("10.0.0.2", 0.0)
        first, _ = admission.admit("10.0.0.1", 1.0)
        second, _ = admission.admit("10.0.0.1", 2.0)
        self.assertIs(admission.admit("10.0.0.1", 3.0)[1], first)
        self.assertIs(admission.admit("10.0.0.1", 4.0)[1], second)
        self.assertEqual((admission.count("10.0.0.1"), len(admission)), (2, 3))
        self.assertFalse(admission.release(first))
        self.assertTrue(admission.release(other))

    def test_expected(self) -> None:
        """As many as are expected from an address may be there beyond its limit, and no more."""
        admission = Admission(total=10, per_address=2)
        tickets = [admission.admit("10.0.0.1", float(n), 3) for n in range(6)]
        self.assertEqual([victim for _, victim in tickets], [None] * 5 + [tickets[0][0]])
        self.assertIsNotNone(admission.admit("10.0.0.1", 7.0)[1])

    def test_total(self) -> None:
        """When all is full, the most crowded address makes way with its oldest, even for a crowd of
        strangers."""
        admission = Admission(total=4, per_address=4)
        lonely, _ = admission.admit("10.0.0.2", 0.0)
        crowd = [admission.admit("10.0.0.1", float(i))[0] for i in range(1, 4)]
        self.assertIs(admission.admit("10.0.0.3", 5.0)[1], crowd[0])
        self.assertIs(admission.admit("10.0.0.4", 6.0)[1], crowd[1])
        # Now everybody has one: the oldest of all goes.
        self.assertIs(admission.admit("10.0.0.5", 7.0)[1], lonely)

    def test_newcomer_of_the_crowd(self) -> None:
        """A full house does not keep the most crowded address out either: it pushes out itself."""
        admission = Admission(total=2, per_address=2)
        first, _ = admission.admit("10.0.0.1", 0.0)
        admission.admit("10.0.0.1", 1.0)
        self.assertIs(admission.admit("10.0.0.1", 2.0)[1], first)

    def test_groups(self) -> None:
        """A /64 is one address, an IPv4 address in IPv6 clothes the IPv4 one, other text itself."""
        admission = Admission()
        for address in ("2001:db8::1", "2001:db8::ffff:1", "::ffff:10.0.0.1", "10.0.0.1", "unix"):
            admission.admit(address, 0.0)
        self.assertEqual(admission.count("2001:db8:0:0:5::"), 2)
        self.assertEqual(admission.count("2001:db8:0:1::1"), 0)
        self.assertEqual(admission.count("10.0.0.1"), 2)
        self.assertEqual(admission.count("unix"), 1)

    def test_nonsense(self) -> None:
        """Limits that let nobody in are refused."""
        self.assertRaises(ValueError, Admission, total=0)
        self.assertRaises(ValueError, Admission, per_address=0)


class AdmissionMachine(RuleBasedStateMachine):
    """Connections come, go, and are pushed out, against a plain list."""

    def __init__(self) -> None:
        super().__init__()
        self.admission = Admission(total=6, per_address=3)
        self.live: list[tuple[Ticket, str]] = []
        self.gone: list[Ticket] = []
        self.now = 0.0

    @rule(address=st.sampled_from(["10.0.0.1", "10.0.0.2", "10.0.0.3", "2001:db8::1"]))
    def admit(self, address: str) -> None:
        """A victim is named exactly when a limit is reached, and is the oldest of the address that must
        give."""
        self.now += 1
        before = Counter(address for _, address in self.live)
        ticket, victim = self.admission.admit(address, self.now)
        full = before[address] >= 3 or len(self.live) >= 6
        assert (victim is not None) == full
        if victim is not None:
            place = [live for live, _ in self.live].index(victim)
            loser = self.live[place][1]
            assert loser not in [name for _, name in self.live[:place]]
            assert loser == address if before[address] >= 3 else before[loser] == max(before.values())
            del self.live[place]
            self.gone.append(victim)
        self.live.append((ticket, address))

    @precondition(lambda self: self.live)
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        """A connection proves itself or closes."""
        ticket, _ = self.live.pop(data.draw(st.integers(0, len(self.live) - 1)))
        assert self.admission.release(ticket)
        self.gone.append(ticket)

    @precondition(lambda self: self.gone)
    @rule(data=st.data())
    def release_again(self, data: st.DataObject) -> None:
        """A late release of a ticket that is gone changes nothing."""
        assert not self.admission.release(data.draw(st.sampled_from(self.gone)))

    @invariant()
    def counters_equal_live_tickets(self) -> None:
        """The counters are the live tickets, in all and per address, and within the limits."""
        assert len(self.admission) == len(self.live) <= 6
        for address, number in Counter(address for _, address in self.live).items():
            assert self.admission.count(address) == number <= 3


class AdmissionModelTests(SynchronousTestCase):
    """Connections at random."""

    def test_counters(self) -> None:
        """The counters are the live tickets, whatever the order of admissions and releases."""
        run_state_machine_as_test(AdmissionMachine, settings=PROPERTY)
