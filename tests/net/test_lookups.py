"""Names that clients have looked up: each client has its share of the threads, until they are really free again."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from gotunnel.address import HostPort
from gotunnel.errors import DialFailed
from gotunnel.net.lookups import MOST_WAITING, SHARE, SPARE, THREADS, Lookups


class _Reactor(Clock):
    """A clock that is told of threads by themselves."""

    def callFromThread(self, call: Callable[..., Any], *args: Any) -> None:
        call(*args)


class LookupsTests(SynchronousTestCase):
    """Threads that end when the test says so."""

    def setUp(self) -> None:
        self.reactor = _Reactor()
        self.threads: list[Callable[[], None]] = []
        self.asked: list[str] = []
        self.known: dict[str, list[str]] = {}
        self.lookups = Lookups(self.reactor, self.threads.append)
        self.patch(socket, "getaddrinfo", self.look)

    def look(self, host: str, port: None, *args: Any, type: int) -> list[tuple[Any, ...]]:
        """Be getaddrinfo, which does not wait here."""
        self.asked.append(host)
        if host not in self.known:
            raise socket.gaierror(socket.EAI_NONAME, "no such name")
        return [
            (socket.AF_INET6 if ":" in each else socket.AF_INET, type, 6, "", (each, 0)) for each in self.known[host]
        ]

    def resolve(self, host: str, asker: str = "slow", port: int = 443, timeout: float = 10.0) -> Deferred[list[str]]:
        """Ask for a name."""
        return self.lookups.resolve(asker, HostPort(host, port), timeout)

    def code(self, failed: Deferred[list[str]]) -> str:
        """Return why a look-up failed, which its words say of the name."""
        return str(self.failureResultOf(failed, DialFailed).value.code)  # type: ignore[attr-defined]

    def end(self, position: int = 0) -> None:
        """A thread ends."""
        self.threads.pop(position)()

    def test_answer(self) -> None:
        """All addresses come, in the order in which the system has them."""
        self.known["db.example"] = ["2001:db8::5", "192.0.2.5"]
        found = self.resolve("db.example")
        self.assertNoResult(found)
        self.end()
        self.assertEqual(self.successResultOf(found), ["2001:db8::5", "192.0.2.5"])
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_none(self) -> None:
        """A name that does not resolve is said to be unknown, with the port that was asked for."""
        failed = self.resolve("none.example", port=8443)
        self.end()
        error = self.failureResultOf(failed, DialFailed).value
        self.assertEqual((error.code, error.reason),  # type: ignore[attr-defined]
                         ("unknown_host", "none.example:8443: the name does not resolve"))  # fmt: skip

    def test_slow_client(self) -> None:
        """Two hundred slow names of one client hold its share of the threads, while another one's begins at once."""
        slow = [self.resolve(f"n{number}.slow.example") for number in range(200)]
        self.assertEqual(len(self.threads), SHARE)
        self.known["good.example"] = ["192.0.2.1"]
        good = self.resolve("good.example", "other")
        self.end(-1)
        self.assertEqual(self.successResultOf(good), ["192.0.2.1"])
        self.assertEqual(len(self.threads), SHARE)
        self.end()
        self.assertEqual(self.code(slow[0]), "unknown_host")
        self.assertEqual(len(self.threads), SHARE)  # the next one's turn

    def test_place_until_the_end(self) -> None:
        """Who gives up waiting frees no thread: the next name begins when the look-up has really ended. Names whose
        turn does not come are not looked up, and their visitors are told so."""
        slow = [self.resolve(f"n{number}.slow.example") for number in range(10)]
        self.reactor.advance(10.5)
        self.assertEqual([self.code(each) for each in slow], ["unknown_host"] * SHARE + ["limit"] * (10 - SHARE))
        late = self.resolve("late.example")
        self.assertEqual(len(self.threads), SHARE)
        self.end()
        self.assertEqual(len(self.threads), SHARE)
        self.end(-1)
        self.assertEqual((self.asked, self.code(late)), (["n0.slow.example", "late.example"], "unknown_host"))
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_all_together(self) -> None:
        """Threads are bounded for all clients together, and the last ones are for who has none."""
        for client in range(20):
            for number in range(SHARE):
                self.resolve(f"n{number}.slow.example", f"slow{client}").addErrback(lambda _: None)
        held = Counter(work.args[0].asker for work in self.threads)  # type: ignore[attr-defined]
        greedy = (THREADS - SPARE) // SHARE
        self.assertEqual(list(held.values()), [SHARE] * greedy + [1] * SPARE)
        self.reactor.advance(11)
        self.assertEqual(len(self.threads), THREADS)

    def test_bounded(self) -> None:
        """So many names of one client may wait; one more is refused at once, and no other client's."""
        for number in range(SHARE + MOST_WAITING):
            self.resolve(f"n{number}.slow.example").addErrback(lambda _: None)
        self.assertEqual(self.code(self.resolve("more.example")), "limit")
        self.resolve("more.example", "other").addErrback(lambda _: None)
        self.assertEqual(len(self.threads), SHARE + 1)
        self.reactor.advance(11)
        again = self.resolve("more.example")
        self.assertNoResult(again)
        again.addErrback(lambda _: None).cancel()

    def test_one_name(self) -> None:
        """Visitors of one client for one name wait for one look-up, each with a time of his own; those of another
        client have another one. The next one looks anew."""
        self.known["db.example"] = ["192.0.2.5"]
        first = self.resolve("db.example", timeout=1)
        self.reactor.advance(0.9)
        second, third = self.resolve("db.example", port=5432), self.resolve("db.example")
        other = self.resolve("db.example", "other")
        self.assertEqual(len(self.threads), 2)
        third.cancel()
        self.assertIsNotNone(self.failureResultOf(third))
        self.reactor.advance(0.2)
        self.assertEqual(self.code(first), "unknown_host")
        self.end()
        self.assertEqual(self.successResultOf(second), ["192.0.2.5"])
        self.assertNoResult(other)
        again = self.resolve("db.example")
        self.assertEqual(len(self.threads), 2)
        self.end()
        self.end()
        self.assertEqual((self.successResultOf(other), self.successResultOf(again)), (["192.0.2.5"], ["192.0.2.5"]))

    def test_cancelled(self) -> None:
        """A name that nobody waits for any more is not looked up, and one whose answer leads to that is harmless."""
        busy = [self.resolve(f"n{number}.slow.example") for number in range(SHARE)]
        given_up, kept = self.resolve("a.example"), self.resolve("b.example")
        given_up.cancel()
        self.failureResultOf(given_up)
        twin = self.resolve("n0.slow.example")
        busy[0].addErrback(lambda _: twin.cancel())
        while self.threads:
            self.end()
        self.assertNotIn("a.example", self.asked)
        self.assertEqual(self.code(kept), "unknown_host")
        self.assertEqual([self.code(each) for each in busy[1:]], ["unknown_host"] * (SHARE - 1))
        self.failureResultOf(twin)
        self.assertEqual(self.lookups._lookups, {})

    def test_no_thread(self) -> None:
        """Where the system has no thread for it, a look-up fails with what the system says, and holds no place."""
        refusing = True

        def thread(work: Callable[[], None]) -> None:
            if refusing:
                raise RuntimeError("can't start new thread")
            self.threads.append(work)

        self.lookups = Lookups(self.reactor, thread)
        for number in range(3 * SHARE):
            error = self.failureResultOf(self.resolve(f"n{number}.example"), DialFailed).value
            self.assertEqual(error.code, "failed")  # type: ignore[attr-defined]
            self.assertIn("can't start new thread", str(error))
        refusing = False
        self.resolve("good.example").addErrback(lambda _: None)
        self.assertEqual(len(self.threads), 1)


class ProcessTests(SynchronousTestCase):
    """Real threads, in a process of their own."""

    def test_end(self) -> None:
        """A process ends though a name is still being looked up, and an answer that came before was taken up."""
        script = """
import socket, time
from twisted.internet import reactor
from gotunnel.address import HostPort
from gotunnel.net.lookups import Lookups

def look(host, *args, **more):
    if host == "slow.example":
        time.sleep(600)
    return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.1", 0))]

def found(hosts):
    print(hosts)
    reactor.stop()

socket.getaddrinfo = look
lookups = Lookups(reactor)
lookups.resolve("edge", HostPort("slow.example", 80), 600).addErrback(lambda _: None)
lookups.resolve("edge", HostPort("good.example", 80), 600).addCallback(found)
reactor.run()
"""
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
        self.assertEqual((done.stdout, done.stderr, done.returncode), ("['192.0.2.1']\n", "", 0))
