"""What holds under every runner: exit codes, one-line errors, two-step stop. With a role without a tunnel."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time

from gotunnel.i18n.codes import code_of
from tests.processes import ROOT, ProcessTestCase

PLUGIN = """
from twisted.application.service import ServiceMaker
sample = ServiceMaker("sample", "tests.tap.sample", "a role without a tunnel", "gotunnel-sample")
"""

TWISTD = "from twisted.scripts.twistd import run; run()"

FOREGROUND = """
import sys
from twisted.internet import reactor
from gotunnel.cli.foreground import run
from gotunnel.cli.logoutput import begin_logging
from tests.tap.sample import ROLE, Options
options = Options()
options.parseOptions(sys.argv[1:])
begin_logging(sys.stderr, options.prepared.config.log_format)
run(ROLE.service(options.prepared, reactor), reactor)
"""


class _RunnerTestCase(ProcessTestCase):
    """Starts the role under one runner: `runner` is the command in front of the role's own options."""

    runner: list[str]

    def launch(self, *options: str, **content: object) -> subprocess.Popen[str]:
        (self.folder / "twisted" / "plugins").mkdir(parents=True)
        (self.folder / "twisted" / "plugins" / "sample_plugin.py").write_text(PLUGIN)
        (self.folder / "config.yaml").write_text(json.dumps(content))
        self.process = self.start(*self.runner, *options, PYTHONPATH=f"{self.folder}{os.pathsep}{ROOT}")
        return self.process

    def wait_for_mark(self, name: str) -> int:
        self.wait_until((self.folder / name).exists, name, self.process)
        return int((self.folder / name).read_text())


class _StartCases:
    """What is promised to whoever starts a role, as a daemon too."""

    def test_refused_configuration(self) -> None:
        """All problems are printed, a line each, and the exit code is 2."""
        code, out, err = self.finish(self.launch(refused=True))
        self.assertEqual(
            (code, err),
            (2, "config.yaml:3: a.b: is wrong; write c\nconfig.yaml:9: d: is too; leave it out\n"),
            out,
        )

    def test_bad_command_line(self) -> None:
        """An unknown option of the role is exit code 2, which is neither twistd's 1 nor twist's 64."""
        code, out, err = self.finish(self.launch("--nonsense"))
        self.assertEqual(code, 2, out + err)
        self.assertTrue(err.startswith("gotunnel-sample: "), err)
        self.assertNotIn("Traceback", err)

    def test_port_in_use(self) -> None:
        """What fails before the reactor runs is one line and exit code 1."""
        code, out, err = self.finish(self.launch(fails="make"))
        self.assertEqual(code, 1, out + err)
        self.assertEqual(err.splitlines()[-1], "gotunnel-sample: port_in_use: 127.0.0.1:17000 is in use")
        self.assertNotIn("Traceback", out + err)


