"""A group of two clients as real processes, under a load of short visits: one is killed, stopped, taken over, has a
target that is down. Nobody who comes afterwards may notice."""

from __future__ import annotations

import signal
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.e2e.harness import Program, TunnelTestCase, read_all
from tests.e2e.peers import Service

WORDS = b"question " * 50
WORKERS = 6


def naming(name: bytes) -> Callable[[socket.socket], None]:
    """Return a service that answers with its name and all that its visitor has said, when he has said it."""

    def serve(connection: socket.socket) -> None:
        connection.sendall(name + b": " + read_all(connection))

    return serve


@dataclass
class Load:
    """Visitors who come one after the other, several at a time, until `stop`. `served` are the names of who answered
    them, with when they came; `failed` says when one came who was not answered, and why."""

    case: TunnelTestCase
    port: int
    served: list[tuple[float, str]] = field(default_factory=list)
    failed: list[tuple[float, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(WORKERS)]
        for thread in self._threads:
            thread.start()
        self.case.addCleanup(self.stop)

    def stop(self) -> None:
        """Let the last ones finish."""
        self._over.set()
        for thread in self._threads:
            thread.join(60)

    def more(self, count: int = 60) -> None:
        """Wait until so many more have been served."""
        aim = len(self.served) + count
        self.case.wait_until(lambda: len(self.served) >= aim or len(self.failed) > 50, f"{count} more visitors")

    def who(self, since: float) -> dict[str, int]:
        """Return how many each has served of those that came since then."""
        names = [name for came, name in tuple(self.served) if came >= since]
        return {name: names.count(name) for name in set(names)}

    def _run(self) -> None:
        while not self._over.is_set():
            came = time.monotonic()
            try:
                with socket.create_connection((self.case.host, self.port), 30) as visitor:
                    visitor.sendall(WORDS)
                    visitor.shutdown(socket.SHUT_WR)
                    name, _, said = read_all(visitor).partition(b": ")
                if said != WORDS:
                    raise OSError(f"{len(said)} bytes came back")
                self.served.append((came, name.decode()))
            except OSError as error:
                self.failed.append((came, str(error)))


class GroupTests(TunnelTestCase):
    """The relay that runs by default."""

    relay = "auto"

    def setUp(self) -> None:
        super().setUp()
        self.tunnel_server = self.server(allow_groups=["api"], relay=self.relay)
        self.public = self.port()
        self.services = {name: Service(self, naming(name.encode())) for name in ("one", "two")}

    def member(self, name: str, local: str | None = None, **keys: object) -> Program:
        """Start a member of the group."""
        target = local or self.services[name].address
        keys = {"relay": self.relay, "drain_timeout": 10, **keys}
        return self.client({"web": (target, self.public)}, name=name, group="api", **keys)  # type: ignore[arg-type]

    def test_evenly(self) -> None:
        """Both serve as many, to within what is under way."""
        self.member("one")
        self.member("two")
        load, began = Load(self, self.public), time.monotonic()
        load.more(200)
        load.stop()
        who = load.who(began)
        self.assertEqual(load.failed, [])
        self.assertLess(abs(who["one"] - who["two"]), 0.2 * len(load.served), who)
        self.tunnel_server.wait_for(r"of web of client one \(group api\) ended: completed", 50)

    def test_kill(self) -> None:
        """A client that is killed takes along those whom its target was serving, and nobody who comes afterwards. When
        it is back it is given visitors again."""
        self.member("one")
        two = self.member("two")
        load = Load(self, self.public)
        load.more()
        two.kill()
        killed = time.monotonic()
        load.more(100)
        self.assertEqual([each for each in load.failed if each[0] >= killed], [])
        self.assertLessEqual(len(load.failed), WORKERS)
        self.assertEqual(set(load.who(killed)), {"one"})
        self.tunnel_server.wait_for("client two lost")
        self.member("two")
        back = time.monotonic()
        load.more(100)
        load.stop()
        self.assertEqual(set(load.who(back)), {"one", "two"})
        self.assertEqual([each for each in load.failed if each[0] >= killed], [])

    def test_stopped_in_order(self) -> None:
        """A client that is told to stop costs nobody: what it serves is finished, and the next ones go to the other."""
        self.member("one")
        two = self.member("two")
        load = Load(self, self.public)
        load.more()
        self.assertEqual(two.stop(), 0)
        stopped = time.monotonic()
        load.more(100)
        load.stop()
        self.assertEqual((load.failed, set(load.who(stopped))), ([], {"one"}))

    def test_frozen(self) -> None:
        """A client that is frozen keeps only those whom its target was serving; the others wait until it is seen that
        it does not answer, and then the other one has them."""
        self.member("one")
        two = self.member("two")
        load = Load(self, self.public)
        load.more()
        two.signal(signal.SIGSTOP)
        frozen = time.monotonic()
        load.more(20)
        load.stop()
        two.signal(signal.SIGCONT)
        self.assertEqual([each for each in load.failed if each[0] >= frozen], [])
        self.assertLessEqual(len(load.failed), WORKERS)
        self.assertEqual(set(load.who(frozen)), {"one"})

    def test_refused(self) -> None:
        """While one target refuses connections every visitor is served by the other, with all that he had said; and by
        both when it is there."""
        port = self.port()
        self.member("one")
        self.member("two", f"127.0.0.1:{port}")
        load, began = Load(self, self.public), time.monotonic()
        load.more(100)
        self.assertEqual((load.failed, set(load.who(began))), ([], {"one"}))
        self.tunnel_server.wait_for(r"moves from client two to one: refused")
        with socket.create_server(("127.0.0.1", port), backlog=64) as listening:
            stop = threading.Event()

            def accept() -> None:
                while not stop.is_set():
                    connection, _ = listening.accept()
                    with connection:
                        naming(b"two")(connection)

            thread = threading.Thread(target=accept, daemon=True)
            thread.start()
            self.wait_until(lambda: "two" in load.who(began), "the second target is used again")
            load.stop()
            stop.set()
            socket.create_connection(("127.0.0.1", port)).close()
            thread.join(30)
        self.assertEqual(load.failed, [])

    def test_health(self) -> None:
        """A member whose target is down is passed over, and used again when it is up; nobody notices. With both down
        the port is closed."""
        port = self.port()
        self.member("one")
        self.member("two", f"127.0.0.1:{port}", health_check_interval=0.2, ready=False)
        self.tunnel_server.wait_for(r"mapping web of client two is down at .* \(group api, 1 of 2 up\)")
        load, began = Load(self, self.public), time.monotonic()
        load.more()
        self.assertEqual((load.failed, set(load.who(began))), ([], {"one"}))
        self.assertEqual(self.tunnel_server.count("moves from client"), 0)
        with socket.create_server(("127.0.0.1", port)):
            self.tunnel_server.wait_for(r"mapping web of client two is up at .* \(group api, 2 of 2 up\)")
            load.stop()
        self.tunnel_server.wait_for(r"mapping web of client two is down at .* \(group api, 1 of 2 up\)", 2)

    def test_takeover(self) -> None:
        """A successor of one member, started beside it, has its place; nobody notices."""
        self.member("one")
        two = self.member("two")
        load = Load(self, self.public)
        load.more()
        two.signal(signal.SIGTERM)
        self.member("two")
        back = time.monotonic()
        load.more(100)
        load.stop()
        self.assertEqual((load.failed, set(load.who(back))), ([], {"one", "two"}))
        self.assertEqual(self.tunnel_server.count("closed at"), 0)


class PortableGroupTests(GroupTests):
    """The portable relay."""

    relay = "portable"
