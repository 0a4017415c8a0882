"""The clients file of a running server: when it is read again, what a broken one does, and that it is said once."""

from __future__ import annotations

import os
from pathlib import Path

from twisted.internet.task import Clock
from twisted.internet.testing import EventLoggingObserver
from twisted.logger import formatEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from gotunnel.config.identityedit import edit_clients
from gotunnel.config.identityfile import CLIENTS_FILE, FileIdentity
from gotunnel.errors import ConfigError, Problem
from gotunnel.server import clientsfile
from gotunnel.server.clientsfile import INTERVAL, ClientsFile
from tests.server.world import OTHER_TOKEN, TOKEN, identity


class ClientsFileTests(SynchronousTestCase):
    """A file that changes under the eyes of a server."""

    def setUp(self) -> None:
        """Begin without a file."""
        folder = Path(self.mktemp()).absolute()
        folder.mkdir()
        self.path = folder / CLIENTS_FILE
        self.clock = Clock()
        self.taken: list[list[str]] = []
        self.looks = 0
        self.refusal: Exception | None = None
        self.log = EventLoggingObserver.createWithCleanup(self, globalLogPublisher)
        self.file = ClientsFile(self.path, self.clock, self.take, self.look)
        self.addCleanup(self.file.stop)

    def take(self, clients: tuple[FileIdentity, ...]) -> None:
        """What the hub would do."""
        if self.refusal is not None:
            raise self.refusal
        self.taken.append([client.name for client in clients])

    def look(self) -> None:
        """What the hub would do after each look."""
        self.looks += 1

    def write(self, *clients: FileIdentity) -> None:
        """Change the file as a command does."""
        edit_clients(self.path, lambda _: clients)

    def said(self) -> list[str]:
        """Return what was logged since the last time."""
        lines = [f"{event['log_level'].name} {formatEvent(event)}" for event in self.log]
        self.log._events.clear()  # type: ignore[attr-defined]
        return lines

    def test_first(self) -> None:
        """What is there at the start is read at once, and not a second time; no file is no client."""
        self.assertEqual((self.file.read(), self.file.exists), ((), False))
        self.write(identity("a", TOKEN))
        self.assertEqual([client.name for client in self.file.read()], ["a"])
        self.assertTrue(self.file.exists)
        self.file.start()
        self.clock.advance(10 * INTERVAL)
        self.assertEqual(self.taken, [])

    def test_stopped(self) -> None:
        """When another file has taken its place, a change of this one that was under way takes no effect."""
        self.file.read()
        self.file.start()
        self.file.stop()
        self.write(identity("a", TOKEN))
        self.file._look()
        self.assertEqual((self.taken, self.looks), ([], 0))

    def test_taken_up(self) -> None:
        """A change is in effect within half a second, each once; so is a file that was not there before."""
        self.file.read()
        self.file.start()
        self.clock.advance(INTERVAL)
        for names in ("a", "ab", "b"):
            self.write(*(identity(name, TOKEN) for name in names))
            self.clock.advance(INTERVAL)
            self.assertEqual(self.taken.pop(), list(names))
            self.clock.pump([INTERVAL] * 3)
        self.assertEqual(self.taken, [])
        self.assertLessEqual(INTERVAL, 0.5)
        self.assertIn(f"info the clients file {self.path} has changed: 2 clients", self.said())

    def test_broken(self) -> None:
        """A file that is half-written by hand, readable for others, gone, or that does not fit the rest changes
        nothing, is complained about once each, and counts again when it is whole."""
        self.write(identity("a", TOKEN))
        self.file.read()
        self.file.start()
        good = self.path.read_bytes()

        def broken(content: bytes) -> None:
            self.path.write_bytes(content)

        for harm, complaint in (
            (lambda: broken(good[:-9]), "is not JSON"),
            (lambda: broken(good.replace(b'"keys"', b'"kyes"')), "clients[0].keys: is missing"),
            (lambda: self.path.chmod(0o644), "can be read or changed by others (mode 0644)"),
            (self.path.unlink, "cannot be read: no such file or directory"),
            (lambda: self.refuse("the client a is listed here and under server.clients too"), "server.clients too"),
        ):
            harm()
            self.clock.pump([INTERVAL] * 4)
            lines = [line for line in self.said() if line.startswith("error")]
            self.assertEqual(len(lines), 1, lines)
            self.assertIn(complaint, lines[0])
            self.assertIn("clients stay as they were", lines[0])
            self.assertEqual("(and 1 more)" in lines[0], complaint.endswith("missing"))
            self.assertEqual(self.taken, [])
            self.refusal = None
            if self.path.exists():
                self.path.unlink()
            self.write(identity("a", OTHER_TOKEN))
            self.clock.advance(INTERVAL)
            self.assertEqual(self.taken.pop(), ["a"])
            self.said()

    def test_tried_again(self) -> None:
        """What could not be read when it changed, descriptors having run out say, is taken as soon as it can be, though
        the file does not change once more: the change may have been a revocation."""
        self.write(identity("a", TOKEN))
        self.file.read()
        self.file.start()

        def short(path: Path) -> tuple[FileIdentity, ...]:
            raise ConfigError([Problem(str(path), None, "", "cannot be read: too many open files", "")])

        shortage = self.patch(clientsfile, "load_clients", short)
        self.write(identity("b", TOKEN))
        self.clock.pump([INTERVAL] * 4)
        self.assertEqual((self.taken, sum("too many open files" in line for line in self.said())), ([], 1))
        shortage.restore()
        self.clock.advance(INTERVAL)
        self.assertEqual(self.taken, [["b"]])
        self.clock.pump([INTERVAL] * 4)
        self.assertEqual(self.taken, [["b"]])

    def refuse(self, wrong: str) -> None:
        """Change the file to something that the hub does not take."""
        self.refusal = ConfigError([Problem(str(self.path), None, "", wrong, "")])
        self.write(identity("b", TOKEN))

    def test_who_may_not_look(self) -> None:
        """At the start a file that cannot be looked at is an error, and not a server without clients: their names would
        be open to the shared token."""
        link = self.path.parent / "loop"
        link.symlink_to(link)
        self.assertRaises(ConfigError, ClientsFile(link, self.clock, self.take, self.look).read)
        if os.geteuid():
            self.write(identity("a", TOKEN))
            self.path.parent.chmod(0)
            self.addCleanup(self.path.parent.chmod, 0o700)
            self.assertRaises(ConfigError, self.file.read)

    def test_changed_while_it_is_read(self) -> None:
        """What another program writes between the look and the reading is seen as a change by the next look."""
        self.write(identity("a", TOKEN))
        read = self.file.read

        def slow() -> tuple[FileIdentity, ...]:
            found = read()
            self.write(identity("b", TOKEN))
            return found

        slow()
        self.file.start()
        self.clock.advance(INTERVAL)
        self.assertEqual(self.taken, [["b"]])

    def test_looked(self) -> None:
        """Every look is told, so that expiry is noticed without a change."""
        self.file.read()
        self.file.start()
        self.clock.pump([INTERVAL] * 5)
        self.assertEqual(self.looks, 5)
        self.file.stop()
        self.clock.pump([INTERVAL] * 5)
        self.assertEqual((self.looks, self.clock.getDelayedCalls()), (5, []))

    def test_a_bug_of_ours(self) -> None:
        """An error that nobody expected is logged, and the next change is taken up all the same."""
        self.file.read()
        self.file.start()
        self.refusal = ZeroDivisionError("planted")
        self.write(identity("a", TOKEN))
        self.clock.pump([INTERVAL] * 4)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.refusal = None
        self.write(identity("b", TOKEN))
        self.clock.advance(INTERVAL)
        self.assertEqual(self.taken, [["b"]])
