"""Urgent bytes (MSG_OOB) in a large stream of the fast relay: `splice(2)` never gets past where one was, and the kernel
tells again and again that there is something to read."""

from __future__ import annotations

import socket
from collections.abc import Callable
from functools import partial
from typing import Any
from unittest import skipUnless

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from gotunnel.wire.legs import FIN_FRAME, LegDecoder, LegFrame, data_header, encode_leg_frame
from gotunnel.wire.legstate import End
from tests.net.test_fast_local import LINUX

if LINUX:
    from gotunnel.net.fast.local import FastLocal
    from gotunnel.net.fast.plainleg import PlainFastLeg
    from gotunnel.net.fast.poller import Pump
    from gotunnel.net.fast.slottedlocal import SlottedLocal
    from gotunnel.net.fast.tools import Tools
    from gotunnel.net.pathwatch import PathWatch
    from tests.net.twinwire import Tcp
try:
    from gotunnel.net.fast.nativeleg import NativeLocal, NativePlainLeg, NativePump

    BUILT = True
except ImportError:
    BUILT = False

MUCH = 360_000
"""More than a leg takes without a pipe, and no more than the kernel has room for."""
BEHIND = b"behind it"
ROUNDS = 400
"""Of the loop, within which all has arrived where none of them is in vain."""


def _tcp_pair() -> tuple[socket.socket, socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        far = socket.create_connection(listening.getsockname())
        near, _ = listening.accept()
    far.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 22)
    for end in (near, far):
        end.setblocking(False)
    return near, far


@skipUnless(LINUX, "the fast relay needs Linux")
class UrgentTests(SynchronousTestCase):
    """A leg outside TLS that dials."""

    if LINUX:
        make_pump: Callable[[], Any] = Pump
        make_local: Callable[..., FastLocal] = SlottedLocal
        make_leg: Callable[..., Any] = PlainFastLeg

    def setUp(self) -> None:
        clock = Clock()
        self.pump = self.make_pump()
        self.addCleanup(self.pump.close)
        self.tools = Tools(clock, self.pump, PathWatch(clock), 10.0)
        self.addCleanup(self.tools.pipes.close)
        near, self.wire = _tcp_pair()
        at_target, self.target = _tcp_pair()
        for sock in (near, self.wire, at_target, self.target):
            self.addCleanup(sock.close)
        transport = Tcp(near, clock, lambda *words: None)
        self.local = self.make_local(at_target, "x:1", "x", self.tools, set())
        self.leg = self.make_leg(self.tools, transport, End.DIALLER, self, True)
        self.wire.sendall(encode_leg_frame(LegFrame.OPEN, b"{}"))
        self.decoder = LegDecoder()
        self.run_until(lambda: self.leg._local is not None)

    def __getattr__(self, name: str) -> Any:
        """The owner of the leg: most of what it is told is nothing to it."""
        if not name.startswith("leg_"):
            raise AttributeError(name)
        return lambda *said: None

    def leg_open(self, leg: Any, body: bytes) -> None:
        """The owner of the leg: the target is there."""
        leg.accept(self.local, True)

    def run_until(self, done: Callable[[], bool]) -> None:
        """Let the loop run."""
        for _ in range(ROUNDS):
            if done():
                return
            self.pump.run(0.1, -1)
        self.fail("it is told again and again")

    def test_from_the_local_socket(self) -> None:
        """What is behind it reaches the leg, and so does the end."""
        for _ in range(2):  # a pipe is taken again behind it
            got = bytearray()
            self.send(self.target, bytes(MUCH))
            self.run_until(partial(self.has_come, got, self.frames))
            self.assertEqual(got[MUCH:], BEHIND)
            self.assertEqual(len(self.tools.pipes._free), 1)
        self.target.shutdown(socket.SHUT_WR)
        self.run_until(lambda: LegFrame.FIN in self.frames(bytearray()))

    def test_from_the_leg(self) -> None:
        """The same the other way."""
        for _ in range(2):
            got = bytearray()
            self.send(self.wire, data_header(MUCH + len(BEHIND)) + bytes(MUCH))
            self.run_until(partial(self.has_come, got, self.hear))
            self.assertEqual(got[MUCH:], BEHIND)
            self.assertEqual(len(self.tools.pipes._free) + (self.local.pipe is not None), 1)
        self.wire.send(FIN_FRAME)
        self.pump.run(1.0, -1)
        self.assertEqual(self.target.recv(100), b"")

    def send(self, sock: socket.socket, much: bytes) -> None:
        """Send much, an urgent byte, and more behind it: all of that before anybody reads."""
        self.assertEqual(sock.send(much), len(much))
        sock.send(b"!", socket.MSG_OOB)
        sock.send(BEHIND)

    def has_come(self, got: bytearray, read: Callable[[bytearray], Any]) -> bool:
        """Read, and say whether that is all."""
        read(got)
        return len(got) == MUCH + len(BEHIND)

    def hear(self, got: bytearray) -> None:
        """Read what has come at the target."""
        try:
            got += self.target.recv(1 << 20)
        except BlockingIOError:
            pass

    def frames(self, got: bytearray) -> list[LegFrame]:
        """Read what has come on the leg, DATA into `got`, and return which frames."""
        try:
            self.decoder.feed(self.wire.recv(1 << 20))
        except BlockingIOError:
            pass
        kinds = []
        while (frame := self.decoder.next()) is not None:
            kinds.append(frame[0])
            if frame[0] is LegFrame.DATA:
                got += frame[1]
        return kinds


@skipUnless(BUILT, "the extension is not built")
class NativeUrgentTests(UrgentTests):
    """The same, compiled."""

    if BUILT:
        make_pump, make_local, make_leg = NativePump, NativeLocal, NativePlainLeg