class _RunCases(_StartCases):
    """What is promised of a role that runs in front."""

    def test_failing_start(self) -> None:
        """What fails in startService is one line without a traceback too."""
        code, out, err = self.finish(self.launch(fails="start"))
        self.assertEqual(code, 1)
        self.assertIn("gotunnel-sample: no_fds: planted for start\n", out + err)  # twistd sends it to its log
        self.assertNotIn("Traceback", out + err)

    def test_signal_ends_with_zero(self) -> None:
        """One SIGTERM stops a role in order, and an orderly end is exit code 0, not death by signal."""
        process = self.launch()
        self.wait_for_mark("started")
        process.terminate()
        code, out, err = self.finish(process)
        self.assertEqual((code, (self.folder / "stopping").exists()), (0, True), out + err)

    def test_interrupt_ends_with_zero(self) -> None:
        """Ctrl-C is as good as SIGTERM."""
        process = self.launch()
        self.wait_for_mark("started")
        process.send_signal(signal.SIGINT)
        code, out, err = self.finish(process)
        self.assertEqual(code, 0, out + err)

    def test_first_signal_waits(self) -> None:
        """The process lives until what stopService returned has fired."""
        process = self.launch(stop="when released")
        self.wait_for_mark("started")
        process.terminate()
        self.wait_for_mark("stopping")
        self.assertRaises(subprocess.TimeoutExpired, process.wait, 0.3)
        (self.folder / "release").touch()
        code, out, err = self.finish(process)
        self.assertEqual(code, 0, out + err)

    def test_second_signal_ends_at_once(self) -> None:
        """A second signal ends what would drain for ever, with exit code 0 too; a late third one spoils nothing."""
        process = self.launch(stop="when released")
        self.wait_for_mark("started")
        process.terminate()
        self.wait_for_mark("stopping")
        self.wait_until(lambda: _again(process), "the end after more signals")
        self.assertEqual(process.poll(), 0)

    def test_resolver_does_not_hold_the_end(self) -> None:
        """A signal also ends what waits for a thread of the reactor, where Twisted no longer listens."""
        process = self.launch(stop="thread")
        self.wait_for_mark("started")
        process.terminate()
        self.wait_for_mark("stopping")
        self.wait_until(lambda: _again(process), "the end after more signals")
        self.assertEqual(process.poll(), 0)

    def test_failing_stop(self) -> None:
        """An error in stopService is logged and keeps nobody from ending."""
        process = self.launch(stop="error")
        self.wait_for_mark("started")
        process.terminate()
        code, out, err = self.finish(process)
        self.assertEqual(code, 0, out + err)
        self.assertIn("ZeroDivisionError", out + err)

    def test_log_level(self) -> None:
        """The file's log_level holds under every runner."""
        process = self.launch(log_level="warn")
        self.wait_for_mark("started")
        process.terminate()
        code, out, err = self.finish(process)
        self.assertEqual((code, "sample is up" in out + err), (0, False))


class TwistdTests(_RunCases, _RunnerTestCase):
    """Under `twistd -n`."""

    runner = ["-c", TWISTD, "-n", "gotunnel-sample"]

    def test_pid_file_removed(self) -> None:
        """twistd's own shutdown still runs: no stale pid file."""
        process = self.launch()
        self.wait_for_mark("started")
        self.assertTrue((self.folder / "twistd.pid").exists())
        process.terminate()
        self.finish(process)
        self.assertFalse((self.folder / "twistd.pid").exists())

    def test_language(self) -> None:
        """log_lang zh is the language of what twistd writes, whose own lines stay as they are."""
        process = self.launch(log_lang="zh")
        self.wait_for_mark("started")
        process.terminate()
        code, out, err = self.finish(process)
        self.assertEqual(code, 0, out + err)
        self.assertRegex(out, r"(?m)^\S+ \[gotunnel\.\S+#info\] SIGTERM：正在停止；再来一个信号则立即结束$")
        self.assertRegex(out, r"(?m)^\S+ \[\S+#info\] twistd \S+ .* starting up\.$")


class TwistTests(_RunCases, _RunnerTestCase):
    """Under `twist`."""

    runner = ["-m", "twisted", "gotunnel-sample"]

    def ended(self) -> str:
        """Return what the role has logged until it was stopped."""
        process = self.launch(log_lang="zh")
        self.wait_for_mark("started")
        process.terminate()
        code, out, err = self.finish(process)
        self.assertEqual((code, err), (0, ""), out)
        return out

    def test_language(self) -> None:
        """log_lang zh is the language of what twist writes as text."""
        self.runner = ["-m", "twisted", "--log-format=text", "gotunnel-sample"]
        self.assertRegex(self.ended(), r"(?m)^\S+ \[gotunnel\.\S+#info\] SIGTERM：正在停止；再来一个信号则立即结束$")

    def test_language_of_json(self) -> None:
        """What it writes as JSON, as it does into a pipe, is English whatever log_lang says."""
        events = [json.loads(line) for line in self.ended().replace("\x1e", "").splitlines()]
        (end,) = [event for event in events if event["log_format"].startswith("{signal}: stopping")]
        self.assertEqual(end["signal"], "SIGTERM")


