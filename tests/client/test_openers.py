"""Which session serves a forward's visitor, and who is next when it does not lead him to his target."""

from __future__ import annotations

from collections.abc import Iterable

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from gotunnel.address import HostPort
from gotunnel.client import openers as openers_module
from gotunnel.client.forwardvisitors import ForwardVisitor
from gotunnel.client.openers import Openers
from gotunnel.core.outcome import Outcome
from gotunnel.core.roster import SHUN
from gotunnel.core.stream import StreamEnd
from gotunnel.dialrules import MappingTarget
from gotunnel.net.lobby import Lobby
from gotunnel.net.visitor import Visitor
from tests.doubles import FakeLocal


class Session:
    """A session with so many legs left."""

    plain_legs = False

    def __init__(self, openers: Openers, server: str, load: int = 0, legs: int = 100) -> None:
        self.server, self.load, self.legs = server, load, legs
        self.visitors: list[ForwardVisitor] = []
        self.openers = openers
        self.queue = openers.queue_of(self)[False]

    def serve(self, visitor: Visitor) -> bool:
        """See Opener."""
        assert isinstance(visitor, ForwardVisitor)
        if not self.legs:
            return False
        self.legs -= 1
        self.visitors.append(visitor)
        self.openers.opened(visitor, self)
        return True

    def feed(self) -> None:
        """See Opener."""
        while self.legs and len(self.queue):
            visitor = self.queue.next()
            assert visitor is not None
            self.serve(visitor)


class OffTests(SynchronousTestCase):
    """What servers say of mappings of others."""

    def test_each_server(self) -> None:
        """A mapping is off once each server that may get a visitor says so; one that is gone does not count, and one
        that names mappings for ever fills nothing."""
        openers = Openers(Clock(), Lobby(Clock(), 10.0, lambda *_: None))
        one, two = Session(openers, "one"), Session(openers, "two")
        openers.begin(one)
        openers.begin(two)
        api = MappingTarget("home", "api")
        openers.told_off(one, api, "so")
        self.assertEqual(openers.why_off(api), "")
        openers.told_off(two, api, "too")
        self.assertEqual(openers.why_off(api), "so")
        openers.told_off(two, api, None)
        self.assertEqual(openers.why_off(api), "")
        openers.lost(two)
        self.assertEqual(openers.why_off(api), "so")
        openers.lost(one)
        self.assertEqual(openers.why_off(api), "")
        openers.begin(two)
        self.patch(openers_module, "MOST_OFF", 3)
        for number in range(9):
            openers.told_off(two, MappingTarget("home", str(number)), "so")
        off = [bool(openers.why_off(MappingTarget("home", str(number)))) for number in range(9)]
        self.assertEqual(off, [True] * 3 + [False] * 6)


