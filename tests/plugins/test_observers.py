"""Who is told of visitors: in which order, and what becomes of observers that fail."""

from __future__ import annotations

import json
import sys
from typing import Any

from twisted.internet.task import Clock
from twisted.internet.testing import EventLoggingObserver
from twisted.logger import globalLogPublisher
from zope.interface.verify import verifyObject

from gotunnel.admin.api import Api
from gotunnel.admin.events import Events
from gotunnel.admin.lag import Lag
from gotunnel.admin.metrics import exposition
from gotunnel.config.model import ServerConfig
from gotunnel.config.observeroptions import LogOptions
from gotunnel.core.observed import Ended, Stream
from gotunnel.core.outcome import Outcome
from gotunnel.core.stream import StreamEnd
from gotunnel.errors import ConfigError, GotunnelError
from gotunnel.interfaces import IStreamObserver
from gotunnel.net.observers import LogObserver, MetricsObserver
from gotunnel.net.observing import INTERVAL, Observers
from gotunnel.server.view import ServerView
from tests.config.files import SERVER, FileTestCase
from tests.integration.base import TOKEN, IntegrationTestCase
from tests.plugins.places import PlaceTestCase, ReactorPlaceTestCase

ODD = '''
class O(Options):
    how: int = Field(description="x")

class Odd:
    """Tells Prometheus nonsense, in one of several ways."""

    def __init__(self, reactor, options, role):
        self.how = options.how

    def collect(self):
        from prometheus_client.core import GaugeMetricFamily
        wrong = GaugeMetricFamily("odd", "x", labels=["a"])
        wrong.add_metric(["b"], "no number")
        return [lambda: 1 / 0, lambda: exit(3), lambda: "text", lambda: [None], lambda: 7, lambda: [wrong]][self.how]()

    def opened(self, stream): ...
    def bytes(self, stream, up, down): ...
    def closed(self, stream, ended): ...
    def stop(self): ...

odd = Plugin(IStreamObserver, "odd", Odd, options=O)
'''

HEARS = '''
class O(Options):
    file: str = Field(default="", description="x")
    fails: str = Field(default="", description="x")

class Hears:
    """Keeps what it hears, and fails where its options say so."""

    all = []

    def __init__(self, reactor, options, role):
        self.options, self.role, self.heard = options, role, []
        if options.fails == "made":
            raise GotunnelError("it cannot be made; leave it out")
        Hears.all.append(self)

    def _hear(self, *what):
        self.heard.append(what)
        if self.options.fails == what[0]:
            1 / 0

    def opened(self, stream):
        self._hear("opened", stream)

    def bytes(self, stream, up, down):
        self._hear("bytes", stream, up, down)

    def closed(self, stream, ended):
        self._hear("closed", stream, ended)

    def stop(self):
        self._hear("stop")

hears = Plugin(IStreamObserver, "hears", Hears, options=O)
late = Plugin(IStreamObserver, "late", lambda *_: Late())

class Late(Hears):
    def __init__(self):
        pass

    def opened(self, stream):
        from twisted.internet.defer import fail
        return fail(RuntimeError("later"))

    bytes = closed = stop = lambda *_: None
'''


def observers_of(*named: Any) -> Any:
    """Return what a file says of observers."""
    return ServerConfig.model_validate({"token": TOKEN, "observers": list(named)}).observers


