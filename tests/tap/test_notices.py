"""What systemd is told, over a real datagram socket and without time passing."""

from __future__ import annotations

import os
import socket
import tempfile
import time
from typing import Any

from twisted.application.service import Service
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from gotunnel.errors import PortUnavailable
from gotunnel.net.systemd import ActivationError, Handed, NotifySocket, handed_over, watchdog_interval
from gotunnel.tap.notices import AGAIN, Notices


class _Failing(Service):
    def startService(self) -> None:
        raise PortUnavailable("no_fds", "planted")


class NoticesTests(SynchronousTestCase):
    """Notices around a service that starts and stops at once."""

    def setUp(self) -> None:
        # A unix socket's path has 107 bytes at most, and trial's folders are deep.
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = f"{folder.name}/notify"
        self.systemd = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(self.systemd.close)
        self.systemd.bind(self.path)
        self.systemd.setblocking(False)
        self.reactor: Any = MemoryReactorClock()
        self.patch(self.reactor, "callWhenRunning", lambda call: call())  # it runs

    def heard(self) -> list[str]:
        """Return the messages that have come since."""
        messages = []
        while True:
            try:
                messages.append(self.systemd.recv(4096).decode())
            except BlockingIOError:
                return messages

    def notices(self, service: Service | None = None, **env: str) -> Notices:
        notify = NotifySocket.named({"NOTIFY_SOCKET": self.path})
        assert notify is not None
        self.addCleanup(notify._socket.close)
        return Notices(service or Service(), self.reactor, notify, lambda: 600.0, env)

    def test_life(self) -> None:
        """Ready when the reactor runs and not before; then a sign of life at half the interval; and the stop, with
        more time than visitors have."""
        made = self.notices(WATCHDOG_USEC="20000000")
        ready: list[Any] = []
        self.patch(self.reactor, "callWhenRunning", ready.append)
        made.startService()
        self.assertEqual(self.heard(), [])
        ready[0]()
        self.assertEqual(self.heard(), ["READY=1", "WATCHDOG=1"])
        self.reactor.advance(9.9)
        self.assertEqual(self.heard(), [])
        self.reactor.advance(0.1)
        self.reactor.advance(10)
        self.assertEqual(self.heard(), ["WATCHDOG=1"] * 2)
        self.successResultOf(made.stopService())
        self.assertEqual(self.heard(), ["STOPPING=1\nEXTEND_TIMEOUT_USEC=630000000"])
        self.reactor.advance(10)
        self.assertEqual(self.heard(), ["WATCHDOG=1"])

    def test_reloading(self) -> None:
        """A reload is told when it begins, with the time of systemd's own clock, and when it is over; none that ends
        when the role has stopped makes it ready again."""
        made = self.notices()
        made.startService()
        made.reloading(True)
        made.reloading(False)
        ready, reloading, again = self.heard()
        self.assertEqual((ready, again), ("READY=1", "READY=1"))
        first, _, stamp = reloading.partition("\nMONOTONIC_USEC=")
        self.assertEqual(first, "RELOADING=1")
        self.assertLess(abs(int(stamp) / 1e6 - time.clock_gettime(time.CLOCK_MONOTONIC)), 60)
        made.reloading(True)
        self.successResultOf(made.stopService())
        made.reloading(False)
        self.assertEqual([line.partition("\n")[0] for line in self.heard()], ["RELOADING=1", "STOPPING=1"])

    def test_not_watched(self) -> None:
        """Without WatchdogSec there are no signs of life, and nothing wakes the process."""
        self.notices().startService()
        self.assertEqual(self.heard(), ["READY=1"])
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_fails_to_start(self) -> None:
        """A role that does not start is never ready."""
        made = self.notices(_Failing())
        self.assertRaises(PortUnavailable, made.startService)
        self.reactor.advance(1)
        self.assertEqual(self.heard(), [])

    def test_full_queue(self) -> None:
        """While systemd's queue is full, what must arrive waits its turn; signs of life are left out."""
        made = self.notices(WATCHDOG_USEC="20000000")
        filler = NotifySocket(self.path)
        self.addCleanup(filler._socket.close)
        count = 0
        while True:
            try:
                filler.send("X=1")
                count += 1
            except BlockingIOError:
                break
        made.startService()
        made.stopService()
        self.assertEqual(self.heard(), ["X=1"] * count)
        self.reactor.advance(AGAIN)
        self.assertEqual(self.heard(), ["READY=1", "STOPPING=1\nEXTEND_TIMEOUT_USEC=630000000"])

    def test_nobody_there(self) -> None:
        """A socket that is gone costs one warning, and the role runs."""
        os.unlink(self.path)
        made = self.notices(WATCHDOG_USEC="2000000")
        said: list[str] = []
        self.patch(made.log, "warn", lambda text, **values: said.append(text.format(**values)))
        made.startService()
        self.reactor.advance(1)
        self.assertTrue(made._inner.running)
        self.assertEqual(len(said), 1)
        self.assertIn("No such file or directory", said[0])


class EnvironmentTests(SynchronousTestCase):
    """What the variables say."""

    def test_notify_socket(self) -> None:
        """A path or an abstract name; anything else is no socket that this end can use."""
        for value in ("", "@", "/", "vsock:2:1234", "relative"):
            self.assertIsNone(NotifySocket.named({"NOTIFY_SOCKET": value}), value)
        self.assertIsNone(NotifySocket.named({}))

    def test_abstract(self) -> None:
        """systemd of a container may listen on an abstract name."""
        name = f"gotunnel-test-{os.urandom(8).hex()}"
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
            listening.bind("\0" + name)
            notify = NotifySocket.named({"NOTIFY_SOCKET": "@" + name})
            assert notify is not None
            self.addCleanup(notify._socket.close)
            notify.send("READY=1")
            self.assertEqual(listening.recv(64), b"READY=1")

    def test_watchdog(self) -> None:
        """Half the time, in seconds; nothing for another process, or for what is no number."""
        mine, other = str(os.getpid()), str(os.getpid() + 1)
        self.assertEqual(watchdog_interval({"WATCHDOG_USEC": "30000000"}), 15.0)
        self.assertEqual(watchdog_interval({"WATCHDOG_USEC": "1000000", "WATCHDOG_PID": mine}), 0.5)
        for env in ({}, {"WATCHDOG_USEC": "0"}, {"WATCHDOG_USEC": "-1"}, {"WATCHDOG_USEC": "1", "WATCHDOG_PID": other}):
            self.assertIsNone(watchdog_interval(env))


class HandedOverTests(SynchronousTestCase):
    """Sockets that a process was started with; here from a number that is free instead of 3."""

    def setUp(self) -> None:
        self.sockets: list[socket.socket] = []

    def hand_over(self, *names: str, broken: str = "") -> tuple[Handed, ...]:
        """Have listening sockets in a row of descriptors, as systemd leaves them, and take them up."""
        originals = [socket.create_server(("127.0.0.1", 0)) for _ in names]
        if broken == "datagram":
            originals[0].close()
            originals[0] = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        elif broken == "silent":
            originals[0].close()
            originals[0] = socket.socket()
        self.sockets = originals
        for each in originals:
            self.addCleanup(each.close)
        first = 200
        for index, each in enumerate(originals):
            os.dup2(each.fileno(), first + index)
        env = {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": str(len(names)), "LISTEN_FDNAMES": ":".join(names)}
        try:
            taken = handed_over(env, first)
        finally:
            for index in range(len(names)):
                self.addCleanup(self._close, first + index)
        for each in taken:
            self.addCleanup(each.socket.close)
        return taken

    def _close(self, number: int) -> None:
        try:
            os.close(number)
        except OSError:
            pass

    def test_taken_up(self) -> None:
        """Each with its name and its address; none is handed on to a child, and none blocks."""
        taken = self.hand_over("web", "control")
        self.assertEqual([each.name for each in taken], ["web", "control"])
        for each, original in zip(taken, self.sockets, strict=True):
            self.assertEqual((each.address.host, each.address.port), original.getsockname())
            self.assertFalse(each.socket.get_inheritable())
            self.assertFalse(each.socket.getblocking())

    def test_refused(self) -> None:
        """A datagram socket, and one that does not listen: each says what the unit needs, and none stays open."""
        for broken, words in (("datagram", "ListenStream="), ("silent", "Accept=no")):
            with self.assertRaises(ActivationError) as caught:
                self.hand_over("control", "web", broken=broken)
            self.assertIn(words, str(caught.exception))
            self.assertRaises(OSError, os.fstat, 200)
            self.assertRaises(OSError, os.fstat, 201)

    def test_not_ours(self) -> None:
        """What is meant for another process, or says nothing, is not touched."""
        me = str(os.getpid())
        for env in (
            {}, {"LISTEN_FDS": "1"}, {"LISTEN_FDS": "1", "LISTEN_PID": str(os.getpid() + 1)},
            {"LISTEN_FDS": "0", "LISTEN_PID": me}, {"LISTEN_FDS": "x", "LISTEN_PID": me},
        ):  # fmt: skip
            self.assertEqual(handed_over(env), ())
