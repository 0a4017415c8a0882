"""The path watch: when it looks, at what, and when it calls a path dead."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from gotunnel.net.pathwatch import INTERVAL, NODES, SLICE, UNACKNOWLEDGED_LIMIT, PathWatch, Stall, leg_times
from gotunnel.net.sockets import PathState


class NodesStallTests(SynchronousTestCase):
    """The same by the times for nodes. A look is (when, unacknowledged, ms since an acknowledgement, ms since data)."""

    def dead_at(self, *looks: tuple[float, int, int, int]) -> list[bool]:
        """Return what each look gave."""
        stall = Stall(NODES)
        return [stall.dead(PathState(under_way, ack, False, data), now) for now, under_way, ack, data in looks]

    def test_times(self) -> None:
        """A leg is gone within 20 seconds: by keepalive if nothing is under way, else by the look after the limit.
        Keepalive has asked before that, at least once, and waited."""
        idle, interval, probes = NODES.keepalive
        self.assertLess(idle + interval * probes, 17)
        self.assertLess(NODES.silence + INTERVAL, 19)
        self.assertGreater(NODES.silence, idle + interval + INTERVAL)
        self.assertGreaterEqual(interval * (probes - 1), 10)  # one comes behind a cut of 10 s
        self.assertEqual((leg_times("kubernetes"), leg_times("default")), (NODES, None))

    def test_data_late_in_the_silence(self) -> None:
        """Data that goes when the path has been dead for a while does not begin a time of its own."""
        self.assertEqual(
            self.dead_at((0, 0, 1000, 2000), (14, 1, 15_000, 16_000), (16, 1, 17_000, 18_000)), [False, False, True]
        )

    def test_heard_of(self) -> None:
        """Whatever comes shows that it lives: acknowledgements, or data alone."""
        self.assertEqual(self.dead_at((0, 1, 60_000, 100), (2, 1, 62_000, 2100)), [False, False])
        self.assertEqual(self.dead_at((0, 1, 100, 60_000), (2, 1, 2100, 62_000)), [False, False])

    def test_nothing_under_way(self) -> None:
        """That is for keepalive."""
        self.assertEqual(self.dead_at((0, 0, 60_000, 60_000)), [False])


class StallTests(SynchronousTestCase):
    """Whether data has stayed unacknowledged for too long. A look is (when, unacknowledged, age of the last
    acknowledgement in ms, window closed)."""

    def dead_at(self, *looks: tuple[float, int, int, bool] | None) -> list[bool]:
        """Return what each look gave; None is a look that the platform does not allow."""
        stall = Stall()
        found, now = [], 0.0
        for look in looks:
            now = look[0] if look else now + 1
            found.append(stall.dead(PathState(*look[1:]) if look else None, now))
        return found

    def test_limits_of_the_contract(self) -> None:
        """30 seconds; and a look every 2 finds a lost leg within 5."""
        self.assertEqual(UNACKNOWLEDGED_LIMIT, 30.0)
        self.assertLess(INTERVAL * 2, 5.0)

    def test_nothing_under_way(self) -> None:
        """A path on which nothing is under way is never dead, however old its last acknowledgement."""
        self.assertEqual(self.dead_at((0, 0, 10**6, False), (100, 0, 10**7, False)), [False, False])

    def test_silence(self) -> None:
        """Data under way and no acknowledgement: dead after 30 seconds, not before."""
        looks = [(second, 2, second * 1000 + 500, False) for second in (0, 2, 28, 29.9)]
        self.assertEqual(self.dead_at(*looks, (30, 2, 30_500, False)), [False] * 4 + [True])

    def test_first_data_after_a_long_rest(self) -> None:
        """The age of the last acknowledgement counts from when the data went, not from before."""
        self.assertEqual(self.dead_at((0, 0, 0, False), (1000, 5, 10**6, False), (1010, 5, 10**6, False)), [False] * 3)

    def test_acknowledgements_go_on(self) -> None:
        """There is always something under way on a busy path; it lives as long as acknowledgements come."""
        self.assertEqual(self.dead_at(*[(second, 40, 1500, False) for second in range(0, 200, 2)]), [False] * 100)

    def test_one_acknowledgement_starts_anew(self) -> None:
        """The 30 seconds count from the last look at which there was a fresh acknowledgement."""
        looks = [(0, 2, 0, False), (28, 2, 28_000, False), (30, 2, 1000, False), (58, 2, 29_000, False)]
        self.assertEqual(self.dead_at(*looks, (60, 2, 31_000, False)), [False] * 4 + [True])

    def test_closed_window(self) -> None:
        """A reader who has stopped is not dead; after he reads again the 30 seconds begin."""
        looks = [(0, 1, 0, False), (29, 1, 29_000, True), (500, 1, 500_000, True), (502, 1, 502_000, False)]
        self.assertEqual(self.dead_at(*looks, (531, 1, 531_000, False)), [False] * 5)
        self.assertEqual(self.dead_at(*looks, (532, 1, 532_000, False)), [False] * 4 + [True])

    def test_unknown(self) -> None:
        """Where the system does not tell, nothing is called dead."""
        self.assertEqual(self.dead_at((0, 1, 0, False), None, None, (31, 1, 31_000, False)), [False] * 4)


class Thing:
    """Something to look at."""

    def __init__(self, act: Callable[[], None] = lambda: None) -> None:
        self.looks: list[float] = []
        self._act = act

    def check(self, now: float) -> None:
        self.looks.append(now)
        self._act()


class PathWatchTests(SynchronousTestCase):
    """When it looks."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.watch = PathWatch(self.clock)

    def timers(self) -> list[float]:
        """Return when the timers are due."""
        return [call.getTime() for call in self.clock.getDelayedCalls()]

    def test_only_when_needed(self) -> None:
        """No timer without something to look at, one with, and none after the last one is gone."""
        self.assertEqual(self.timers(), [])
        first, second = Thing(), Thing()
        self.watch.add(first)
        self.watch.add(second)
        self.watch.add(first)
        self.assertEqual(self.timers(), [INTERVAL])
        self.clock.advance(INTERVAL)
        self.assertEqual((first.looks, second.looks), ([INTERVAL], [INTERVAL]))
        self.watch.remove(first)
        self.watch.remove(second)
        self.watch.remove(second)
        self.clock.advance(INTERVAL)
        self.assertEqual(self.timers(), [])
        self.assertEqual(first.looks, [INTERVAL])
        self.watch.add(first)
        self.assertEqual(self.timers(), [3 * INTERVAL])

    def test_slices(self) -> None:
        """Thousands are looked at in slices, one a turn, each once a round."""
        delays: list[float] = []
        call_later = self.clock.callLater
        self.patch(self.clock, "callLater", lambda delay, *more: delays.append(delay) or call_later(delay, *more))
        turns: list[int] = []
        things = [Thing(lambda: turns.append(len(delays))) for _ in range(2 * SLICE + 3)]
        for thing in things:
            self.watch.add(thing)
        self.clock.advance(INTERVAL)
        self.assertEqual(delays, [INTERVAL, 0, 0, INTERVAL])
        self.assertEqual([turns.count(turn) for turn in (1, 2, 3)], [SLICE, SLICE, 3])
        self.assertEqual({len(thing.looks) for thing in things}, {1})

    def test_changes_between_slices(self) -> None:
        """What goes while a round is on is not looked at any more, and what comes waits for the next."""
        late = Thing()

        def change() -> None:
            self.watch.remove(things[-1])
            self.watch.add(late)

        things = [Thing(change), *[Thing() for _ in range(SLICE)]]
        for thing in things:
            self.watch.add(thing)
        self.clock.advance(INTERVAL)
        self.assertEqual((things[-1].looks, late.looks, self.timers()), ([], [], [2 * INTERVAL]))
        self.clock.advance(INTERVAL)
        self.assertEqual(late.looks, [2 * INTERVAL])

    def test_one_timer(self) -> None:
        """Whatever is added while it looks, there is one timer."""
        other = Thing()
        self.watch.add(Thing(lambda: self.watch.add(other)))
        for turn in range(1, 4):
            self.clock.advance(INTERVAL)
            self.assertEqual(self.timers(), [(turn + 1) * INTERVAL])
        self.assertEqual(other.looks, [2 * INTERVAL, 3 * INTERVAL])

    def test_removes_itself(self) -> None:
        """The last one may go while it is looked at."""
        thing: Thing = Thing(lambda: self.watch.remove(thing))
        self.watch.add(thing)
        self.clock.advance(INTERVAL)
        self.assertEqual(self.timers(), [])

    def test_mistake_in_a_look(self) -> None:
        """A look that raises is a bug, but not the end of all looking."""
        bad, good = Thing(lambda: 1 // 0), Thing()
        self.watch.add(bad)
        self.watch.add(good)
        self.assertRaises(ZeroDivisionError, self.clock.advance, INTERVAL)
        self.watch.remove(bad)
        self.clock.advance(INTERVAL)
        self.assertEqual(good.looks, [2 * INTERVAL])

    def test_stop(self) -> None:
        """After stop nothing is looked at, also when stop is called during a look, and add does nothing."""
        thing = Thing(lambda: self.watch.stop())
        self.watch.add(thing)
        self.watch.add(Thing(lambda: self.fail("looked at after stop")))
        self.clock.advance(INTERVAL)
        self.assertEqual(self.timers(), [])
        self.watch.add(thing)
        self.assertEqual(self.timers(), [])
        waiting = PathWatch(self.clock)
        waiting.add(thing)
        waiting.stop()
        waiting.stop()
        self.assertEqual(self.timers(), [])
