"""Tests of gotunnel.core.legpool, case by case."""

from time import thread_time

from twisted.trial.unittest import SynchronousTestCase

from gotunnel.core.legpool import EXCESS_TTL, FIRST_PAUSE, LegPool


def pool_with(count: int, now: float = 0.0, **arguments: float) -> LegPool[int]:
    """Return a pool with idle legs 0, 1, 2… that came one after the other."""
    pool: LegPool[int] = LegPool(**arguments)  # type: ignore[arg-type]
    for leg in range(count):
        pool.arrived(now)
        pool.put(leg, now)
    return pool


class AskingTests(SynchronousTestCase):
    """How many legs are asked for, and when."""

    def test_start(self) -> None:
        """A new session asks for its start legs, once."""
        pool: LegPool[int] = LegPool()
        self.assertEqual(pool.wanted(0.0, 0), 2)
        self.assertEqual((pool.requested, pool.wanted(0.0, 0)), (2, 0))
        pool.arrived(0.1)
        pool.put(1, 0.1)
        self.assertEqual((pool.requested, pool.idle, pool.wanted(0.1, 0)), (1, 1, 0))

    def test_sparing(self) -> None:
        """While descriptors are scarce no legs are asked for but for those who wait, and what is idle beyond the start
        goes within seconds; afterwards all is as before."""
        pool = pool_with(20)
        for leg in [pool.take(1.0) for _ in range(20)]:
            pool.put(leg, 2.0)  # type: ignore[arg-type]
        self.assertEqual((pool.surplus(10.0), pool.wanted(10.0, 0)), ([], 0))
        pool.sparing = True
        self.assertEqual(pool.next_check(2.0), EXCESS_TTL)
        self.assertEqual((len(pool.surplus(10.0)), pool.idle), (18, 2))
        self.assertEqual((pool.wanted(10.0, 0), pool.wanted(10.0, 5)), (0, 5))
        pool.sparing = False
        self.assertEqual(pool.wanted(10.0, 5), 18)

    def test_start_anew(self) -> None:
        """Another number of legs to be kept holds at the next look; those that are too many go when they are old."""
        pool: LegPool[int] = LegPool(start=2, idle_ttl=60.0)
        self.assertEqual(pool.wanted(0.0, 0), 2)
        for leg in range(2):
            pool.arrived(0.0)
            pool.put(leg, 0.0)
        pool.start = 6
        self.assertEqual(pool.wanted(1.0, 0), 4)
        pool.start = 1
        self.assertEqual((pool.surplus(59.0), pool.surplus(60.0)), ([], [0]))

    def test_nothing_at_the_start(self) -> None:
        """A start of zero asks for nothing until somebody waits."""
        pool: LegPool[int] = LegPool(start=0)
        self.assertEqual(pool.wanted(0.0, 0), 0)
        self.assertEqual(pool.wanted(0.0, 1), 1)

    def test_each_waiting_visitor_has_a_leg_under_way(self) -> None:
        """Visitors that wait raise the request beyond the maximum, without counting one twice."""
        pool: LegPool[int] = LegPool(start=2, maximum=4)
        self.assertEqual(pool.wanted(0.0, 10), 12)
        self.assertEqual(pool.wanted(0.0, 10), 0)
        self.assertEqual(pool.wanted(0.0, 11), 0)
        # With twelve waiting and twelve coming, nothing would be left: the start legs are asked for again.
        self.assertEqual(pool.wanted(0.0, 12), 2)

    def test_forgotten_request(self) -> None:
        """A request that nobody answered is made again after its time, and not before."""
        pool: LegPool[int] = LegPool(start=0)
        self.assertEqual(pool.wanted(0.0, 3), 3)
        self.assertEqual(pool.wanted(9.9, 3), 0)
        self.assertEqual(pool.next_check(9.0), 1.0)
        self.assertEqual(pool.wanted(10.0, 3), 3)
        self.assertEqual(pool.requested, 3)

    def test_forgotten_without_visitors(self) -> None:
        """When the visitors have left, what was asked for them is forgotten for good."""
        pool: LegPool[int] = LegPool(start=0)
        pool.wanted(0.0, 3)
        self.assertEqual(pool.wanted(10.0, 0), 0)
        self.assertEqual((pool.requested, pool.next_check(10.0)), (0, None))

    def test_late_leg(self) -> None:
        """A leg that comes after its request was forgotten is welcome and owes nothing."""
        pool: LegPool[int] = LegPool(start=0)
        pool.wanted(0.0, 1)
        pool.wanted(10.0, 0)
        pool.arrived(11.0)
        self.assertTrue(pool.put(1, 11.0))
        self.assertEqual((pool.requested, pool.take(11.0)), (0, 1))

    def test_arrivals_settle_the_oldest_request(self) -> None:
        """What comes settles what was asked first; what was asked later keeps its own time."""
        pool: LegPool[int] = LegPool(start=0)
        pool.wanted(0.0, 2)
        pool.wanted(5.0, 3)
        for leg in range(2):
            pool.arrived(6.0)
            pool.put(leg, 6.0)
        self.assertEqual(pool.next_check(6.0), 9.0)
        self.assertEqual((pool.wanted(14.9, 3), pool.requested), (0, 1))
        self.assertEqual((pool.wanted(15.0, 3), pool.requested), (1, 1))

    def test_failed_legs_are_asked_for_after_a_pause(self) -> None:
        """The two ends do not tell each other 'more' and 'cannot' without end: the pauses grow."""
        pool: LegPool[int] = LegPool(start=0)
        now, pauses = 0.0, []
        for _ in range(7):
            self.assertEqual(pool.wanted(now, 1), 1)
            pool.failed(1, now)
            self.assertEqual((pool.requested, pool.wanted(now, 1)), (0, 0))
            pause = pool.next_check(now)
            assert pause is not None
            pauses.append(pause)
            now += pause
        self.assertEqual(pauses, [FIRST_PAUSE, 1, 2, 4, 8, 10, 10])
        pool.wanted(now, 1)
        pool.arrived(now)
        pool.put(1, now)
        pool.take(now)
        self.assertEqual(pool.wanted(now, 2), 3)
        pool.failed(3, now)
        self.assertEqual(pool.next_check(now), FIRST_PAUSE)

    def test_pause_is_not_missed(self) -> None:
        """A pause that ran out between two calls is reported as due now, not as nothing to do."""
        pool: LegPool[int] = LegPool(start=0)
        pool.wanted(0.0, 1)
        pool.failed(1, 0.0)
        self.assertEqual(pool.wanted(0.49, 1), 0)
        self.assertEqual(pool.next_check(0.6), 0.0)
        self.assertEqual(pool.wanted(0.6, 1), 1)

    def test_more_failures_than_requests(self) -> None:
        """A peer that reports failures of what nobody asked for upsets no counter."""
        pool: LegPool[int] = LegPool(start=0)
        pool.wanted(0.0, 2)
        pool.failed(1000, 0.0)
        self.assertEqual(pool.requested, 0)
        self.assertEqual(pool.wanted(1.0, 2), 2)

    def test_limit(self) -> None:
        """Idle, busy and requested legs together stay within the session's limit, which may change."""
        pool = pool_with(3, start=0, limit=5)
        for _ in range(3):
            pool.take(0.0)
        self.assertEqual(pool.wanted(0.0, 10), 2)
        self.assertEqual(pool.wanted(1.0, 10), 0)
        pool.limit = 6
        self.assertEqual(pool.wanted(1.0, 10), 1)
        pool.limit = 1
        self.assertEqual((pool.wanted(1.0, 10), pool.full), (0, True))

    def test_full(self) -> None:
        """The pool is full when it holds the limit, whether idle or busy."""
        pool = pool_with(1, limit=2)
        pool.take(0.0)
        self.assertFalse(pool.full)
        pool.put(7, 0.0)
        self.assertTrue(pool.full)

    def test_as_many_as_recent_visitors_needed(self) -> None:
        """Ten visitors at once make the pool keep ten idle legs, asked for before it runs dry."""
        pool = pool_with(10)
        for _ in range(5):
            pool.take(1.0)
        self.assertEqual(pool.wanted(1.0, 0), 0)
        for _ in range(2):
            pool.take(1.0)
        # Seven were needed at once: three idle ones are fewer than half of that.
        self.assertEqual(pool.wanted(1.0, 0), 4)
        self.assertEqual(pool.idle + pool.requested, 7)

    def test_maximum(self) -> None:
        """No demand makes the pool keep more than the maximum."""
        pool = pool_with(20, maximum=4)
        for _ in range(20):
            pool.take(1.0)
        self.assertEqual(pool.wanted(1.0, 0), 4)

    def test_demand_is_forgotten(self) -> None:
        """After `idle_ttl` seconds a peak counts no more."""
        pool = pool_with(10, idle_ttl=60.0)
        taken = [pool.take(1.0) for _ in range(10)]
        for leg in taken[:9]:
            assert leg is not None
            pool.put(leg, 2.0)
        for leg in range(9):
            pool.discard(leg)
        pool.discard(9)
        self.assertEqual(pool.wanted(61.9, 0), 10)
        pool.failed(10, 61.9)
        self.assertEqual(pool.wanted(62.5, 0), 2)

    def test_long_visitors_are_no_demand(self) -> None:
        """Visitors that stay for hours do not make the pool hold as many idle legs all the time."""
        pool = pool_with(10, idle_ttl=60.0)
        for _ in range(10):
            pool.take(0.0)
        self.assertEqual(pool.wanted(59.0, 0), 10)
        pool.failed(10, 59.0)
        self.assertEqual(pool.wanted(60.0, 0), 2)

    def test_nonsense(self) -> None:
        """Numbers that make no pool are refused."""
        for numbers in ({"start": -1}, {"start": 3, "maximum": 2}, {"request_ttl": 0}, {"limit": -1}):
            self.assertRaises(ValueError, LegPool, **numbers)


