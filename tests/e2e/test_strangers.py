"""Strangers at the control port of a real server: slow ones, many, guessing ones, and those who share an address with a
client. Whoever has the token gets in all the same."""

from __future__ import annotations

import os
import select
import socket
import threading
import time
from pathlib import Path
from typing import Any

from gotunnel.wire.frames import LIMIT_BEFORE_AUTH, FrameDecoder, encode_frame
from gotunnel.wire.handshake import NO_BINDING, ClientHandshake
from gotunnel.wire.messages import AuthOk, Error, decode
from tests.e2e.harness import Program, TunnelTestCase, read_exactly
from tests.e2e.peers import Service, echo

TICK = os.sysconf("SC_CLK_TCK")


class StrangerTestCase(TunnelTestCase):
    """A server, and connections to its control port from any address of the loopback network."""

    def limited_server(self, nofile: int, **keys: Any) -> Program:
        """Start a server that may have so many descriptors."""
        section = {"addr": f"{self.host}:{self.control}", "token": self.token, "drain_timeout": 1, **keys}
        path = self.write("server.yaml", {"server": section})
        prefix = ("sh", "-c", f'ulimit -Sn {nofile}; ulimit -Hn {nofile}; exec "$@"', "sh")
        program = self.role("server", ["--config", path], prefix=prefix)
        program.wait_for("server listening for clients on")
        return program

    def come(self, source: str, first: bytes = b"") -> socket.socket:
        """Connect to the control port from an address."""
        stranger = socket.socket()
        self.addCleanup(stranger.close)
        stranger.settimeout(30)
        stranger.bind((source, 0))
        stranger.connect((self.host, self.control))
        if first:
            stranger.sendall(first)
        return stranger

    @staticmethod
    def closed(strangers: list[socket.socket]) -> int:
        """Return how many of them the server has closed."""
        poller = select.poll()
        for stranger in strangers:
            poller.register(stranger, select.POLLRDHUP)
        return len(poller.poll(0))

    def guess(self, source: str, token: str, name: str = "edge") -> AuthOk | Error | None:
        """Log in without TLS; None when the server closes before it has read a byte."""
        handshake = ClientHandshake(name, token, os.urandom(16), "test")
        try:
            with self.come(source) as stranger:
                stranger.sendall(encode_frame(handshake.hello()))
                challenge = self.frame(stranger)
                if challenge is None:
                    return None
                stranger.sendall(encode_frame(handshake.receive_challenge(challenge, NO_BINDING)))
                answer = self.frame(stranger)
                found = None if answer is None else decode(answer)
                assert found is None or isinstance(found, (AuthOk, Error))
                return found
        except (ConnectionResetError, BrokenPipeError):
            return None

    @staticmethod
    def frame(stranger: socket.socket) -> bytes | None:
        """Read one frame."""
        decoder = FrameDecoder(LIMIT_BEFORE_AUTH)
        while (payload := decoder.next_frame()) is None:
            data = stranger.recv(1)
            if not data:
                return None
            decoder.feed(data)
        return payload


class CrowdTests(StrangerTestCase):
    """Those who do not prove themselves."""

    def test_slow_loris(self) -> None:
        """400 connections that send nothing, half a frame or a byte every now and then, at a server with 256
        descriptors: one address keeps 32 places, a client gets in beside them, and all are closed when their time is
        over, the dripping ones too."""
        server = self.limited_server(256, tls={"mode": "off"})
        firsts = (b"", b"\0\0", b"\0\0\x10\0{", b"\0\0\x10\0" + b" " * 200)
        strangers = [self.come("127.0.0.3", firsts[number % 4]) for number in range(400)]
        self.wait_until(lambda: self.closed(strangers) >= 400 - 32, "the oldest are closed")
        self.assertEqual(self.closed(strangers), 400 - 32)
        target = Service(self, echo)
        public = self.port()
        self.client({"web": (target.port, public)}, tls={"mode": "off"})
        self.assert_echo(public)

        def drip() -> bool:
            for stranger in strangers[-30::4] + strangers[-29::4]:  # they have frames of 4 KiB to fill
                try:
                    stranger.send(b" ")
                except OSError:
                    pass
            return self.closed(strangers) == 400

        self.wait_until(drip, "all are closed")
        fields = Path(f"/proc/{server.pid}/stat").read_text().rpartition(")")[2].split()
        self.assertLess((int(fields[11]) + int(fields[12])) / TICK, 3)
        self.assertLessEqual(server.count(r"\[warn\]"), 21)

    def test_flood(self) -> None:
        """1,000 silent connections from one address, then as many from 64: what the server holds stays within the
        limits, and a client gets in both times."""
        server = self.server()
        base = len(os.listdir(f"/proc/{server.pid}/fd"))
        most = 0
        for count, sources in ((32, ["127.0.0.3"]), (256, [f"127.0.1.{n}" for n in range(1, 65)])):
            strangers = []
            for number in range(1000):
                strangers.append(self.come(sources[number % len(sources)]))
                if number % 50 == 0:
                    most = max(most, len(os.listdir(f"/proc/{server.pid}/fd")) - base)
            self.wait_until(lambda: self.closed(strangers) >= 1000 - count, "the oldest are closed")  # noqa: B023
            # Accepted but not closed yet is one turn's worth, and Twisted closes a turn later.
            self.assertLessEqual(most, count + 16 + 16)
            target = Service(self, echo)
            public = self.port()
            client = self.client({"web": (target.port, public)}, name=f"client-{count}")
            self.assert_echo(public)
            client.stop()
            for stranger in strangers:
                stranger.close()
        self.assertLessEqual(server.count("too many unauthenticated"), 40)

    def test_neighbour_floods(self) -> None:
        """A client shares its address with a flood: legs come in, at a second attempt perhaps, and all visitors are
        served, with either relay."""
        for relay in ("fast", "portable"):
            with self.subTest(relay=relay):
                self.control = self.port()
                server = self.server(name=f"server-{relay}", relay=relay, penalties={"exempt": []})
                target = Service(self, echo)
                public = self.port()
                client = self.client({"web": (target.port, public)}, name=f"client-{relay}", relay=relay)
                flood = Flood(self, "127.0.0.1")
                server.wait_for("too many unauthenticated")
                visitors = [self.visit(public) for _ in range(30)]
                for visitor in visitors:
                    visitor.sendall(b"through")
                for visitor in visitors:
                    self.assertEqual(read_exactly(visitor, 7), b"through")
                self.assertGreater(flood.stop(), 64)
                for program in (client, server):
                    program.stop()


