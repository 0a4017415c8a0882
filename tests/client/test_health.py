"""The watch over targets: when it probes, what it makes of the results, and that it neither leaks nor doubles."""

from __future__ import annotations

import itertools
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.internet.testing import EventLoggingObserver
from twisted.logger import formatEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyClass

from gotunnel.client import links as client_links
from gotunnel.client.health import Monitor
from gotunnel.config.model import MappingConfig
from gotunnel.errors import GotunnelError
from gotunnel.interfaces import IHealthCheck
from gotunnel.wire.messages import MappingState, Register
from tests.client.world import World


def mapping(name: str = "web", remote: int = 8080, **health: Any) -> MappingConfig:
    """Return a mapping whose target is probed."""
    values = {"name": name, "local": "10.1.2.3:8000", "remote": remote, "health": health or "tcp"}
    return MappingConfig.model_validate(values)


@implementer(IHealthCheck)
class Check:
    """Keeps its probes for the test to end, unless `answer` is set: None for well, or what is wrong."""

    def __init__(self) -> None:
        self.probes: list[Deferred[None]] = []
        self.times: list[float] = []
        self.cancelled = 0
        self.answer: str | type | None = Check
        self.clock: Clock

    @property
    def running(self) -> int:
        return sum(not probe.called for probe in self.probes)

    def probe(self) -> Deferred[None]:
        """See IHealthCheck."""
        self.times.append(self.clock.seconds())
        if self.answer is None:
            return succeed(None)
        if isinstance(self.answer, str):
            return fail(GotunnelError(self.answer))

        def cancelled(_: object) -> None:
            self.cancelled += 1

        self.probes.append(Deferred(cancelled))
        return self.probes[-1]


class HealthTestCase(SynchronousTestCase):
    """A test with the log and fake checks."""

    def setUp(self) -> None:
        self.log = EventLoggingObserver.createWithCleanup(self, globalLogPublisher)
        self.checks: dict[str, Check] = {}
        self.changes: list[tuple[str, bool, str]] = []

    def lines(self) -> list[str]:
        return [str(formatEvent(event)) for event in self.log]

    def check_for(self, mapping: MappingConfig) -> Check:
        return self.checks.setdefault(mapping.name, Check())


@implementer(IHealthCheck)
class Odd:
    """Answers with what it was made with."""

    def __init__(self, answer: Any) -> None:
        self._answer = answer
        self.asked = 0

    def probe(self) -> Any:
        """See IHealthCheck."""
        self.asked += 1
        return self._answer()


