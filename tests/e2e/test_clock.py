"""The wall clock jumps by an hour under running processes (libfaketime): nothing may notice but the log's time."""

from __future__ import annotations

import socket
import subprocess
import threading
from datetime import datetime, timedelta

from tests.e2e.harness import Program, TunnelTestCase, need
from tests.e2e.peers import Service, echo

HOUR = timedelta(hours=1)

BEATS = 8
"""Packets each way after a jump that show that heartbeats go on. Who counts by the wall clock gives up at the first."""


class _Wire:
    """Stands between client and server and counts what passes; `counts` has (up, down) for each connection."""

    def __init__(self, case: TunnelTestCase) -> None:
        self.counts: list[list[int]] = []
        self._case = case
        self.service = Service(case, self._serve)

    def _serve(self, client: socket.socket) -> None:
        counts = [0, 0]
        self.counts.append(counts)
        with socket.create_connection((self._case.host, self._case.control)) as server:
            client.settimeout(None)
            back = threading.Thread(target=self._copy, args=(server, client, counts, 1), daemon=True)
            back.start()
            self._copy(client, server, counts, 0)
            back.join()

    @staticmethod
    def _copy(source: socket.socket, sink: socket.socket, counts: list[int], way: int) -> None:
        try:
            while data := source.recv(1 << 16):
                counts[way] += 1
                sink.sendall(data)
        except OSError:
            pass
        finally:
            for each in (source, sink):
                try:
                    each.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass


class WallClockTests(TunnelTestCase):
    """Heartbeat 0.4 s: whatever a jump would do is seen at once. A silent end is given up after a time that no busy
    machine uses up."""

    def setUp(self) -> None:
        super().setUp()
        shown = subprocess.run(
            [need("faketime"), "-f", "+0", "printenv", "LD_PRELOAD"],
            capture_output=True,
            text=True,
            check=True,
        )
        self.file = self.folder / "clock"
        self.set_clock("+0")
        fake = {
            "LD_PRELOAD": shown.stdout.strip(),
            "FAKETIME_TIMESTAMP_FILE": str(self.file),
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_NO_CACHE": "1",
        }
        service = Service(self, echo)
        self.wire = _Wire(self)
        self.tunnel_server = self.server(heartbeat=0.4, heartbeat_timeout=20, handshake_timeout=10, env=fake)
        self.public = self.port()
        self.tunnel_client = self.client(
            {"web": (service.address, self.public)}, server_addr=self.wire.service.address, env=fake
        )

    def set_clock(self, offset: str) -> None:
        """Let the processes' clock be off by so much, from now on."""
        self.write("clock.new", offset + "\n").rename(self.file)

    def now_by(self, program: Program) -> datetime:
        """Return the time that a process gives to a visitor of now."""
        before = program.count("visitor .* ended: completed")
        self.assert_echo(self.public)
        program.wait_for("visitor .* ended: completed", before + 1)
        return datetime.fromisoformat(program.said.splitlines()[-1].partition(" ")[0])

    def beats(self) -> None:
        """Wait for heartbeats each way on the control connection."""
        control = self.wire.counts[0]
        up, down = control
        self.wait_until(
            lambda: control[0] >= up + BEATS and control[1] >= down + BEATS, "heartbeats each way"
        )

    def jump(self, offset: str, by: timedelta) -> None:
        """Let the clock jump, and see that only the log's time does."""
        programs = (self.tunnel_server, self.tunnel_client)
        stranger = self.visit(self.control)  # he has ten seconds to prove himself
        before = [self.now_by(program) for program in programs]
        self.set_clock(offset)
        for program, earlier in zip(programs, before, strict=True):
            moved = self.now_by(program) - earlier - by
            self.assertLess(abs(moved), HOUR / 4, "the clock of the process did not jump")
        stranger.setblocking(False)
        self.assertRaises(BlockingIOError, stranger.recv, 1)
        stranger.close()
        self.beats()
        for program in programs:
            self.assertEqual(
                program.count("lost|nothing was received|not connected|did not prove"), 0, program.said
            )
            self.assertEqual(program.count("as client|client client connected"), 1, program.said)
        self.assert_echo(self.public)

    def test_forward(self) -> None:
        """An hour forward: nothing times out that has time left."""
        self.jump("+1h", HOUR)

    def test_back(self) -> None:
        """An hour back: no timer waits for an hour."""
        self.jump("-1h", -HOUR)
