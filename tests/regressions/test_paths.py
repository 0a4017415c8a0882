"""Client and server on two machines, and a path between them that drops packets: all of them for a while, or one in a
hundred, or one in twenty. Nothing is reset by it; only the kernels' retransmissions, and our heartbeat, can tell."""

from __future__ import annotations

import statistics
import sys
import time

from tests.e2e.harness import Program, TunnelTestCase, need
from tests.e2e.namespaces import Machine, machines

TIMEOUT = 1.2
"""`heartbeat_timeout` of the tunnel over the black hole; three pings each."""
SLACK = 3.0
"""Seconds that a busy machine may take beyond a timeout."""
ECHO = """
import socketserver
class Echo(socketserver.BaseRequestHandler):
    def handle(self):
        try:
            while data := self.request.recv(65536):
                self.request.sendall(data)
        except ConnectionError:
            pass  # the client resets what is left of a visitor
class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
server = Server(("127.0.0.1", 7000), Echo)
print("ready", flush=True)
server.serve_forever()
"""
TALK = """
import socket, sys, time
visitor = socket.create_connection(("10.83.2.1", 8080))
for number in range(10**6):
    word = b"%08d" % number
    visitor.sendall(word)
    back = b""
    while len(back) < 8:
        part = visitor.recv(8 - len(back))
        if not part:
            sys.exit(f"cut after {number} words")
        back += part
    if back != word:
        sys.exit(f"{word} came back as {back}")
    print(f"word {number}", flush=True)
    time.sleep(0.05)
"""
FLOW = """
import socket
visitor = socket.create_connection(("10.83.2.1", 8080))
while True:
    visitor.sendall(bytes(65536))
    visitor.recv(65536)
    print("flows", flush=True)
"""
CARRY = """
import hashlib, os, socket, sys, threading, time
content, began = os.urandom(int(sys.argv[1])), time.monotonic()
visitor = socket.create_connection(("10.83.2.1", 8080))
def send():
    visitor.sendall(content)
    visitor.shutdown(socket.SHUT_WR)
threading.Thread(target=send).start()
back, count = hashlib.sha256(), 0
while data := visitor.recv(65536):
    back.update(data)
    count += len(data)
same = back.digest() == hashlib.sha256(content).digest()
print(f"{count} bytes, {'equal' if same else 'different'}, {time.monotonic() - began:.1f} s", flush=True)
"""


class _PathTestCase(TunnelTestCase):
    """A server on the near machine, with visitors; a client on the far one, with an echo."""

    def begin(self, **keys: float) -> None:
        """Start all."""
        need("nft", "nftables")
        self.near, self.far = machines(self, "10.83.2.1", "10.83.2.2")
        section = {"addr": "10.83.2.1:17000", "token": self.token, **keys}
        path = self.write("server.yaml", {"server": section})
        self.it = self.role("server", ["--config", path], prefix=self.near.prefix)
        self.it.wait_for("server listening")
        self.on(self.far, "target", ECHO).wait_for("ready")
        section = {
            "name": "edge",
            "token": self.token,
            "server_addr": "10.83.2.1:17000",
            "mappings": [{"name": "web", "local": "127.0.0.1:7000", "remote": "8080"}],
        }
        path = self.write("client.yaml", {"client": section})
        self.edge = self.role("client", ["--config", path], prefix=self.far.prefix)
        self.edge.wait_for("mapping web open")

    def on(self, machine: Machine, name: str, script: str, *arguments: str) -> Program:
        """Run a script on a machine."""
        return self.launch(name, [*machine.prefix, sys.executable, "-c", script, *arguments])

    def drop(self, what: str = "") -> None:
        """Let both machines drop what arrives from the other one: all of it, or what a rule of nft says."""
        for machine in (self.near, self.far):
            machine.run(
                need("nft", "nftables"),
                "add table ip path; "
                "add chain ip path in { type filter hook input priority 0; }; "
                f"add rule ip path in iifname eth0 {what} drop",
            )

    def drop_nothing(self) -> None:
        """Let everything pass again."""
        for machine in (self.near, self.far):
            machine.run(need("nft", "nftables"), "delete table ip path")


class BlackHoleTests(_PathTestCase):
    """All packets are dropped, six times over."""

    def lose(self, round_number: int) -> list[float]:
        """Take the path away; return after how many seconds each end has noticed. Give it back."""
        began = time.monotonic()
        self.drop()
        noticed: list[float] = []
        waits = [(self.it, "client edge lost"), (self.edge, "connection to the server .* lost")]
        while waits:
            for program, words in list(waits):
                if program.count(words) >= round_number:
                    noticed.append(time.monotonic() - began)
                    waits.remove((program, words))
            self.assertLess(time.monotonic() - began, TIMEOUT + SLACK, waits)
            time.sleep(0.01)
        self.drop_nothing()
        self.edge.wait_for(r"\] connected to the server", round_number + 1)
        self.it.wait_for("client edge connected", round_number + 1)
        return noticed

    def test_six_times(self) -> None:
        """Three times with nothing under way but pings and a word now and then, three times with a transfer that fills
        the path: both ends notice within `heartbeat_timeout`, the client comes back, its port was never closed, and who
        talks over it goes on without a word lost."""
        self.begin(heartbeat=TIMEOUT / 3, heartbeat_timeout=TIMEOUT)
        talk = self.on(self.near, "talk", TALK)
        talk.wait_for("word 3")
        noticed = [self.lose(1), self.lose(2), self.lose(3)]
        flow = self.on(self.near, "flow", FLOW)
        flow.wait_for("flows", 10)
        noticed += [self.lose(4), self.lose(5), self.lose(6)]
        said = talk.count("word")
        talk.wait_for("word", said + 5)
        self.assertIsNone(flow.process.poll(), flow.said)
        self.assertEqual(self.it.count("mapping web of client edge open"), 1)
        self.assertEqual(self.it.count("visitor .* ended"), 0)
        times = [each for both in noticed for each in both]
        (self.folder / "figures").write_text(
            f"{len(times)} times noticed: worst {max(times):.2f} s, median {statistics.median(times):.2f} s\n"
        )


class LossTests(_PathTestCase):
    """Some packets are dropped, each way."""

    def carry(self, percent: int, size: int, seconds: float) -> None:
        """Send bytes there and back while so many packets in a hundred are lost."""
        self.begin(heartbeat=1, heartbeat_timeout=6)
        self.drop(f"numgen random mod 100 < {percent}")
        carried = self.on(self.near, "carry", CARRY, str(size))
        said = carried.wait_for(rf"{size} bytes, equal, (\S+) s", seconds=seconds)
        for program in (self.it, self.edge):
            self.assertEqual(program.count(r"\blost\b|not acknowledged"), 0, program.said)
        (self.folder / "figures").write_text(f"{percent} %: {size} bytes each way in {said[1]} s\n")

    def test_one_in_a_hundred(self) -> None:
        """32 MiB arrive, the same, and come back; no end takes the other one for lost."""
        self.carry(1, 32 << 20, 60)

    def test_one_in_twenty(self) -> None:
        """And 8 MiB where it is five times as bad."""
        self.carry(5, 8 << 20, 60)
