"""A gibibyte offered to somebody who does not read stays where it is: with its sender, not in our memory."""

from __future__ import annotations

import socket

from tests.e2e.harness import Program, TunnelTestCase, read_exactly
from tests.e2e.peers import Service, echo
from tests.e2e.streams import Pump

MIB = 1 << 20
OFFERED = 1024 * MIB
ALLOWED = 4 * MIB
"""What each process may grow by."""


class BackpressureTests(TunnelTestCase):
    """In either direction, on either kind of leg."""

    def setUp(self) -> None:
        super().setUp()
        self.targets: list[socket.socket] = []
        self.silent = Service(self, self.take)
        self.echoing = Service(self, echo)

    def take(self, connection: socket.socket) -> None:
        """Serve nothing: the test has the connection."""
        taken = connection.dup()
        self.addCleanup(taken.close)
        self.targets.append(taken)

    def start_tunnel(self, *, encrypt: bool) -> list[Program]:
        """Start both roles, and let some bytes flow, so that what is allocated once is."""
        self.public, warm = self.port(), self.port()
        server = self.server(allow_plain_legs=True)
        client = self.client(
            {"silent": (self.silent.address, self.public), "warm": (self.echoing.address, warm)},
            plain=() if encrypt else ("silent", "warm"),
        )
        if not encrypt:
            client.wait_for("mapping silent has encrypt: false, but its target")
            self.targets.clear()  # that was the client's own look at it
        sock = self.visit(warm)
        writer = Pump(self, sock.dup()).write(8 * MIB)
        self.assertEqual(len(read_exactly(sock, 8 * MIB)), 8 * MIB)
        self.assertIsNone(writer.wait())
        sock.close()
        return [server, client]

    def pair(self) -> tuple[socket.socket, socket.socket]:
        """Return a visitor's socket and his target's."""
        visitor = self.visit(self.public)
        self.wait_until(lambda: bool(self.targets), "the target's connection")
        return visitor, self.targets[0]

    def check(self, programs: list[Program], sender: socket.socket, receiver: socket.socket) -> None:
        """Offer, wait until nothing moves, compare memory; then the receiver reads and everything moves again."""
        before = [program.rss() for program in programs]
        offer = Pump(self, sender).write(OFFERED)
        held = self.stable(lambda: offer.moved, "what the sender got rid of")
        grown = [program.rss() - size for program, size in zip(programs, before, strict=True)]
        self.assertLess(held, OFFERED // 4, "the kernel's buffers cannot hold so much")
        self.assertLess(
            max(grown), ALLOWED, f"server and client grew by {grown} bytes while {held} were under way"
        )
        self.assertEqual(len(read_exactly(receiver, 2 * held)), 2 * held)

    def test_download(self) -> None:
        """A visitor does not read."""
        programs = self.start_tunnel(encrypt=True)
        visitor, target = self.pair()
        self.check(programs, target, visitor)

    def test_upload(self) -> None:
        """A target does not read."""
        programs = self.start_tunnel(encrypt=True)
        visitor, target = self.pair()
        self.check(programs, visitor, target)

    def test_plain_download(self) -> None:
        """The same on a leg without TLS."""
        programs = self.start_tunnel(encrypt=False)
        visitor, target = self.pair()
        self.check(programs, target, visitor)

    def test_plain_upload(self) -> None:
        """The same on a leg without TLS."""
        programs = self.start_tunnel(encrypt=False)
        visitor, target = self.pair()
        self.check(programs, visitor, target)
