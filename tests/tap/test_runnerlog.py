"""Where the log of a runner goes stays what it was told, and every event of ours arrives there in our language."""

from __future__ import annotations

from io import StringIO
from typing import Any

from twisted.application.service import Application, Service
from twisted.internet.task import Clock
from twisted.logger import ILogObserver, LogEvent, LogLevel, textFileLogObserver
from twisted.python.failure import Failure
from twisted.python.syslog import SyslogObserver
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from gotunnel.i18n.events import log_language, set_log_language
from gotunnel.tap.runnerlog import LogOfTwistd, Spoken, speaking

STOPPING = "{signal}: stopping; a second signal ends at once"
IN_CHINESE = "SIGTERM：正在停止；再来一个信号则立即结束"


def event(**more: Any) -> LogEvent:
    return {
        "log_format": STOPPING, "log_namespace": "gotunnel.tap", "log_level": LogLevel.info, "log_time": 0.0,
        "signal": "SIGTERM", **more,
    }  # fmt: skip


@implementer(ILogObserver)
class Heard:
    """An observer that keeps what it hears."""

    def __init__(self) -> None:
        self.events: list[LogEvent] = []

    def __call__(self, event: LogEvent) -> None:
        self.events.append(event)


class SpokenTests(SynchronousTestCase):
    """What an event becomes on its way to another's observer."""

    def setUp(self) -> None:
        self.addCleanup(set_log_language, log_language().name)
        self.file = StringIO()
        self.observe = Spoken(textFileLogObserver(self.file))

    def test_follows_the_log(self) -> None:
        """A reload that changes log_lang changes the next line; the event itself stays as it was."""
        told = event()
        for name, words in (("en", STOPPING.format(signal="SIGTERM")), ("zh", IN_CHINESE)):
            set_log_language(name)
            self.observe(told)
            self.assertTrue(self.file.getvalue().endswith(f" [gotunnel.tap#info] {words}\n"), self.file.getvalue())
        self.assertEqual(told, event())

    def test_others(self) -> None:
        """What Twisted and other programs log passes unchanged, even in words that we have, too."""
        set_log_language("zh")
        self.observe(event(log_namespace="twisted.internet"))
        self.assertIn(STOPPING.format(signal="SIGTERM"), self.file.getvalue())

    def test_broken(self) -> None:
        """An event whose values do not fit its format is passed on as it is, for the observer to say so."""
        set_log_language("zh")
        heard, told = Heard(), event()
        del told["signal"]
        Spoken(heard)(told)
        self.assertEqual(heard.events, [told])

    def test_traceback(self) -> None:
        """A bug keeps its traceback."""
        set_log_language("zh")
        self.observe(event(log_failure=Failure(ZeroDivisionError("planted"))))
        self.assertIn(IN_CHINESE, self.file.getvalue())
        self.assertIn("ZeroDivisionError: planted", self.file.getvalue())


class RunnerTests(SynchronousTestCase):
    """What is told to each runner, by the options that it has read."""

    def setUp(self) -> None:
        self.addCleanup(set_log_language, log_language().name)
        set_log_language("zh")

    def application_of(self, **options: Any) -> Any:
        service = speaking(Service(), {"logfile": None, "logger": None, **options}, Clock())
        self.assertIsInstance(service, LogOfTwistd)
        application = Application("test")
        service.setServiceParent(application)
        return application

    def test_neither(self) -> None:
        """A runner that is neither twistd nor twist, twist with JSON, and twistd with an observer of the operator's get
        the service as it is, and their options stay."""
        service = Service()
        for runner in (
            None, {"own": 1}, {"logFormat": "json", "fileLogObserverFactory": Heard},
            {"logfile": None, "logger": "some.observer"},
        ):  # fmt: skip
            before = None if runner is None else dict(runner)
            self.assertIs(speaking(service, runner, Clock()), service)
            self.assertEqual(runner, before)

    def test_twist(self) -> None:
        """The observer that twist would make for a file is made for that file, and hears our language."""
        files: list[object] = []
        heard = Heard()
        runner: dict[str, Any] = {
            "logFormat": "text", "fileLogObserverFactory": lambda file: (files.append(file), heard)[1],
        }  # fmt: skip
        speaking(Service(), runner, Clock())
        runner["fileLogObserverFactory"]("a file")(event())
        self.assertEqual(files, ["a file"])
        self.assertEqual(heard.events[0]["said"], IN_CHINESE)

    def test_syslog(self) -> None:
        """`twistd --syslog --prefix` still means the system's log, under that name."""
        lines: list[str] = []
        opened: list[Any] = []
        self.patch(SyslogObserver, "openlog", staticmethod(lambda name, *more: opened.append(name)))
        self.patch(SyslogObserver, "syslog", staticmethod(lambda priority, line: lines.append(line)))
        observer = ILogObserver(self.application_of(syslog=True, prefix="tunnel"))
        observer(event())
        self.assertEqual(opened, ["tunnel"])
        self.assertEqual(lines, [f"[-] {IN_CHINESE}"])

    def test_daemon_on_standard_output(self) -> None:
        """`twistd --logfile=-` without -n is left to twistd, which refuses it."""
        self.assertIsNone(ILogObserver(self.application_of(logfile="-"), None))