class MonitorTests(HealthTestCase):
    """The monitor by itself."""

    def odd(self, answer: Any, **health: Any) -> Odd:
        """Start a monitor with such a check."""
        found = Odd(answer)
        one = mapping(interval=10, timeout=2, failures=1, successes=1, **health)
        monitor = Monitor(self.clock, (one,), lambda _: found, lambda *change: self.changes.append(change), lambda: 0.0)
        monitor.start()
        self.addCleanup(monitor.stop)
        self.clock.advance(0)
        return found

    def test_odd_answers(self) -> None:
        """Well is None and nothing else: whoever answers with False has not said that. Nor does one failure, told
        again and again by the same Deferred, become a yes."""
        for answer in (lambda: False, lambda: True, lambda: succeed("down"), lambda: 0):
            self.changes.clear()
            self.odd(answer)
            self.assertEqual([up for _, up, _ in self.changes], [False])
        self.assertEqual(len(self.flushLoggedErrors(TypeError)), 4)
        self.changes.clear()
        same: Deferred[None] = fail(GotunnelError("it is down"))
        self.odd(lambda: same)
        self.clock.advance(10)
        self.assertEqual([up for _, up, _ in self.changes], [False])
        self.flushLoggedErrors(TypeError)

    def test_broken(self) -> None:
        """One that is broken is told with its traceback once, and not at each interval; and again when it was well in
        between."""
        found = self.odd(lambda: 1 // 0)
        self.clock.pump([10] * 5)
        self.assertEqual((found.asked, len(self.flushLoggedErrors(ZeroDivisionError))), (6, 1))
        found._answer = lambda: None
        self.clock.advance(10)
        found._answer = lambda: 1 // 0
        self.clock.pump([10] * 2)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_breaks_when_cut(self) -> None:
        """A probe that breaks when its time is over counts as one that was late, and the next one follows."""
        found = self.odd(lambda: Deferred(lambda _: 1 // 0))
        self.clock.advance(2)
        self.assertEqual([reason for _, _, reason in self.changes], ["no answer within 2 s"])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        found._answer = Deferred
        self.clock.advance(8)
        self.assertEqual(found.asked, 2)

    def setUp(self) -> None:
        super().setUp()
        self.clock = Clock()

    def monitor(self, *mappings: MappingConfig, jitter: float = 0.0) -> Monitor:
        """Start one; without jitter the first probe has begun."""
        monitor = Monitor(
            self.clock, mappings, self.check_for, lambda *change: self.changes.append(change), lambda: jitter
        )
        for check in self.checks.values():
            check.clock = self.clock
        monitor.start()
        self.clock.advance(0)
        return monitor

    def test_contract(self) -> None:
        """What these tests play is a health check."""
        self.assertTrue(verifyClass(IHealthCheck, Check))

    def test_only_where_set(self) -> None:
        """A mapping without `health` is not probed."""
        plain = MappingConfig.model_validate({"name": "plain", "local": 1, "remote": 2})
        self.monitor(plain, mapping())
        self.assertEqual(list(self.checks), ["web"])
        self.monitor(plain)
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)

    def test_jitter(self) -> None:
        """The first probe is made at once, so that a target which is down is known before its port opens. The second
        ones are spread over a second, or a tenth of a short interval, and stay apart."""
        for health, interval, latest in (({}, 10, 1.0), ({"interval": 1}, 1, 0.1), ({"interval": 3600}, 3600, 1.0)):
            self.checks.clear()
            before = self.clock.seconds()
            monitor = self.monitor(mapping(**health), jitter=0.75)
            check = self.checks["web"]
            self.assertEqual(check.times, [before])
            check.answer = None
            check.probes[0].callback(None)
            self.clock.advance(interval - 0.75 * latest - 0.01)
            self.assertEqual(len(check.times), 1)
            self.clock.advance(0.011)
            self.assertEqual(len(check.times), 2)
            self.clock.advance(interval - 0.01)
            self.assertEqual(len(check.times), 2)
            self.clock.advance(0.011)
            self.assertEqual(len(check.times), 3)
            monitor.stop()

    def test_interval(self) -> None:
        """Probes begin an interval apart, however long each takes, and never overlap."""
        self.monitor(mapping(interval=10, timeout=30))
        check = self.checks["web"]
        self.clock.advance(4)
        check.probes[0].callback(None)
        self.clock.advance(5.9)
        self.assertEqual(check.times, [0.0])
        self.clock.advance(0.1)
        self.assertEqual(check.times, [0.0, 10.0])
        self.clock.advance(25)
        self.assertEqual(len(check.times), 2)
        check.probes[1].callback(None)
        self.clock.advance(0)
        self.assertEqual(check.times, [0.0, 10.0, 35.0])

    def test_hanging(self) -> None:
        """A probe that hangs is cut by its timeout and has failed; one that is late by then counts no more."""
        self.monitor(mapping(interval=10, timeout=3))
        check = self.checks["web"]
        self.clock.advance(2.9)
        self.assertEqual((check.cancelled, self.changes), (0, []))
        self.clock.advance(0.1)
        self.assertEqual((check.cancelled, self.changes), (1, [("web", False, "no answer within 3 s")]))
        self.clock.advance(7)
        self.assertEqual((len(check.probes), check.running), (2, 1))

    def test_quick_answer_is_not_cut(self) -> None:
        """The timeout of a probe that has ended cuts no later one."""
        self.monitor(mapping(interval=2, timeout=3))
        for number in range(5):
            self.checks["web"].probes[number].callback(None)
            self.clock.advance(2)
        self.assertEqual((self.checks["web"].cancelled, self.changes), (0, []))
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)

    def test_down_at_start(self) -> None:
        """The first probe counts at once; one line for the change, none for what stays as it is."""
        self.monitor(mapping(failures=3))
        check = self.checks["web"]
        check.probes[0].errback(GotunnelError("10.1.2.3:8000: connection refused"))
        self.assertEqual(self.changes, [("web", False, "connection refused")])
        check.answer = "10.1.2.3:8000: no route to it"
        for _ in range(5):
            self.clock.advance(10)
        self.assertEqual(len(self.changes), 1)
        check.answer = None
        self.clock.advance(10)
        self.assertEqual(self.changes[1:], [("web", True, "its target is up again after 60.0 s")])
        self.assertEqual(
            self.lines(),
            [
                "target 10.1.2.3:8000 of mapping web is down: connection refused",
                "target 10.1.2.3:8000 of mapping web is up again after 60.0 s",
            ],
        )

    def test_thresholds(self) -> None:
        """Three failures in a row make it down, two successes make it up, each said once."""
        self.monitor(mapping(interval=1, failures=3, successes=2))
        check = self.checks["web"]
        check.probes[0].callback(None)
        for answer, changes in zip("--+---+++-", (0, 0, 0, 0, 0, 1, 1, 2, 2, 2), strict=True):
            check.answer = None if answer == "+" else "no"
            self.clock.advance(1)
            self.assertEqual(len(self.changes), changes, answer)

    def test_target_stays_secret(self) -> None:
        """What is said to the server names no address and is one short line."""
        self.monitor(mapping())
        self.checks["web"].probes[0].errback(GotunnelError("10.1.2.3:8000: \x1b[31m" + "x" * 5000))
        ((_, _, reason),) = self.changes
        self.assertNotIn("10.1.2.3", reason)
        self.assertTrue(reason.isprintable())
        self.assertLessEqual(len(reason), 200)

    def test_broken_check(self) -> None:
        """A check that breaks its contract counts as failed, is logged as a bug, and goes on."""
        self.monitor(mapping())
        self.checks["web"].probes[0].errback(ZeroDivisionError("oops"))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual([up for _, up, _ in self.changes], [False])
        self.clock.advance(10)
        self.assertEqual(self.checks["web"].running, 1)

    def test_stop(self) -> None:
        """Stopped between probes or within one, nothing is left and nothing more is said."""
        for waits in (False, True):
            monitor = self.monitor(mapping(), mapping("ssh", 22))
            for check in self.checks.values():
                if waits:
                    check.probes[-1].callback(None)
            cancelled = [check.cancelled for check in self.checks.values()]
            monitor.stop()
            monitor.stop()
            self.assertEqual(self.clock.getDelayedCalls(), [])
            self.assertEqual([check.running for check in self.checks.values()], [0, 0])
            self.assertEqual(
                [check.cancelled for check in self.checks.values()], [n + (not waits) for n in cancelled]
            )
        self.assertEqual((self.changes, self.lines(), self.flushLoggedErrors(CancelledError)), ([], [], []))


class LinkTests(HealthTestCase):
    """A client whose targets are watched, from session to session."""

    def world(self, *mappings: MappingConfig) -> World:
        """Make a client whose checks are played by the test."""
        self.patch(client_links, "check_for", lambda clock, mapping: self.check_for(mapping))
        world = World(*mappings)
        for check in self.checks.values():
            check.clock = world.clock
        return world

    def test_told_at_once(self) -> None:
        """Each change is told to the server on the current session, without delay."""
        world = self.world(mapping(interval=1, failures=1))
        server = world.connected(heartbeat=1000.0, timeout=3000.0)
        server.grant()
        world.clock.advance(0.5)
        check = self.checks["web"]
        check.probes[0].callback(None)
        self.assertEqual(server.heard(), [])
        for number in range(10):
            check.answer = f"no {number}"
            world.clock.advance(1)
            self.assertEqual(server.heard(), [MappingState("web", "down", f"no {number}")])
            check.answer = None
            world.clock.advance(1)
            self.assertEqual(
                server.heard(), [MappingState("web", "up", "its target is up again after 1.0 s")]
            )

    def test_right_behind_register(self) -> None:
        """A session that begins while targets are down says so behind each register, ahead of any answer."""
        mappings = [mapping(f"m{number}", 1000 + number) for number in range(130)]
        world = self.world(*mappings)
        world.path.fails = "no"
        world.links.start()
        world.clock.advance(1)
        for number in (0, 63, 64, 129):
            self.checks[f"m{number}"].probes[0].errback(GotunnelError("no"))
        world.path.fails = None
        world.run_until(lambda: len(world.path.attempts[-1][2].value()) > 0)
        heard = world.connected().heard()
        found = [
            f"register {len(m.mappings)}" if isinstance(m, Register) else getattr(m, "name", "")
            for m in heard
        ]
        self.assertEqual(found, ["register 64", "m0", "m63", "register 64", "m64", "register 2", "m129"])

    def test_also_when_asked_again(self) -> None:
        """The same when refused mappings are asked for again in one session."""
        world = self.world(mapping())
        server = world.connected()
        server.grant("port_in_use")
        world.clock.advance(1)
        self.checks["web"].probes[0].errback(GotunnelError("no"))
        self.assertEqual(server.heard(), [MappingState("web", "down", "no")])
        world.clock.advance(3)
        self.assertEqual([type(m) for m in server.heard()], [Register, MappingState])

    def test_reconnects(self) -> None:
        """500 sessions later there is one watch, one probe at a time, an interval apart, no more timers."""
        world = self.world(mapping())
        server = world.connected(heartbeat=1000.0, timeout=3000.0)
        server.grant()
        world.clock.advance(1)
        self.checks["web"].answer = None
        self.checks["web"].probes[0].callback(None)
        before = len(world.clock.getDelayedCalls())
        for _ in range(500):
            attempts = len(world.path.attempts)
            server.transport.lose()
            world.run_until(lambda attempts=attempts: len(world.path.attempts) > attempts)  # type: ignore[misc]
            server = world.connected(heartbeat=1000.0, timeout=3000.0)
            server.grant()
        self.assertEqual(len(world.clock.getDelayedCalls()), before)
        times = self.checks["web"].times
        self.assertGreater(len(times), 50)
        gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
        self.assertGreater(min(gaps), 8.9)  # the second probe comes up to a second early
        self.assertLess(max(gaps), 10.1)
        self.checks["web"].answer = "no"
        for _ in range(3):
            world.clock.advance(10)
        told = [m for m in server.heard() if isinstance(m, MappingState)]
        self.assertEqual(told, [MappingState("web", "down", "no")])

    def test_stop(self) -> None:
        """A client that stops probes no more, whether it is connected or not."""
        for connected in (True, False):
            world = self.world(mapping(), mapping("ssh", 22))
            world.path.hangs = not connected
            world.links.start()
            if connected:
                world.connected().grant()
            world.clock.advance(1)
            self.assertEqual([check.running for check in self.checks.values()], [1, 1])
            done = world.stop(0.0)
            world.run_until(lambda done=done: bool(done))  # type: ignore[misc]
            world.clock.advance(0)
            self.assertEqual([check.running for check in self.checks.values()], [0, 0])
            self.assertEqual(world.clock.getDelayedCalls(), [])
            self.checks.clear()
