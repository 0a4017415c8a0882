"""SIGTERM: nobody new is let in, who streams has time to finish, the rest is reset; and the exit code is 0."""

from __future__ import annotations

import signal
import socket
import time
from typing import ClassVar

from tests.e2e.harness import Program, TunnelTestCase, read_all, read_exactly
from tests.e2e.peers import Service, echo
from tests.e2e.streams import Pump

DRAIN = 1.8


class _StreamsTestCase(TunnelTestCase):
    """A tunnel whose visitors and targets are both in the test's hands."""

    runner: ClassVar[str] = "command"

    def setUp(self) -> None:
        super().setUp()
        self.targets: list[socket.socket] = []
        self.service = Service(self, self.take)

    def take(self, connection: socket.socket) -> None:
        taken = connection.dup()
        taken.settimeout(None)
        self.addCleanup(taken.close)
        self.targets.append(taken)

    def start_tunnel(self, stopped: str, drain: float) -> Program:
        """Start both roles; return the one that is to be stopped, which runs under the runner of this class."""
        self.public = self.port()
        runner = {role: self.runner if role == stopped else "command" for role in ("server", "client")}
        timeout = {role: drain if role == stopped else 60 for role in runner}
        server = self.server(runner=runner["server"], drain_timeout=timeout["server"])
        mappings = {"web": (self.service.address, self.public)}
        client = self.client(mappings, runner=runner["client"], drain_timeout=timeout["client"])
        return server if stopped == "server" else client

    def stream(self) -> tuple[socket.socket, socket.socket]:
        """Return a visitor and his target, after a first word."""
        count = len(self.targets)
        visitor = self.visit(self.public)
        visitor.sendall(b"?")
        self.wait_until(lambda: len(self.targets) > count, "the target's connection")
        target = self.targets[-1]
        self.assertEqual(target.recv(1), b"?")
        self.talk(target, visitor)
        return visitor, target

    def talk(self, sender: socket.socket, receiver: socket.socket) -> None:
        sender.sendall(b"word")
        self.assertEqual(read_exactly(receiver, 4), b"word")


class _StopCases:
    """What holds for both roles under every runner."""

    def stop_in_order(self, role: str) -> None:
        program = self.start_tunnel(role, DRAIN)
        finishing, late = self.stream(), self.stream()
        began = time.monotonic()
        program.signal(signal.SIGTERM)
        program.wait_for("2 visitors are being served; they have 1.8 s to finish")
        if role == "server":
            self.assertTrue(self.refused(self.public), "the public port")
            # It is closed behind the line, and behind those who wait for a leg.
            self.wait_until(lambda: self.refused(self.control), "the control port's end")
        self.assertIsNone(program.process.poll())
        visitor, target = finishing
        self.talk(target, visitor)
        self.talk(visitor, target)
        visitor.shutdown(socket.SHUT_WR)
        self.assertEqual(target.recv(1), b"")
        target.sendall(b"the end")
        target.shutdown(socket.SHUT_WR)
        self.assertEqual(read_all(visitor), b"the end")
        ends = [Pump(self, end).read() for end in late]
        for end in ends:
            self.assertIsInstance(end.wait(), ConnectionResetError)
        self.assertGreater(time.monotonic() - began, DRAIN - 0.1)
        self.assertEqual(program.wait(), 0)
        program.wait_for("1 visitors were disconnected: their time was over")

    def stop_at_once(self, role: str) -> None:
        program = self.start_tunnel(role, 60)
        visitor, target = self.stream()
        began = time.monotonic()
        program.signal(signal.SIGTERM)
        program.wait_for("SIGTERM: stopping; a second signal ends at once")

        def again() -> bool:
            # Two signals within a tenth of a second count as one.
            if program.process.poll() is None:
                program.signal(signal.SIGTERM)
            return program.process.poll() is not None

        self.wait_until(again, "the end")
        self.assertEqual(program.wait(), 0)
        self.assertLess(time.monotonic() - began, 30)
        for end in (visitor, target):
            self.assertIsInstance(Pump(self, end).read().wait(), ConnectionResetError)

    def test_server(self) -> None:
        """A server lets nobody in; one visitor finishes, the other is reset when time is over."""
        self.stop_in_order("server")

    def test_client(self) -> None:
        """A client lets one visitor finish and resets the other when time is over."""
        self.stop_in_order("client")

    def test_server_twice(self) -> None:
        """A second signal ends a server that has a minute to drain."""
        self.stop_at_once("server")

    def test_client_twice(self) -> None:
        """A second signal ends a client that has a minute to drain."""
        self.stop_at_once("client")


class CommandStopTests(_StopCases, _StreamsTestCase):
    """`gotunnel-server` and `gotunnel-client`."""

    def stop_when_done(self, role: str) -> None:
        """A minute to drain is not used up when the last visitor is gone."""
        program = self.start_tunnel(role, 60)
        visitor, target = self.stream()
        began = time.monotonic()
        program.signal(signal.SIGTERM)
        program.wait_for("1 visitors are being served")
        self.talk(target, visitor)
        target.close()
        self.assertEqual(read_all(visitor), b"")
        visitor.close()
        self.assertEqual(program.wait(), 0)
        self.assertLess(time.monotonic() - began, 30)
        self.assertEqual(program.count("were cut"), 0)

    def test_server_when_done(self) -> None:
        """A server ends with its last visitor."""
        self.stop_when_done("server")

    def test_client_when_done(self) -> None:
        """A client ends with its last visitor."""
        self.stop_when_done("client")

    def test_successor(self) -> None:
        """A rolling update of a client: while the old one drains, its successor has the port, and nobody is refused."""
        program = self.start_tunnel("client", 60)
        visitor, target = self.stream()
        program.signal(signal.SIGTERM)
        program.wait_for("1 visitors are being served")
        service = Service(self, echo)
        self.write("client.yaml", "")
        successor = self.client({"web": (service.address, self.public)})
        self.assert_echo(self.public)
        self.talk(target, visitor)
        target.close()
        self.assertEqual(read_all(visitor), b"")
        visitor.close()
        self.assertEqual(program.wait(), 0)
        self.assert_echo(self.public)
        self.assertEqual(successor.count("lost"), 0)


class TwistdStopTests(_StopCases, _StreamsTestCase):
    """`twistd -n`."""

    runner = "twistd"


class TwistStopTests(_StopCases, _StreamsTestCase):
    """`twist`."""

    runner = "twist"
