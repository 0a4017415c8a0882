"""Tests of gotunnel.core.sessions."""

from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from twisted.trial.unittest import SynchronousTestCase

from gotunnel.core.sessions import Asked, Decision, SessionTable, time_to_answer
from tests.core import PROPERTY


class TimeToAnswerTests(SynchronousTestCase):
    """How long an old session may take to answer when another process claims its place."""

    def test_whole(self) -> None:
        """Login and question leave a quarter of a second of the two for what travels."""
        for login in (0.0, 0.1, 0.24):
            self.assertAlmostEqual(login + time_to_answer(login, 0.02, 0.0), 1.75)
            self.assertAlmostEqual(login + time_to_answer(login, None, 0.0), 1.75)

    def test_slow_paths(self) -> None:
        """Whoever logs in slowly shortens the question by half a second and no more, and not at all where the old
        session is as far away: it may be far away because both share a slow path."""
        self.assertEqual(time_to_answer(3.0, 0.02, 0.0), 1.5)
        self.assertEqual(time_to_answer(3.0, 0.6, 0.0), 2.0)
        self.assertEqual(time_to_answer(0.0, 0.6, 1.9), 2.0)

    def test_owed_already(self) -> None:
        """One that has not answered a ping within 2 s before is given a last chance only, however far it was."""
        self.assertEqual(time_to_answer(0.0, 0.6, 2.0), 0.5)
        self.assertEqual(time_to_answer(0.0, None, 12.0), 0.5)
        self.assertEqual(time_to_answer(0.0, 0.02, 1.99), 1.75)


class DecisionTests(SynchronousTestCase):
    """Who becomes the current session of a name."""

    def setUp(self) -> None:
        """One session of `edge`, by process i1."""
        self.table: SessionTable[str] = SessionTable()
        self.early = self.table.next_number()
        self.first = self.table.next_number()
        self.table.begin(b"s1", "edge", b"i1", self.first, "one")

    def decide(self, instance: bytes, asked: Asked | None = None) -> Decision:
        """Authenticate a newer session of `edge`."""
        return self.table.authenticated("edge", instance, self.table.next_number(), asked)

    def test_new(self) -> None:
        """A name that nobody uses is free; a version 1 identity of the same name is another name."""
        number = self.table.next_number()
        self.assertEqual(self.table.authenticated("other", b"i1", number), Decision.NEW)
        self.assertEqual(self.table.authenticated(("v1", "edge", 80), b"", number), Decision.NEW)

    def test_same_instance(self) -> None:
        """A process that comes back replaces itself at once."""
        self.assertEqual(self.decide(b"i1"), Decision.TAKE_OVER)

    def test_empty_instance(self) -> None:
        """Two clients that name no instance are not one process."""
        self.table.begin(b"s2", "bare", b"", self.table.next_number(), "two")
        self.assertEqual(self.table.authenticated("bare", b"", self.table.next_number()), Decision.ASK_OLD)

    def test_other_instance(self) -> None:
        """Another process has to wait for the old one's answer to a ping."""
        self.assertEqual(self.decide(b"i2"), Decision.ASK_OLD)
        self.assertEqual(self.decide(b"i2", Asked(b"s1", True)), Decision.NAME_IN_USE)
        self.assertEqual(self.decide(b"i2", Asked(b"s1", False)), Decision.TAKE_OVER)

    def test_draining_or_lost(self) -> None:
        """A session that drains, or whose connection is gone, is not asked."""
        self.assertTrue(self.table.draining(b"s1"))
        self.assertEqual(self.decide(b"i2"), Decision.TAKE_OVER)
        self.table.begin(b"s2", "edge", b"i2", self.table.next_number(), "two")
        self.assertEqual(self.decide(b"i3"), Decision.ASK_OLD)
        self.assertTrue(self.table.lost(b"s2"))
        self.assertEqual(self.decide(b"i3", Asked(b"s2", True)), Decision.TAKE_OVER)

    def test_stale(self) -> None:
        """A challenge older than the current session's loses, whoever and whatever else holds."""
        for instance in (b"i1", b"i2"):
            self.assertEqual(self.table.authenticated("edge", instance, self.early), Decision.STALE)
        self.table.lost(b"s1")
        silent = Asked(b"s1", False)
        self.assertEqual(self.table.authenticated("edge", b"i1", self.early, silent), Decision.STALE)
        self.assertRaises(ValueError, self.table.begin, b"s0", "edge", b"i1", self.early, "zero")

    def test_answer_about_another_session(self) -> None:
        """While the old session was pinged a third one came in: that it was silent says nothing of the new
        one."""
        number = self.table.next_number()
        self.assertEqual(self.table.authenticated("edge", b"i2", number), Decision.ASK_OLD)
        newer = self.table.next_number()
        self.table.begin(b"s3", "edge", b"i3", newer, "three")
        silent = Asked(b"s1", False)
        self.assertEqual(self.table.authenticated("edge", b"i2", number, silent), Decision.STALE)
        self.assertEqual(
            self.table.authenticated("edge", b"i2", self.table.next_number(), silent), Decision.ASK_OLD
        )

    def test_old_session_undoes_nothing(self) -> None:
        """Whatever the old session's clean-up says, the new one stays as it is."""
        old = self.table.begin(b"s2", "edge", b"i1", self.table.next_number(), "two")
        assert old is not None
        self.assertEqual((old.session, old.sid), ("one", b"s1"))
        for change in (self.table.lost, self.table.draining, self.table.ended):
            self.assertFalse(change(b"s1"))
        current = self.table.current("edge")
        assert current is not None
        self.assertEqual((current.session, current.lost, current.draining), ("two", False, False))
        self.assertIsNone(self.table.by_sid(b"s1"))
        self.assertIs(self.table.by_sid(b"s2"), current)

    def test_ended(self) -> None:
        """The end of the current session frees its name, once."""
        self.assertTrue(self.table.ended(b"s1"))
        self.assertFalse(self.table.ended(b"s1"))
        self.assertIsNone(self.table.current("edge"))
        self.assertIsNone(self.table.by_sid(b"s1"))
        self.assertEqual((len(self.table), self.decide(b"i2")), (0, Decision.NEW))

    def test_same_sid(self) -> None:
        """A sid serves once, or legs would reach the wrong session."""
        number = self.table.next_number()
        self.assertRaises(ValueError, self.table.begin, b"s1", "other", b"i9", number, "x")
        self.assertIsNone(self.table.current("other"))


