"""The health check that runs a command, with real processes."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path
from typing import Any

from twisted.internet import reactor as global_reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock, deferLater
from twisted.trial.unittest import TestCase
from zope.interface.verify import verifyObject

from gotunnel.address import HostPort, UnixPath
from gotunnel.client.checks import Unhealthy
from gotunnel.client.commandcheck import CommandCheck, _Said
from gotunnel.config.health import HealthConfig
from gotunnel.config.health_command import CommandOptions
from gotunnel.interfaces import IHealthCheck
from tests.config.files import ClientTestCase
from tests.processes import alive

reactor: Any = global_reactor


class _Turns(Clock):
    """A reactor whose turns are ours."""

    def __init__(self) -> None:
        super().__init__()
        self.readers: set[Any] = set()

    def addReader(self, reader: Any) -> None:
        self.readers.add(reader)

    def removeReader(self, reader: Any) -> None:
        self.readers.discard(reader)


class CommandTests(TestCase):
    """How it ends is the verdict."""

    timeout = 30

    def check(self, *command: str, target: Any = None) -> CommandCheck:
        return CommandCheck(reactor, target or HostPort("10.0.0.7", 5432), CommandOptions(command=command), 5.0)

    async def says(self, *command: str, **more: Any) -> str:
        """Return what is wrong, empty if nothing is."""
        try:
            await self.check(*command, **more).probe()
        except Unhealthy as error:
            return str(error)
        return ""

    async def test_verdicts(self) -> None:
        """Exit code 0 is well; another one is told with the last line of standard error, and a signal by its number."""
        self.assertTrue(verifyObject(IHealthCheck, self.check("true")))
        self.assertEqual(await self.says("true"), "")
        self.assertEqual(await self.says("sh", "-c", "exit 3"), "its command ends with exit code 3")
        self.assertEqual(
            await self.says("sh", "-c", "echo first >&2; echo 'no \033[1mdatabase' >&2; exit 2"),
            "its command ends with exit code 2: no \\x1b[1mdatabase",
        )
        self.assertEqual(await self.says("sh", "-c", "kill -9 $$"), "its command was ended by signal 9")

    def test_number_stays(self) -> None:
        """The pipe of its words is not closed in the turn in which it has ended: what the reactor has heard of it
        already would be told to whoever gets its number."""
        turns = _Turns()
        reading, writing = os.pipe()
        said = _Said(turns, reading)
        os.write(writing, b"first\nlast\n")
        os.close(writing)
        self.assertEqual((said.close(), turns.readers), ("last", set()))
        os.fstat(reading)
        turns.advance(0)
        self.assertRaises(OSError, os.fstat, reading)
        self.assertEqual(said.close(), "last")

    async def test_no_program(self) -> None:
        """A program that is not there, or may not be run, is a target that is down, and says so."""
        self.assertEqual(await self.says("/no/such"), "/no/such cannot be run: no such file or directory")
        self.assertEqual(await self.says("/etc"), "/etc cannot be run: permission denied")

    async def test_no_descriptors(self) -> None:
        """A command for whose words there is no pipe cannot be run, either: that is no fault of the program."""

        def full() -> tuple[int, int]:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

        self.patch(os, "pipe", full)
        self.assertEqual(await self.says("true"), "true cannot be run: too many open files")

    async def test_talkative(self) -> None:
        """What it writes never makes it wait, however much it is."""
        script = "import sys; sys.stdout.write('x' * 10**6); sys.stderr.write('y\\n' * 10**6); sys.exit(4)"
        self.assertEqual(await self.says(sys.executable, "-c", script), "its command ends with exit code 4: y")

    async def test_environment(self) -> None:
        """It knows the target, and not the token; what is systemd's stays ours."""
        for name in ("GOTUNNEL_TOKEN", "NOTIFY_SOCKET"):
            self.patch(os, "environ", {**os.environ, name: "s3cret"})
        script = 'env | grep -q s3cret && exit 9; test "$GOTUNNEL_TARGET_HOST $GOTUNNEL_TARGET_PORT" = "10.0.0.7 5432"'
        self.assertEqual(await self.says("sh", "-c", script), "")
        script = 'test "$GOTUNNEL_TARGET" = unix:/run/x && test -z "$GOTUNNEL_TARGET_PORT"'
        self.assertEqual(await self.says("sh", "-c", script, target=UnixPath("/run/x")), "")

    async def test_cancelled(self) -> None:
        """Given up, it dies with all that it has started, however deaf that is; and nothing of ours is left open."""
        folder = Path(self.mktemp())
        folder.mkdir()
        await deferLater(reactor, 0.0)  # a reactor that starts opens something for signals
        before = len(os.listdir("/proc/self/fd"))
        script = f"trap '' TERM; sleep 100 & echo $! > {folder}/child; echo $$ > {folder}/self; wait; sleep 100"
        probing: Deferred[None] = self.check("sh", "-c", script).probe()
        while not (folder / "self").exists() or not (folder / "self").read_text():
            await deferLater(reactor, 0.01)
        pids = [int((folder / name).read_text()) for name in ("child", "self")]
        self.assertTrue(all(map(alive, pids)))
        probing.cancel()
        self.failureResultOf(probing, CancelledError)
        while any(map(alive, pids)) or len(os.listdir("/proc/self/fd")) > before:
            await deferLater(reactor, 0.01)

    async def test_left_behind(self) -> None:
        """What a command leaves behind when it ends by itself is ended too: probes do not pile up."""
        folder = Path(self.mktemp())
        folder.mkdir()
        self.assertEqual(await self.says("sh", "-c", f"sleep 100 & echo $! > {folder}/child"), "")
        child = int((folder / "child").read_text())
        while alive(child):
            await deferLater(reactor, 0.01)


class OptionTests(ClientTestCase):
    """How a file writes the command."""

    def health(self, text: str) -> HealthConfig | None:
        return self.client(f"mappings: [{{local: 80, remote: 80, health: {text}}}]").mappings[0].health

    def test_written(self) -> None:
        """As a list, or as one text with quotes as a shell has them; numbers are arguments."""
        for text, expected in (
            ("[pg_isready, -p, 5432]", ("pg_isready", "-p", "5432")),
            ("\"test -e '/a b'\"", ("test", "-e", "/a b")),
            ("['true', 'yes']", ("true", "yes")),
            ("[tail, -n, +5, -0, 1.10, -1.0, 0.5, 010]", ("tail", "-n", "+5", "-0", "1.10", "-1.0", "0.5", "010")),
        ):
            health = self.health(f"{{type: command, command: {text}}}")
            assert health is not None and isinstance(health.options, CommandOptions)
            self.assertEqual(health.options.command, expected)

    def test_refused(self) -> None:
        """Without a program nothing is run."""
        for text, why in (
            ("[]", "names no program"),
            ("''", "is empty"),
            ("\"echo 'x\"", "has a quote that is not closed"),
            ("[{a: 1}]", "holds something that is not text"),
            ("{a: 1}", "a group of keys is not a command"),
        ):
            found = self.refused(f"mappings: [{{local: 80, remote: 80, health: {{type: command, command: {text}}}}}]")
            self.assertEqual([key for key, _ in found], ["client.mappings[0].health.command"], text)
            self.assertIn(why, found[0][1])
        found = self.refused("mappings: [{local: 80, remote: 80, health: command}]")
        self.assertEqual(found, [("client.mappings[0].health.command", "is missing")])