class ObserversTests(PlaceTestCase):
    """The order of calls, on a clock that stands still."""

    def setUp(self) -> None:
        self.module(self.place(), "hears", HEARS)
        self.clock = Clock()
        self.carried: dict[Any, tuple[int, int]] = {}
        self.observers = Observers(self.clock, "server", lambda: self.carried.items())
        self.log = EventLoggingObserver.createWithCleanup(self, globalLogPublisher)

    def made(self, *named: Any) -> list[Any]:
        """Let those observe, and return them."""
        before = len(self.all())
        self.observers.prepared(observers_of(*named))()
        return list(self.all()[before:])

    @staticmethod
    def all() -> list[Any]:
        return list(sys.modules["gotunnel.plugins.hears"].Hears.all) if "gotunnel.plugins.hears" in sys.modules else []

    def failures(self) -> list[str]:
        """Return what the log says of failures, which is then forgotten."""
        said = [str(event["reason"]) for event in self.log if "log_failure" in event]
        self.flushLoggedErrors()
        return said

    def test_order(self) -> None:
        """Opened, bytes where they have changed, a last word on them, closed; the same stream each time."""
        (one,) = self.made("hears")
        self.assertEqual(one.role, "server")
        visitor = object()
        self.observers.opened(visitor, "ab-1", "edge", "web", "192.0.2.7:4711")
        self.carried[visitor] = (10, 0)
        self.clock.advance(INTERVAL)
        self.clock.advance(INTERVAL)
        self.carried[visitor] = (10, 5)
        self.clock.advance(INTERVAL)
        self.observers.closed(visitor, Outcome.RESET_BY_TARGET, StreamEnd(Outcome.RESET_BY_TARGET, "reset", 11, 5))
        stream = Stream("ab-1", "edge", "web", "192.0.2.7:4711", 0.0)
        ended = Ended("reset_by_target", "reset", 11, 5, 3 * INTERVAL)
        expected = [
            ("opened", stream), ("bytes", stream, 10, 0), ("bytes", stream, 10, 5), ("bytes", stream, 11, 5),
            ("closed", stream, ended),
        ]  # fmt: skip
        self.assertEqual(one.heard, expected)
        self.assertTrue(all(heard[1] is one.heard[0][1] for heard in one.heard))
        self.clock.advance(INTERVAL)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_never_served(self) -> None:
        """One without a leg has no bytes."""
        (one,) = self.made("hears")
        visitor = object()
        self.observers.opened(visitor, "1", "", "web", "x")
        self.observers.closed(visitor, Outcome.NO_LEG, None)
        self.assertEqual(one.heard[1:], [("closed", one.heard[0][1], Ended("no_leg", "", 0, 0, 0.0))])

    def test_fails(self) -> None:
        """One that raises is named once, is called as before, and no other notices; a Deferred that fails likewise."""
        bad, good = self.made({"plugin": "hears", "fails": "opened"}, "hears")
        self.made("late", {"plugin": "hears", "fails": "opened"}, "hears")
        for number in range(3):
            self.observers.opened(number, str(number), "", "web", "x")
            self.observers.closed(number, Outcome.COMPLETED, None)
        self.assertEqual((len(bad.heard), len(good.heard)), (6, 6))
        said = [event for event in self.log if "log_failure" in event]
        self.assertEqual([event["observer"] for event in said], ["late", "hears"])
        self.assertEqual(self.failures(), ["later", "division by zero"])

    def test_cannot_be_made(self) -> None:
        """Nothing changes, and those that were made for it are stopped."""
        (old,) = self.made("hears")
        configs = observers_of({"plugin": "hears", "file": "new"}, {"plugin": "hears", "fails": "made"})
        self.assertRaises(GotunnelError, self.observers.prepared, configs)
        new = self.all()[-1]
        self.assertEqual((new.options.file, new.heard), ("new", [("stop",)]))
        self.observers.opened(1, "1", "", "web", "x")
        self.assertEqual(len(old.heard), 1)

    def test_changed(self) -> None:
        """Those that the file still names stay as they are; who is gone is stopped, who is new hears of no visitor who
        was here before."""
        old, stays = self.made({"plugin": "hears", "file": "old"}, "hears")
        self.observers.opened(1, "1", "", "web", "x")
        (new,) = self.made("hears", {"plugin": "hears", "file": "new"})
        self.observers.closed(1, Outcome.COMPLETED, None)
        self.assertEqual([what for what, *_ in old.heard], ["opened", "stop"])
        self.assertEqual([what for what, *_ in stays.heard], ["opened", "closed"])
        self.assertEqual(new.heard, [])

    def test_stop(self) -> None:
        """The end of a role ends its observers, and its timer."""
        (one,) = self.made("hears")
        self.observers.opened(1, "1", "", "web", "x")
        self.observers.stop()
        self.observers.closed(1, Outcome.STOPPED, None)
        self.assertEqual([what for what, *_ in one.heard], ["opened", "stop"])
        self.assertEqual(self.clock.getDelayedCalls(), [])