class SessionMachine(RuleBasedStateMachine):
    """Handshakes of two names overlap at random; sessions are replaced, lost and ended, old ones too."""

    def __init__(self) -> None:
        super().__init__()
        self.table: SessionTable[int] = SessionTable()
        self.challenged: list[tuple[str, int]] = []
        self.all: list[tuple[bytes, str, int]] = []
        self.winner: dict[str, tuple[bytes, int]] = {}

    @rule(name=st.sampled_from("ab"))
    def challenge(self, name: str) -> None:
        """A hello is answered."""
        self.challenged.append((name, self.table.next_number()))

    @precondition(lambda self: self.challenged)
    @rule(data=st.data(), instance=st.sampled_from([b"", b"i", b"j"]), answered=st.booleans())
    def authenticate(self, data: st.DataObject, instance: bytes, answered: bool) -> None:
        """Any outstanding handshake ends, in any order."""
        name, number = self.challenged.pop(data.draw(st.integers(0, len(self.challenged) - 1)))
        decision = self.table.authenticated(name, instance, number)
        if decision is Decision.ASK_OLD:
            decision = self.table.authenticated(name, instance, number, Asked(self.winner[name][0], answered))
            assert decision is (Decision.NAME_IN_USE if answered else Decision.TAKE_OVER)
        old = self.winner.get(name)
        assert (decision is Decision.NEW) == (old is None)
        assert (decision is Decision.STALE) == (old is not None and number < old[1])
        if decision in (Decision.NEW, Decision.TAKE_OVER):
            sid = number.to_bytes(16, "big")
            replaced = self.table.begin(sid, name, instance, number, number)
            assert (replaced.sid if replaced else None) == (old[0] if old else None)
            self.winner[name] = sid, number
            self.all.append((sid, name, number))

    @precondition(lambda self: self.all)
    @rule(data=st.data(), what=st.sampled_from(["lost", "draining", "ended"]))
    def clean_up(self, data: st.DataObject, what: str) -> None:
        """Any session, current or long replaced, says that it is over."""
        sid, name, _ = data.draw(st.sampled_from(self.all))
        current = self.winner.get(name, (b"", 0))[0] == sid
        assert getattr(self.table, what)(sid) is current
        if current and what == "ended":
            del self.winner[name]

    @invariant()
    def agrees(self) -> None:
        """The table shows the current sessions and no others, under both keys."""
        assert len(self.table) == len(self.winner)
        for name in "ab":
            record = self.table.current(name)
            assert (record.sid if record else None) == self.winner.get(name, (None,))[0]
        for sid, name, _ in self.all:
            assert (self.table.by_sid(sid) is not None) == (self.winner.get(name, (None,))[0] == sid)


class SessionModelTests(SynchronousTestCase):
    """Overlapping handshakes, at random."""

    def test_newest_stays(self) -> None:
        """No order of handshakes and clean-ups lets an old session undo a new one."""
        run_state_machine_as_test(SessionMachine, settings=PROPERTY)