class Flood:
    """Connects to the control port from one address as fast as it can, in a thread."""

    def __init__(self, case: StrangerTestCase, source: str) -> None:
        self._over = threading.Event()
        self._case = case
        self._source = source
        self._came = 0
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        case.addCleanup(self.stop)

    def stop(self) -> int:
        """End it; return how many came."""
        self._over.set()
        self._thread.join(30)
        return self._came

    def _run(self) -> None:
        held: list[socket.socket] = []
        while not self._over.is_set():
            stranger = socket.socket()
            stranger.bind((self._source, 0))
            stranger.connect((self._case.host, self._case.control))
            self._came += 1
            held.append(stranger)
            if len(held) > 200:
                held.pop(0).close()
            time.sleep(0.001)
        for stranger in held:
            stranger.close()


class GuessTests(StrangerTestCase):
    """Those who prove wrong."""

    def setUp(self) -> None:
        super().setUp()
        self.wrong = "0" * 8 + self.token[8:]
        self.secrets.append(self.wrong)

    def test_refused_at_accept(self) -> None:
        """A thousand guesses from one address: four are evaluated, the others end before a byte is read; somebody from
        elsewhere gets in, and one line tells of it."""
        server = self.server(tls={"mode": "off"}, penalties={"exempt": []})
        answers = [self.guess("127.0.0.3", self.wrong) for _ in range(1000)]
        evaluated = [answer for answer in answers if answer is not None]
        self.assertLessEqual(len(evaluated), 15)
        self.assertEqual({answer.code for answer in evaluated if isinstance(answer, Error)}, {"auth_failed"})
        self.assertIsNone(self.guess("127.0.0.3", self.token))
        self.assertIsInstance(self.guess("127.0.0.4", self.token), AuthOk)
        self.assertEqual(server.count(r"connections from 127\.0\.0\.3 are refused for 20 s"), 1)
        self.assertLessEqual(server.count(r"\[warn\]"), 10)

    def test_expiry(self) -> None:
        """When the penalty is over the right token gets in from there, and a line tells how many were refused."""
        numbers = {"auth_failure": 0.5, "minimum": 1, "maximum": 2, "exempt": ["192.0.2.0/24"]}
        server = self.server(tls={"mode": "off"}, penalties=numbers)
        while self.guess("127.0.0.3", self.wrong) is not None:
            pass
        self.wait_until(lambda: isinstance(self.guess("127.0.0.3", self.token), AuthOk), "it gets in")
        server.wait_for(r"connections from 127\.0\.0\.3 are let in again; [1-9]\d* were refused")

    def test_what_the_client_says(self) -> None:
        """A client whose address is refused says what that may be, inside TLS and outside."""
        for mode in ("required", "off"):
            with self.subTest(mode=mode):
                self.control = self.port()
                penalties = {"exempt": [], "minimum": 4, "maximum": 600}
                server = self.server(name=f"server-{mode}", tls={"mode": mode}, penalties=penalties)
                self.client(name="wrong", ready=False, token=self.wrong, tls={"mode": mode}, local_ports=[80])
                server.wait_for("are refused for 5 s")
                late = self.client(name="late", ready=False, tls={"mode": mode}, local_ports=[81])
                late.wait_for("refuses this address for a while after failed logins")

    def test_exempt(self) -> None:
        """Loopback is exempt by default: a hundred guesses are answered."""
        self.server(tls={"mode": "off"})
        answers = [self.guess("127.0.0.3", self.wrong) for _ in range(100)]
        self.assertEqual({type(answer) for answer in answers}, {Error})

    def test_good_neighbours(self) -> None:
        """150 clients behind one address come back at once, as after a restart: nobody is refused, and all get in,
        those who were pushed out at their next attempt."""
        server = self.server(tls={"mode": "off"}, penalties={"exempt": []})
        come = [self.come("127.0.0.3") for _ in range(150)]
        self.wait_until(lambda: self.closed(come) >= 150 - 32, "the crowd is thinned")
        for number in range(150):
            self.assertIsInstance(self.guess("127.0.0.3", self.token, f"edge-{number}"), AuthOk)
        self.assertEqual(server.count("are refused for"), 0)