class OwnTests(FileTestCase):
    """Those that gotunnel has."""

    def log(self, **options: Any) -> LogObserver:
        options = {"file": str(self.folder / "visitors.log"), **options}
        return LogObserver(None, LogOptions.model_validate(options), "server")

    def lines(self, name: str = "visitors.log") -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.folder / name).read_text().splitlines()]

    def test_contract(self) -> None:
        """Both are observers."""
        for observer in (self.log(), MetricsObserver(None, None, "client")):
            self.assertTrue(verifyObject(IStreamObserver, observer))

    def test_log(self) -> None:
        """A line of JSON for each, in a file that nobody else may read; when it was moved away a new one is begun."""
        observer = self.log(opened=True)
        stream = Stream("ab-1", "edge", "web", "192.0.2.7:4711", 0.0)
        observer.opened(stream)
        observer.closed(stream, Ended("completed", "", 3, 4, 1.23456))
        opened, closed = self.lines()
        self.assertEqual((opened["event"], opened["client"], opened["conn"]), ("opened", "edge", "ab-1"))
        figures = (closed["outcome"], closed["up"], closed["down"], closed["seconds"])
        self.assertEqual(figures, ("completed", 3, 4, 1.235))
        path = self.folder / "visitors.log"
        self.assertEqual(path.stat().st_mode & 0o777, 0o600)
        path.rename(self.folder / "visitors.log.1")
        observer.closed(stream, Ended("no_leg", "", 0, 0, 1.0))
        self.assertEqual((len(self.lines()), len(self.lines("visitors.log.1"))), (1, 2))
        observer.stop()

    def test_no_file(self) -> None:
        """A file that cannot be written is said in one line."""
        error = self.assertRaises(GotunnelError, self.log, file="/proc/nowhere")
        self.assertIn("the observer log cannot write /proc/nowhere: ", str(error))

    def test_named(self) -> None:
        """A word, a group, or a list of them; a mistake has its place."""
        for text in ("metrics", "{plugin: metrics}", "[metrics]", "[{plugin: metrics}]"):
            server = self.load(f"{SERVER}  observers: {text}\n").server
            assert server is not None
            self.assertEqual([str(each) for each in server.observers], ["metrics"], text)
        for text, key, why in (
            ("[metrics, logg]", "server.observers[1]", "'logg' is not one of log, metrics, usage"),
            ("{plugin: log}", "server.observers[0].file", "is missing"),
            ("{file: x}", "server.observers[0].plugin", "is missing"),
            ("{plugin: metrics, file: x}", "server.observers[0].file", "is not an option of the plugin metrics"),
            ("3", "server.observers", "is not a list"),
        ):
            found = self.problem(f"{SERVER}  observers: {text}\n")
            self.assertEqual((found.key, found.wrong), (key, why), text)
        self.assertRaises(ConfigError, self.load, f"{SERVER}  observers: [[]]\n")


class RunningTests(ReactorPlaceTestCase, IntegrationTestCase):
    """A server and a client that tell of a visitor."""

    async def test_visitor(self) -> None:
        """Both ends tell of him; one that fails costs him nothing; a reload adds one, and Prometheus reads it."""
        self.module(self.place(), "hears", HEARS)
        target, _ = await self.target()
        observers = observers_of({"plugin": "hears", "fails": "opened"}, "hears", "metrics")
        server = await self.server(observers=observers)
        client = await self.open_client(server, self.mapping(target), observers=observers_of("hears"))
        visitor = await self.echoes(self.port_of(client))
        visitor.transport.loseConnection()
        made = sys.modules["gotunnel.plugins.hears"].Hears.all
        await self.until(lambda: all(any(what == "closed" for what, *_ in one.heard) for one in made), "the end of him")
        self.assertEqual([one.role for one in made], ["server", "server", "client"])
        for one in made[1:]:
            kinds = [what for what, *_ in one.heard]
            self.assertEqual(kinds, ["opened", "bytes", "closed"])
            ended = one.heard[-1][2]
            self.assertEqual((ended.outcome, ended.up, ended.down), ("completed", 5, 5))
        self.assertEqual((made[1].heard[0][1].client, made[1].heard[0][1].mapping), ("edge", "web"))
        self.assertEqual(made[1].heard[0][1].conn, made[2].heard[0][1].conn)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        (collector,) = server.hub.usage.observers.collectors
        self.assertIn("outcome': 'completed'", str([metric.samples for metric in collector.collect()]))
        report = await server.reload(server.hub.config.model_copy(update={"observers": ()}))
        self.assertIn("observers", "".join(report.lines))
        self.assertEqual(made[1].heard[-1], ("stop",))

    async def test_odd_metrics(self) -> None:
        """One whose metrics cannot be told, or are none, is named once; the rest of the page is as without it."""
        self.module(self.place(), "odd", ODD)
        odd = [{"plugin": "odd", "how": how} for how in range(6)]
        server = await self.server(observers=observers_of(*odd, "metrics"))
        api = Api(ServerView(server), {}, Lag(Clock()), Events())
        text = ""
        for _ in range(3):
            text = exposition(api, "")[1].decode()
        self.assertIn("gotunnel_visitor_seconds", text)
        self.assertIn("gotunnel_build", text)
        self.assertEqual(len(self.flushLoggedErrors()), 6)

    async def test_absent(self) -> None:
        """Where nobody observes, nothing of this is there."""
        server = await self.server()
        client = self.client(server, self.mapping(1))
        self.assertIsNone(server.hub.usage.observers)
        self.assertIsNone(client.usage.observers)