class ForegroundTests(_RunCases, _RunnerTestCase):
    """As gotunnel-server and gotunnel-client run."""

    runner = ["-c", FOREGROUND]

    def test_log_is_for_operators(self) -> None:
        """Standard error has our lines in our format, and nothing of Twisted's own."""
        process = self.launch()
        self.wait_for_mark("started")
        process.terminate()
        _, out, err = self.finish(process)
        lines = err.splitlines()
        self.assertEqual(out, "")
        self.assertEqual(
            [line.partition(" ")[2] for line in lines],
            [
                "[warn][1401] a.b: is doubtful",
                "[info] sample is up",
                "[info] SIGTERM: stopping; a second signal ends at once",
            ],
        )

    def test_language(self) -> None:
        """log_lang zh is the language of the log from its first line on."""
        process = self.launch(log_lang="zh")
        self.wait_for_mark("started")
        process.terminate()
        _, _, err = self.finish(process)
        self.assertIn("[info] SIGTERM：正在停止；再来一个信号则立即结束", err)

    def test_format(self) -> None:
        """log_format json is JSON, without an option on the command line, and in English whatever log_lang says."""
        process = self.launch(log_lang="zh", log_format="json")
        self.wait_for_mark("started")
        process.terminate()
        _, _, err = self.finish(process)
        events = [json.loads(line) for line in err.splitlines()]
        (end,) = [event for event in events if event["log_format"].startswith("{signal}: stopping")]
        self.assertEqual(end["message"], "SIGTERM: stopping; a second signal ends at once")
        self.assertEqual((end["event"], end["signal"]), (code_of(end["log_format"]), "SIGTERM"))

    def test_debug(self) -> None:
        """log_level debug shows our debug events."""
        process = self.launch(log_level="debug")
        self.wait_for_mark("started")
        process.terminate()
        _, _, err = self.finish(process)
        self.assertIn("[debug] sample whispers\n", err)


class DaemonTests(_StartCases, _RunnerTestCase):
    """Under `twistd` as a daemon: the exit codes are those of the command that starts it."""

    runner = ["-c", TWISTD, "gotunnel-sample"]

    def test_failing_start(self) -> None:
        """The starter exits with 1 and names the reason, which is in the daemon's log too."""
        code, out, err = self.finish(self.launch(fails="start"))
        self.assertEqual(code, 1, out)
        self.assertIn("planted for start", err)
        self.assertIn("cannot start: no_fds: planted for start", (self.folder / "twistd.log").read_text())

    def launch_daemon(self, **content: object) -> int:
        """Start a daemon and return its process id."""
        code, out, err = self.finish(self.launch(**content))
        self.assertEqual(code, 0, out + err)
        pid = self.wait_for_mark("started")
        self.addCleanup(_send, pid, signal.SIGKILL)
        return pid

    def test_language(self) -> None:
        """log_lang zh is the language of twistd.log, which SIGUSR1 renames and begins anew, as it does without us."""
        pid = self.launch_daemon(log_lang="zh")
        log, old = self.folder / "twistd.log", self.folder / "twistd.log.1"
        os.kill(pid, signal.SIGUSR1)
        self.wait_until(old.exists, "the old log")
        os.kill(pid, signal.SIGTERM)
        self.wait_until(lambda: log.exists() and "Main loop terminated" in log.read_text(), "the end in the log")
        self.assertIn("#info] SIGTERM：正在停止；再来一个信号则立即结束\n", log.read_text())
        self.assertIn("#info] sample is up\n", old.read_text())

    def test_two_signals(self) -> None:
        """The starter exits with 0; the daemon drains on one signal and ends on another, leaving no pid file."""
        pid = self.launch_daemon(stop="when released")
        os.kill(pid, signal.SIGTERM)
        self.wait_for_mark("stopping")

        def ending() -> bool:
            if "ending at once" in (self.folder / "twistd.log").read_text():
                return True
            _send(pid, signal.SIGTERM)
            time.sleep(0.02)
            return False

        self.wait_until(ending, "the second signal in the log")
        self.wait_until(lambda: not (self.folder / "twistd.pid").exists(), "the pid file removed")


def _again(process: subprocess.Popen[str]) -> bool:
    """Signal a process once more; say whether it has ended."""
    if process.poll() is None:
        process.terminate()
        time.sleep(0.02)
    return process.poll() is not None


def _send(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass
