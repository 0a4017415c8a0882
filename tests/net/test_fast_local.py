"""A local connection of the fast relay whose both directions have ended before it was read to its end."""

from __future__ import annotations

import select
import socket
import sys
from collections.abc import Callable, Sequence
from typing import Any
from unittest import skipUnless

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

LINUX = sys.platform.startswith("linux")
if LINUX:
    from gotunnel.net.fast.local import MOST_PIECES, FastLocal
    from gotunnel.net.fast.poller import OUT, Pump
    from gotunnel.net.fast.slottedlocal import SlottedLocal
    from gotunnel.net.fast.tools import Tools
    from gotunnel.net.pathwatch import INTERVAL, LAST_BYTES_LIMIT, PathWatch


class Reader:
    """A leg that reads all there is."""

    def __init__(self, local: FastLocal) -> None:
        self.local = local
        self.heard = b""
        self.events: list[str] = []

    def local_readable(self) -> None:
        part = self.local.sock.recv(4)
        self.heard += part
        if not part:
            self.events.append("ended")
            self.local.read_ended = True
            self.local.read_more(False)

    def local_drained(self) -> None: ...

    def local_lost(self) -> None:
        self.events.append("lost")

    def local_closed(self) -> None:
        self.events.append("closed")


@skipUnless(LINUX, "the fast relay needs Linux")
class _LocalTestCase(SynchronousTestCase):
    """A connection that its reader does not read yet."""

    if LINUX:
        make_local: Callable[..., FastLocal] = SlottedLocal
        make_pump: Callable[[], Any] = Pump

    def setUp(self) -> None:
        self.pump = self.make_pump()
        self.addCleanup(self.pump.close)
        listening = socket.create_server(("127.0.0.1", 0))
        self.far = socket.create_connection(listening.getsockname())
        near, _ = listening.accept()
        listening.close()
        near.setblocking(False)
        self.clock = Clock()
        self.watch = PathWatch(self.clock)
        self.tools = Tools(self.clock, self.pump, self.watch, 10.0)
        self.local = self.make_local(near, "x:1", "x", self.tools, set())
        self.leg = self.local.leg = Reader(self.local)
        self.addCleanup(self.local.abort)
        self.addCleanup(self.far.close)
        self.local.read_more(True)
        self.local.read_more(False)


class BeginningTests(_LocalTestCase):
    """What is said ahead of all else."""

    def test_in_one_send(self) -> None:
        """It leaves together with the first bytes: one call of the system, one packet."""
        sent: list[bytes] = []
        sock = self.local.sock
        self.local.sock = Wire(sock, lambda data: sent.append(bytes(data)) or len(data))  # type: ignore[assignment]
        self.local.begin_with(b"header ")
        self.assertFalse(self.local.send(b"first"))
        self.assertEqual(sent, [b"header first"])
        self.local.sock = sock
        self.assertFalse(self.local.send(b"next"))
        self.assertEqual(self.far.recv(20), b"next")

    def test_in_pieces(self) -> None:
        """A kernel that takes only some of it gets the rest, and the end behind it, when it takes more."""
        room = [3, 0, 4]

        def take(data: Sequence[int]) -> int:
            taken = min(len(data), room.pop(0) if room else len(data))
            if not taken:
                raise BlockingIOError
            self.local.sock.held.extend(data[:taken])  # type: ignore[attr-defined]
            return taken

        self.local.sock = Wire(self.local.sock, take)  # type: ignore[assignment]
        self.local.begin_with(b"header ")
        self.assertTrue(self.local.begin())
        self.assertTrue(self.local.send(b"first"))
        self.local.half_close()
        for _ in range(5):
            self.local.handle(OUT)
        self.assertEqual(bytes(self.local.sock.held), b"header first")  # type: ignore[attr-defined]
        self.assertEqual(self.far.recv(10), b"")


class Wire:
    """A socket whose `send` is another function."""

    def __init__(self, sock: socket.socket, send: Callable[[Any], int]) -> None:
        self._sock = sock
        self.send = send
        self.held = bytearray()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)


class HangUpTests(_LocalTestCase):
    """The kernel tells a hang-up as soon as both directions have ended, whatever is still to be read."""

    def setUp(self) -> None:
        super().setUp()
        self.local.half_close()
        self.far.sendall(b"twelve bytes")
        self.far.shutdown(socket.SHUT_WR)

    def turn(self) -> int:
        """Run the loop once; return whether it had something to tell."""
        told = len(select.select([self.pump.fileno()], [], [], 0)[0])
        self.pump.run(0, -1)
        return told

    def test_paused(self) -> None:
        """It is no reset, and it is not told again and again; what is there is read when reading goes on."""
        self.assertEqual(self.turn(), 1)
        self.assertEqual([self.turn() for _ in range(3)], [0, 0, 0])
        self.clock.advance(5)
        self.assertEqual(self.leg.events, [])
        self.local.read_more(True)
        for _ in range(5):
            self.pump.run(0, -1)
        self.assertEqual((self.leg.heard, self.leg.events), (b"twelve bytes", ["ended"]))

    def test_read_on_meanwhile(self) -> None:
        """A hang-up that was taken from the kernel before reading went on does not stop it."""
        self.turn()
        self.local.read_more(True)
        self.local.handle(select.EPOLLHUP)
        for _ in range(5):
            self.pump.run(0, -1)
        self.assertEqual((self.leg.heard, self.leg.events), (b"twelve bytes", ["ended"]))

    def test_reset_behind_both_ends(self) -> None:
        """A reset of a connection whose both directions had ended takes nothing back: the reader comes to its end."""
        self.turn()
        self.far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.far.close()
        self.clock.advance(5)
        self.assertEqual(self.leg.events, [])
        self.local.read_more(True)
        for _ in range(5):
            self.pump.run(0, -1)
        self.assertEqual(self.leg.events, ["ended"])


class PiecesTests(_LocalTestCase):
    """Pieces that leave in one call of the system, as far as the kernel takes them."""

    def test_all_at_once(self) -> None:
        """They arrive one behind the other, few and very many of them."""
        for count in (2, MOST_PIECES, MOST_PIECES + 1, 2000):
            pieces = [bytes([value % 251]) * 3 for value in range(count)]
            self.assertFalse(self.local.send_all(pieces))
            self.assertEqual(self.far.recv(10_000, socket.MSG_WAITALL | socket.MSG_DONTWAIT), b"".join(pieces))

    def test_cut_anywhere(self) -> None:
        """What the kernel takes none of, or only some of, follows later, in order, and behind it what came later."""
        self.local.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        told, rounds = b"", 0
        while not self.local.blocked:
            pieces = [bytes([value]) * (1000 + value) for value in range(60)]
            told += b"".join(pieces)
            self.local.send_all(pieces)
            rounds += 1
            self.assertLess(rounds, 1000)
        for more in ([b"behind", b" them"], [memoryview(b", in"), b" order"]):
            self.assertTrue(self.local.send_all(more))
            told += b"".join(more)
        heard = b""
        self.far.settimeout(10)
        while len(heard) < len(told):
            heard += self.far.recv(1 << 16)
            self.pump.run(0, -1)
        self.assertEqual(heard, told)
        self.assertFalse(self.local.blocked)


class LastBytesTests(_LocalTestCase):
    """Both directions have ended, and the kernel does not take all that is left."""

    def test_refused(self) -> None:
        """One who takes none of it is given up after two minutes; one who takes a little now and then is not."""
        self.local.read_ended = True
        self.local.send(bytes(48 << 20))
        self.local.finish()
        self.clock.pump([INTERVAL] * round(LAST_BYTES_LIMIT / INTERVAL))
        taken = 0
        for _ in range(3):
            while taken < 4 << 20:
                taken += len(self.far.recv(1 << 20))
                self.pump.run(0, -1)
            taken = 0
            self.clock.pump([INTERVAL] * round(LAST_BYTES_LIMIT / INTERVAL))
            self.assertEqual(self.leg.events, [])
        self.clock.advance(INTERVAL)
        self.clock.advance(INTERVAL)
        self.assertEqual((self.leg.events, self.local.gone), (["lost"], True))

    def test_taken(self) -> None:
        """And one who takes them all ends in order."""
        self.local.read_ended = True
        self.local.send(bytes(8 << 20))
        self.local.finish()
        while not self.local.gone:
            self.far.recv(1 << 20)
            self.pump.run(0, -1)
        self.assertEqual(self.leg.events, ["closed"])
