"""Tests of gotunnel.core.penalties."""

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from twisted.trial.unittest import SynchronousTestCase

from gotunnel.core.penalties import KNOWN_FOR, KNOWN_SOURCES, Offence, Pardon, Penalties
from gotunnel.core.sources import source_of
from tests.core import PROPERTY

GUESS, SILENT = Offence.AUTH_FAILURE, Offence.NO_AUTH


class PenaltyTests(SynchronousTestCase):
    """What failed logins cost. The numbers are the defaults: 5 s a guess, 1 s a silent one, 15 s before it matters."""

    def test_guesses(self) -> None:
        """Three guesses at once are free, the fourth begins a refusal of all that is outstanding."""
        penalties = Penalties()
        self.assertEqual([penalties.charge("192.0.2.1", GUESS, 0.0) for _ in range(4)], [0, 0, 0, 20.0])
        self.assertTrue(penalties.refuses("192.0.2.1", 19.9))
        self.assertFalse(penalties.refuses("192.0.2.2", 19.9))
        self.assertFalse(penalties.refuses("192.0.2.1", 20.0))
        for now in (19.9, 20.0):
            penalties.count("192.0.2.1", now)
            penalties.count("192.0.2.2", now)
        self.assertEqual(penalties.pardons(20.0), [Pardon("192.0.2.1", 1)])
        self.assertEqual((len(penalties), penalties.active, penalties.pardons(20.0)), (0, 0, []))

    def test_refused_until_all_is_over(self) -> None:
        """The minimum is the way in, not the way out: below it he stays refused."""
        penalties = Penalties()
        for _ in range(4):
            penalties.charge("192.0.2.1", GUESS, 0.0)
        self.assertTrue(penalties.refuses("192.0.2.1", 10.0))
        penalties.charge("192.0.2.1", SILENT, 10.0)
        self.assertTrue(penalties.refuses("192.0.2.1", 20.5))
        self.assertFalse(penalties.refuses("192.0.2.1", 21.0))

    def test_other_numbers(self) -> None:
        """Numbers that change hold for those who are refused already: up to the new maximum, and who is exempt now, or
        has no place in a smaller table, is let in at once."""
        penalties = Penalties()
        for address in ("192.0.2.1", "192.0.2.2", "198.51.100.1"):
            for _ in range(20):
                penalties.charge(address, GUESS, 0.0)
        penalties.use(7.0, 1.0, 10.0, 30.0, 100, ["198.51.100.0/24"], 1.0)
        self.assertEqual([each.source for each in penalties.pardons(1.0)], ["198.51.100.1"])
        self.assertTrue(penalties.refuses("192.0.2.1", 30.9))
        self.assertFalse(penalties.refuses("192.0.2.1", 31.0))
        self.assertEqual([penalties.charge("203.0.113.9", GUESS, 1.0) for _ in range(2)], [0, 14.0])
        penalties.use(7.0, 1.0, 10.0, 30.0, 1, [], 2.0)
        self.assertEqual((len(penalties), penalties.active), (1, 1))

    def test_guesses_in_a_minute(self) -> None:
        """Whoever guesses as fast as he is let in has at most 15 guesses in any minute."""
        penalties, evaluated = Penalties(), []
        for tick in range(6000):
            now = tick / 10
            penalties.pardons(now)
            if not penalties.refuses("192.0.2.1", now):
                evaluated.append(now)
                penalties.charge("192.0.2.1", GUESS, now)
        self.assertLessEqual(max(sum(now <= t < now + 60 for t in evaluated) for now in evaluated), 15)
        self.assertGreater(len(evaluated), 50)

    def test_one_wrong_client(self) -> None:
        """A client with a wrong token, which tries again every five seconds, is never refused."""
        penalties = Penalties()
        for attempt in range(1000):
            self.assertEqual(penalties.charge("192.0.2.1", GUESS, attempt * 5.25), 0)

    def test_maximum(self) -> None:
        """However many there were, after the maximum he is let in."""
        penalties = Penalties(maximum=60.0)
        for _ in range(1000):
            penalties.charge("192.0.2.1", GUESS, 7.0)
        self.assertTrue(penalties.refuses("192.0.2.1", 66.9))
        self.assertFalse(penalties.refuses("192.0.2.1", 67.0))

    def test_good_neighbours(self) -> None:
        """Two hundred connections from one address that prove nothing cost nothing once a client from there got in; for
        a guess it pays all the same, and an hour later for all again."""
        penalties = Penalties()
        penalties.proved("192.0.2.1", 0.0)
        self.assertEqual([penalties.charge("192.0.2.1", SILENT, 1.0) for _ in range(200)], [0.0] * 200)
        self.assertEqual(len(penalties), 0)
        self.assertEqual([penalties.charge("192.0.2.1", GUESS, 2.0) for _ in range(4)], [0, 0, 0, 20.0])
        late = KNOWN_FOR + 30
        self.assertEqual([penalties.charge("192.0.2.1", SILENT, late) for _ in range(16)][-1], 16.0)

    def test_proof_takes_nothing_off(self) -> None:
        """A login that succeeds does not buy a guesser behind the same address free."""
        penalties = Penalties()
        for _ in range(4):
            penalties.charge("192.0.2.1", GUESS, 0.0)
            penalties.proved("192.0.2.1", 0.0)
        self.assertTrue(penalties.refuses("192.0.2.1", 1.0))

    def test_sources(self) -> None:
        """A /64 pays together, and an IPv4 address in IPv6 clothes is the IPv4 one."""
        penalties = Penalties()
        for host in range(4):
            penalties.charge(f"2001:db8::{host}", GUESS, 0.0)
            penalties.charge("::ffff:192.0.2.1", GUESS, 0.0)
        for address in ("2001:db8::ffff", "192.0.2.1"):
            self.assertTrue(penalties.refuses(address, 0.0), address)
        self.assertFalse(penalties.refuses("2001:db8:0:1::1", 0.0))
        self.assertEqual(source_of("2001:db8::1"), "2001:db8::/64")

    def test_exempt(self) -> None:
        """Networks that are trusted never pay, nor does what has no address."""
        penalties = Penalties(exempt=["127.0.0.0/8", "::1", "10.1.2.3", "2001:db8:1::/48"])
        free = ("127.0.0.9", "::1", "::ffff:127.0.0.1", "10.1.2.3", "2001:db8:1:7::9", "unix")
        for address in free:
            self.assertEqual([penalties.charge(address, GUESS, 0.0) for _ in range(9)], [0.0] * 9, address)
        self.assertEqual(len(penalties), 0)
        for address in ("10.1.2.4", "2001:db8:2::1"):
            self.assertEqual([penalties.charge(address, GUESS, 0.0) for _ in range(4)][-1], 20.0, address)

    def test_table_is_bounded(self) -> None:
        """200,000 sources leave as many entries as the table has; the guesser who is refused longest is kept."""
        penalties = Penalties(table=1000)
        for _ in range(10):
            penalties.charge("192.0.2.1", GUESS, 0.0)
        for number in range(200_000):
            penalties.charge(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", GUESS, 0.0)
            self.assertLessEqual(len(penalties), 1000)
        self.assertTrue(penalties.refuses("192.0.2.1", 1.0))
        self.assertEqual(len(penalties._ends), len(penalties))

    def test_known_sources_are_bounded(self) -> None:
        """Sources that proved themselves are remembered in a bounded number too, the latest ones."""
        penalties = Penalties()
        for number in range(KNOWN_SOURCES + 100):
            penalties.proved(f"10.0.{number >> 8}.{number & 255}", 0.0)
        self.assertEqual(len(penalties._known), KNOWN_SOURCES)
        self.assertEqual([penalties.charge("10.0.0.99", SILENT, 1.0) for _ in range(16)][-1], 16.0)
        self.assertEqual([penalties.charge("10.0.0.100", SILENT, 1.0) for _ in range(16)][-1], 0.0)

    def test_expired_entries_go(self) -> None:
        """What is over leaves the table with the next charge, so that it does not only grow."""
        penalties = Penalties()
        for number in range(100):
            penalties.charge(f"10.0.0.{number}", GUESS, float(number))
        self.assertEqual(len(penalties), 5)

    def test_free(self) -> None:
        """What costs nothing leaves no trace."""
        penalties = Penalties(no_auth=0.0)
        self.assertEqual(penalties.charge("192.0.2.1", SILENT, 0.0), 0.0)
        self.assertEqual(len(penalties), 0)

    def test_nonsense(self) -> None:
        """Numbers that make no table are refused."""
        for numbers in ({"minimum": 9.0, "maximum": 1.0}, {"table": 0}, {"auth_failure": -1.0}):
            self.assertRaises(ValueError, Penalties, **numbers)
        self.assertRaises(ValueError, Penalties, exempt=["nowhere"])


class PenaltyMachine(RuleBasedStateMachine):
    """Offences at random, against a plain dictionary."""

    def __init__(self) -> None:
        super().__init__()
        self.penalties = Penalties(maximum=40.0, table=50)
        self.now = 0.0
        self.until: dict[str, float] = {}
        self.refused: set[str] = set()

    @rule(address=st.sampled_from(["10.0.0.1", "10.0.0.2", "2001:db8::1"]), guess=st.booleans())
    def offend(self, address: str, guess: bool) -> None:
        """A refusal begins exactly when more than the minimum is outstanding."""
        self._pass(0)
        until = min(max(self.until.get(address, 0), self.now) + (5 if guess else 1), self.now + 40)
        self.until[address] = until
        begins = until - self.now > 15 and address not in self.refused
        assert bool(self.penalties.charge(address, GUESS if guess else SILENT, self.now)) == begins
        if begins:
            self.refused.add(address)

    @rule(seconds=st.floats(0, 30))
    def _pass(self, seconds: float) -> None:
        """Time passes."""
        self.now += seconds
        for address, until in list(self.until.items()):
            if until <= self.now:
                del self.until[address]
                self.refused.discard(address)

    @rule()
    def pardon(self) -> None:
        """Who is pardoned is refused no more."""
        for pardon in self.penalties.pardons(self.now):
            assert not self.penalties.refuses(pardon.source.replace("/64", "1"), self.now)

    @invariant()
    def refused_are_refused(self) -> None:
        """The same addresses are refused, and it is known when the next one is let in."""
        for address in ("10.0.0.1", "10.0.0.2", "2001:db8::1"):
            assert self.penalties.refuses(address, self.now) == (address in self.refused), address
        soon = self.penalties.next_pardon(self.now)
        if self.refused:
            assert soon is not None
            assert soon <= min(self.until[address] for address in self.refused) - self.now


class PenaltyModelTests(SynchronousTestCase):
    """Offences at random."""

    def test_model(self) -> None:
        """Whatever the order of offences and time, the table says what a plain dictionary says."""
        run_state_machine_as_test(PenaltyMachine, settings=PROPERTY)
