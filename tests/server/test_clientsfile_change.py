"""The server's own changes to the clients file: in a thread, taken up at once, whole beside those of others."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from pydantic import SecretBytes
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool
from twisted.trial.unittest import SynchronousTestCase

from gotunnel.config.identitychange import Change, ClientRefused, added, revoked
from gotunnel.config.identityedit import edit_clients
from gotunnel.config.identityfile import FileIdentity, load_clients
from gotunnel.server.clientsfile import ClientsFile


def client(name: str) -> FileIdentity:
    """Return a client with a key."""
    return FileIdentity.model_validate({"name": name, "keys": (SecretBytes(bytes(32)),)})


class _Reactor(Clock):
    """A clock whose one thread, apart from those for everything else, runs when the test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.work: list[Callable[[], None]] = []
        self.stopped = 0

    def getThreadPool(self) -> Any:
        raise AssertionError("these threads are for everybody, and may be held by slow names")

    def stop(self) -> None:
        self.stopped += 1

    def callInThreadWithCallback(self, done: Callable[[bool, Any], None], work: Callable[..., Any], *args: Any) -> None:
        def run() -> None:
            try:
                result = work(*args)
            except Exception:  # noqa: BLE001 - as a thread pool does
                done(False, Failure())
            else:
                done(True, result)

        self.work.append(run)

    def callFromThread(self, call: Callable[..., Any], *args: Any) -> None:
        call(*args)


class ChangeTests(SynchronousTestCase):
    """One clients file, looked at by nobody in between."""

    def setUp(self) -> None:
        folder = Path(self.mktemp()).absolute()
        folder.mkdir()
        self.path = folder / "clients.json"
        self.reactor = _Reactor()
        self.taken: list[list[str]] = []
        self.file = ClientsFile(
            self.path, self.reactor, lambda clients: self.taken.append([each.name for each in clients]), lambda: None,
            cast(ThreadPool, self.reactor),
        )  # fmt: skip

    def change(self, change: Change) -> Deferred[None]:
        """Ask for a change."""
        return Deferred.fromCoroutine(self.file.change(change))

    def test_at_once(self) -> None:
        """When it is done, it holds: nobody waits for the next look."""
        done = self.change(added(client("edge")))
        self.assertNoResult(done)
        self.assertFalse(self.path.exists())
        self.reactor.work.pop()()
        self.successResultOf(done)
        self.assertEqual(self.taken, [["edge"]])

    def test_another_one_meanwhile(self) -> None:
        """What a command has changed since is not undone by what the server knows of its own change."""
        done = self.change(added(client("edge")))

        def thread() -> None:
            edit_clients(self.path, added(client("first")))
            work()

        work = self.reactor.work.pop()
        thread()
        self.successResultOf(done)
        self.assertEqual(self.taken, [["first", "edge"]])
        done = self.change(revoked("first"))
        self.patch(self.reactor, "callFromThread", lambda call, *args: (self._command(), call(*args)))
        self.reactor.work.pop()()
        self.successResultOf(done)
        self.assertEqual(self.taken[-1], [each.name for each in load_clients(self.path)])
        self.assertIn("third", self.taken[-1])

    def _command(self) -> None:
        edit_clients(self.path, added(client("third")))

    def test_refused(self) -> None:
        """What does not fit changes nothing."""
        done = self.change(revoked("none"))
        self.reactor.work.pop()()
        self.failureResultOf(done, ClientRefused)
        self.assertEqual((self.taken, self.path.exists()), ([], False))

    def test_stop(self) -> None:
        """A server that stops makes the changes that were asked for, and no others; its thread ends once."""
        done = self.change(added(client("edge")))
        stopped = self.file.stop()
        self.assertNoResult(stopped)
        self.assertIn("is stopping", str(self.failureResultOf(self.change(added(client("late"))), ClientRefused).value))
        self.reactor.work.pop()()
        self.successResultOf(done)
        self.successResultOf(stopped)
        self.successResultOf(self.file.stop())
        self.assertEqual([each.name for each in load_clients(self.path)], ["edge"])
        self.assertEqual((self.reactor.work, self.reactor.stopped), ([], 1))