class OpenerTests(SynchronousTestCase):
    """Sessions of which nothing is real."""

    def setUp(self) -> None:
        """Nobody is there."""
        self.clock = Clock()
        self.away: list[Outcome] = []
        self.lobby = Lobby(self.clock, 10.0, self.ended)
        self.openers = Openers(self.clock, self.lobby)

    def ended(self, visitor: Visitor, outcome: Outcome, end: StreamEnd | None = None) -> None:
        """See Lobby."""
        self.away.append(outcome)
        visitor.over(outcome, end)

    def sessions(self, *servers: str, legs: int = 100) -> Iterable[Session]:
        """Let sessions serve; the first has the fewest visitors."""
        for load, server in enumerate(servers):
            session = Session(self.openers, server, load, legs)
            self.openers.begin(session)
            yield session

    def visitor(self) -> ForwardVisitor:
        """One comes."""
        target = HostPort("10.0.0.7", 5432)
        visitor = ForwardVisitor("c-1", "db", False, FakeLocal(), 0.0, target, self.openers)
        self.openers.place(visitor)
        return visitor

    def fails(self, visitor: ForwardVisitor, outcome: Outcome = Outcome.REFUSED, code: str | None = None) -> bool:
        """Let the session that has him give him back; say whether somebody else has him."""
        end = StreamEnd(outcome, code, 0, 0)
        if visitor.elsewhere(outcome, end):
            return True
        self.ended(visitor, outcome, end)
        return False

    def test_one_that_fails_comes_last(self) -> None:
        """Who refuses a visitor has none, and would get all of them: for a while it comes behind the others."""
        bad, good = self.sessions("bad", "good")
        visitor = self.visitor()
        self.assertIs(visitor.opener, bad)
        self.assertTrue(self.fails(visitor))
        self.assertIs(self.visitor().opener, good)
        self.clock.advance(SHUN)
        self.assertIs(self.visitor().opener, bad)

    def test_forgiven(self) -> None:
        """Once a target has answered there, it comes first again at once."""
        bad, good = self.sessions("bad", "good")
        early = self.visitor()
        self.fails(self.visitor())
        self.assertIs(self.visitor().opener, good)
        early.answered()
        self.assertIs(self.visitor().opener, bad)

    def test_each_once(self) -> None:
        """He goes from one to the next, by their health, is with none twice, and is reset when all have failed him."""
        one, two, three = self.sessions("one", "two", "three")
        self.fails(self.visitor())  # so that `one` comes last
        visitor = self.visitor()
        seen = [visitor.opener]
        for outcome in (Outcome.DIAL_TIMEOUT, Outcome.LEG_LOST):
            self.assertTrue(visitor.held)
            self.assertTrue(self.fails(visitor, outcome))
            seen.append(visitor.opener)
        self.assertEqual(seen, [two, three, one])
        self.assertFalse(visitor.local.gone)
        self.assertFalse(self.fails(visitor, Outcome.REFUSED, "not_allowed"))
        self.assertTrue(visitor.local.gone)
        self.assertEqual(self.away, [Outcome.REFUSED])

    def test_answered(self) -> None:
        """Once his target has answered his bytes travel: he is given to nobody else, and no session is blamed."""
        one, _ = self.sessions("one", "two")
        visitor = self.visitor()
        visitor.answered()
        self.assertFalse(self.fails(visitor, Outcome.LEG_LOST))
        self.assertIs(self.visitor().opener, one)

    def test_on_purpose(self) -> None:
        """One whom an operator has cut, or who has left, is not brought back to life."""
        _, two = self.sessions("one", "two")
        self.assertFalse(self.fails(self.visitor(), Outcome.STOPPED, "kicked"))
        self.assertFalse(self.fails(self.visitor(), Outcome.VISITOR_LEFT))
        visitor = self.visitor()
        visitor.local.abort()
        self.assertFalse(self.fails(visitor))
        self.assertEqual(two.visitors, [])

    def test_one_server(self) -> None:
        """Without another server nothing is held back: the first bytes travel right behind the OPEN."""
        (_only,) = self.sessions("only")
        visitor = self.visitor()
        self.assertFalse(visitor.held)
        self.assertFalse(self.fails(visitor))

    def test_waits_for_the_other(self) -> None:
        """Where the next one has no leg yet he waits, and the one that has failed him does not take him again, though
        it takes those who came later."""
        one, two = self.sessions("one", "two")
        visitor = self.visitor()
        one.legs = two.legs = 0
        self.assertTrue(self.fails(visitor))
        later = self.visitor()
        self.assertEqual((len(one.queue), len(two.queue)), (1, 2))
        one.legs = 5
        one.feed()
        self.assertEqual(one.visitors[1:], [later])
        two.legs = 5
        two.feed()
        self.assertEqual(two.visitors, [visitor])
        self.assertEqual((self.lobby.pending, len(self.openers.passed)), (0, 0))

    def test_waits_in_vain(self) -> None:
        """He waits as long as others do, and is reset."""
        _, two = self.sessions("one", "two")
        visitor = self.visitor()
        two.legs = 0
        self.assertTrue(self.fails(visitor))
        self.clock.advance(10.0)
        self.assertEqual(self.away, [Outcome.NO_LEG])
        self.assertTrue(visitor.local.gone)
        self.assertEqual(len(self.openers.passed), 0)

    def test_leaves_while_he_waits(self) -> None:
        """He is forgotten."""
        _, two = self.sessions("one", "two")
        visitor = self.visitor()
        two.legs = 0
        self.fails(visitor)
        visitor.local.leave()  # type: ignore[attr-defined]
        self.assertEqual((self.away, self.lobby.pending, len(self.openers.passed)), ([Outcome.VISITOR_LEFT], 0, 0))
