"""Tests of gotunnel.core.legpool: visitors, legs and time at random, against a plain model."""

from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from twisted.trial.unittest import SynchronousTestCase

from gotunnel.core.legpool import EXCESS_TTL, LegPool
from tests.core import PROPERTY

START, MAXIMUM, LIMIT, REQUEST_TTL, IDLE_TTL = 2, 5, 14, 10.0, 60.0


class LegPoolMachine(RuleBasedStateMachine):
    """An opener and its peer: visitors come and go, the peer brings legs, fails, is late or silent."""

    def __init__(self) -> None:
        super().__init__()
        self.pool: LegPool[int] = LegPool(START, MAXIMUM, REQUEST_TTL, IDLE_TTL, LIMIT)
        self.now = 0.0
        self.idle: dict[int, float] = {}
        self.busy: set[int] = set()
        self.requests: list[tuple[int, float]] = []
        self.waiting = 0
        self.legs = 0
        self.paused_until = 0.0

    def serve(self) -> None:
        """Waiting visitors take what is idle."""
        while self.waiting and (leg := self.pool.take(self.now)) is not None:
            assert leg in self.idle, "a leg that is not idle was handed out"
            assert self.idle[leg] == max(self.idle.values())
            del self.idle[leg]
            self.busy.add(leg)
            self.waiting -= 1
        assert not (self.waiting and self.idle)

    def settle(self, count: int) -> None:
        """The oldest requests are answered."""
        self.requests = self.requests[count:]

    def ask(self) -> None:
        """Call `wanted` as the owner does after every event, and check what it says."""
        self.requests = [(number, until) for number, until in self.requests if until > self.now]
        before = len(self.requests)
        count = self.pool.wanted(self.now, self.waiting)
        assert count >= 0
        after = before + count
        total = len(self.idle) + len(self.busy) + after
        if count:
            assert self.now >= self.paused_until
            assert total <= LIMIT
            assert len(self.idle) + after <= self.waiting + MAXIMUM
        if self.now >= self.paused_until and total < LIMIT:
            assert len(self.idle) + after >= self.waiting, "a visitor waits without a leg under way"
            assert 2 * (len(self.idle) + after - self.waiting) >= START, "the pool runs dry"
        self.requests += [(1, self.now + REQUEST_TTL)] * count
        assert self.pool.requested == len(self.requests)

    @rule()
    def visitor(self) -> None:
        """A visitor comes."""
        self.waiting += 1
        self.serve()
        self.ask()

    @precondition(lambda self: self.waiting)
    @rule()
    def visitor_leaves(self) -> None:
        """A waiting visitor gives up."""
        self.waiting -= 1
        self.ask()

    @rule(count=st.integers(1, 6))
    def legs_arrive(self, count: int) -> None:
        """The peer brings legs, asked for or late, up to the limit that the owner holds it to."""
        for _ in range(count):
            assert self.pool.full == (len(self.idle) + len(self.busy) >= LIMIT)
            if not self.pool.full:
                self.legs += 1
                self.settle(1)
                self.paused_until = 0.0
                self.pool.arrived(self.now)
                assert self.pool.put(self.legs, self.now)
                self.idle[self.legs] = self.now
                self.serve()
        self.ask()

    @rule(count=st.integers(1, 6))
    def legs_fail(self, count: int) -> None:
        """The peer cannot."""
        self.settle(count)
        self.pool.failed(count, self.now)
        check = self.pool.next_check(self.now)
        assert check is not None and check < REQUEST_TTL + 0.001
        assert self.pool.wanted(self.now, self.waiting) == 0
        # What the pause is worth exactly is tested elsewhere; here: it ends, and until then nothing is asked.
        self.paused_until = self.pool._paused_until or 0.0
        assert self.now < self.paused_until <= self.now + REQUEST_TTL
        self.ask()

    @precondition(lambda self: self.busy)
    @rule(data=st.data(), dies=st.booleans())
    def visitor_ends(self, data: st.DataObject, dies: bool) -> None:
        """A visitor is over; its leg returns, or is gone with it."""
        leg = data.draw(st.sampled_from(sorted(self.busy)))
        self.busy.remove(leg)
        if dies:
            self.pool.discard(leg)
        else:
            assert self.pool.put(leg, self.now)
            self.idle[leg] = self.now
        self.serve()
        self.ask()

    @precondition(lambda self: self.idle)
    @rule(data=st.data())
    def idle_leg_dies(self, data: st.DataObject) -> None:
        """An idle leg is gone."""
        leg = data.draw(st.sampled_from(sorted(self.idle)))
        del self.idle[leg]
        self.pool.discard(leg)
        self.ask()

    @rule(seconds=st.sampled_from([0.1, 0.5, 1.0, 3.0, 10.0, 61.0]))
    def time_passes(self, seconds: float) -> None:
        """The owner wakes whenever it was told to, and after `seconds`; being told never makes it spin."""
        end = self.now + seconds
        for _ in range(200):
            check = self.pool.next_check(self.now)
            # A hair later than told, as a timer is: sums of floats do not come out even.
            self.now = end if check is None else min(end, self.now + check + 1e-6)
            self.ask()
            self.close_surplus()
            if self.now == end:
                return
        raise AssertionError("next_check makes its caller spin")

    def close_surplus(self) -> None:
        """Call `surplus` and check what it lets go, and what it keeps."""
        for leg in self.pool.surplus(self.now):
            age = self.now - self.idle.pop(leg)
            assert age >= IDLE_TTL or (len(self.idle) >= MAXIMUM and age >= EXCESS_TTL)
            assert len(self.idle) >= START
        young = sum(self.now - since < EXCESS_TTL for since in self.idle.values())
        assert len(self.idle) <= max(MAXIMUM, young)
        before = self.pool.requested
        assert self.pool.wanted(self.now, self.waiting) == 0 and self.pool.requested == before, (
            "legs were closed only to be asked for again"
        )

    @invariant()
    def counters(self) -> None:
        """The pool counts what there is."""
        assert (self.pool.idle, self.pool.busy) == (len(self.idle), len(self.busy))


class LegPoolModelTests(SynchronousTestCase):
    """Visitors, legs and time at random."""

    def test_never_wrong(self) -> None:
        """No order of events makes the pool hand out a leg twice, ask for too much, or forget a visitor."""
        run_state_machine_as_test(LegPoolMachine, settings=PROPERTY)