class ServingTests(SynchronousTestCase):
    """Which leg serves, and which is let go."""

    def test_most_recent_first(self) -> None:
        """The leg that served last serves next."""
        pool = pool_with(3)
        self.assertEqual([pool.take(1.0), pool.take(1.0)], [2, 1])
        pool.put(2, 2.0)
        self.assertEqual([pool.take(2.0), pool.take(2.0), pool.take(2.0)], [2, 0, None])

    def test_counters(self) -> None:
        """A leg that is taken is busy, and idle again when it is put back."""
        pool = pool_with(1)
        for _ in range(3):
            leg = pool.take(0.0)
            assert leg is not None
            self.assertEqual((pool.idle, pool.busy), (0, 1))
            pool.put(leg, 0.0)
        self.assertEqual((pool.idle, pool.busy), (1, 0))

    def test_twice_idle(self) -> None:
        """A leg cannot become idle twice: it would serve two visitors at once."""
        pool = pool_with(1)
        self.assertRaises(ValueError, pool.put, 0, 0.0)
        self.assertEqual((pool.take(0.0), pool.take(0.0)), (0, None))

    def test_discard(self) -> None:
        """A leg that is gone is never handed out, and can be discarded again."""
        pool = pool_with(2)
        busy = pool.take(0.0)
        assert busy is not None
        for leg in (busy, 0, 0, 99):
            pool.discard(leg)
        self.assertEqual((pool.idle, pool.busy, pool.take(0.0)), (0, 0, None))

    def test_surplus(self) -> None:
        """Idle legs beyond the start number close when they are old enough, the oldest first, and stay
        away."""
        pool: LegPool[int] = LegPool(start=2, idle_ttl=60.0)
        for leg in range(5):
            pool.put(leg, float(leg))
        self.assertEqual(pool.next_check(10.0), 50.0)
        self.assertEqual(pool.surplus(59.9), [])
        self.assertEqual(pool.surplus(61.0), [0, 1])
        self.assertEqual(pool.surplus(1000.0), [2])
        self.assertEqual((pool.surplus(1000.0), pool.idle, pool.next_check(1000.0)), ([], 2, None))
        self.assertEqual(pool.wanted(1000.0, 0), 0)

    def test_a_crowd_leaves(self) -> None:
        """When a crowd has gone, each of its legs costs the same to close and to forget, however many they are: the
        process does nothing else meanwhile."""

        def leave(crowd: int) -> None:
            pool = pool_with(crowd)
            for leg in [pool.take(1.0) for _ in range(crowd)]:
                pool.put(leg, 2.0)  # type: ignore[arg-type]
            for leg in pool.surplus(10.0):
                pool.discard(leg)
                self.assertEqual((pool.wanted(10.0, 0), pool.surplus(10.0)), (0, []))
                pool.next_check(10.0)

        def took(crowd: int, times: int) -> float:
            began = thread_time()
            for _ in range(times):
                leave(crowd)
            return thread_time() - began

        few, many = took(1_000, 30), min(took(30_000, 1) for _ in range(2))
        self.assertLess(many, 3 * few)

    def test_steady_demand_keeps_its_legs(self) -> None:
        """Legs that recent visitors needed are not closed only to be asked for again."""
        pool = pool_with(8, idle_ttl=60.0)
        for second in range(0, 300, 10):
            now = float(second)
            for leg in [pool.take(now) for _ in range(4)]:
                assert leg is not None
                pool.put(leg, now + 1)
            self.assertEqual(pool.wanted(now + 1, 0), 0)
            pool.surplus(now + 1)
            self.assertEqual(pool.idle, 8 if second < 60 else 4)
        check = pool.next_check(292.0)
        assert check is not None
        self.assertEqual(check, 59.0)
        self.assertEqual(len(pool.surplus(292.0 + check)), 2)

    def test_demand_keeps_old_legs(self) -> None:
        """Old idle legs stay while recent visitors needed as many, and the owner is not woken in vain."""
        pool = pool_with(8, idle_ttl=60.0)
        for leg in [pool.take(50.0) for _ in range(4)]:
            assert leg is not None
            pool.discard(leg)
        self.assertEqual((pool.surplus(61.0), pool.wanted(61.0, 0)), ([], 0))
        self.assertEqual(pool.next_check(61.0), 49.0)
        self.assertEqual(pool.surplus(110.0), [0, 1])

    def test_beyond_the_maximum(self) -> None:
        """More idle legs than the maximum are kept for a moment only, whatever the demand."""
        pool = pool_with(10, maximum=4)
        for leg in [pool.take(0.0) for _ in range(10)]:
            assert leg is not None
            pool.put(leg, 5.0)
        self.assertEqual((pool.surplus(5.0), pool.next_check(5.0)), ([], EXCESS_TTL))
        self.assertEqual(len(pool.surplus(5.0 + EXCESS_TTL)), 6)
        self.assertEqual(pool.idle, 4)

    def test_close(self) -> None:
        """A closed pool gives its idle legs back, takes none in, hands none out and asks for none."""
        pool = pool_with(2)
        busy = pool.take(0.0)
        assert busy is not None
        pool.wanted(0.0, 5)
        self.assertEqual(pool.close(), [0])
        self.assertEqual((pool.idle, pool.busy, pool.requested), (0, 1, 0))
        self.assertFalse(pool.put(busy, 1.0))
        self.assertFalse(pool.put(9, 1.0))
        self.assertEqual((pool.take(1.0), pool.wanted(1.0, 3), pool.busy), (None, 0, 0))
        self.assertIsNone(pool.next_check(1.0))
