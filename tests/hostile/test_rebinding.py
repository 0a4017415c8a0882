"""The DNS of an allowed name in the wrong hands, live: a real server on a machine of its own asks a resolver that
answers what the attacker likes, and the same port has a service on the neighbour and on the server itself."""

from __future__ import annotations

import socket
import sys
import tempfile
from pathlib import Path

from gotunnel.net.unixlisten import reachable
from tests.e2e.harness import TunnelTestCase
from tests.e2e.namespaces import machines

NAME, PORT = "db.example", 7000
SERVER, NEIGHBOUR = "10.209.0.1", "10.209.0.2"

RESOLVER = """
import socket, sys
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.bind(("127.0.0.1", 53))
print("ready", flush=True)
while True:
    asked, who = sock.recvfrom(512)
    question = asked[12:asked.index(b"\\0", 12) + 5]
    found = open(sys.argv[1]).read().split() if question.endswith(b"\\0\\1\\0\\1") else []
    answer = asked[:2] + b"\\x81\\x80" + b"\\0\\1" + len(found).to_bytes(2, "big") + bytes(4) + question
    for each in found:
        answer += b"\\xc0\\x0c\\0\\1\\0\\1" + bytes(4) + b"\\0\\4" + socket.inet_aton(each)
    sock.sendto(answer, who)
"""

SERVICE = """
import socket, sys
door = socket.create_server(("0.0.0.0", 7000))
print("ready", flush=True)
while True:
    sock, _ = door.accept()
    sock.sendall(sys.argv[1].encode())
    sock.close()
"""


class RebindingTests(TunnelTestCase):
    """What a forward to that name reaches."""

    def setUp(self) -> None:
        super().setUp()
        self.server_machine, self.neighbour = machines(self, SERVER, NEIGHBOUR)
        self.answers = self.write("answers", NEIGHBOUR)
        resolv = self.write("resolv.conf", "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n")
        own_dns = f'mount --bind {resolv} /etc/resolv.conf && exec "$@"'
        self.prefix = (*self.server_machine.prefix, "unshare", "--mount", "sh", "-c", own_dns, "sh")
        for name, machine, *words in (
            ("resolver", self.server_machine, RESOLVER, self.answers),
            ("own", self.server_machine, SERVICE, "the server"),
            ("neighbour", self.neighbour, SERVICE, "the neighbour"),
        ):
            self.launch(name, [*machine.prefix, sys.executable, "-c", *words]).wait_for("ready")

    def begin(self, *rules: str) -> None:
        """Start both roles; the forward's port is a unix socket, which leads out of the client's machine."""
        section = {"addr": "0.0.0.0:17000", "token": self.token, "allow_dial": list(rules)}
        path = self.write("server.yaml", {"server": section})
        self.process = self.role("server", ["--config", path], prefix=self.prefix)
        self.process.wait_for("server listening")
        folder = tempfile.TemporaryDirectory(prefix="gotunnel-")  # a path that is short enough
        self.addCleanup(folder.cleanup)
        self.door = Path(folder.name) / "door.sock"
        forward = {"name": "db", "listen": f"unix:{self.door}", "dial": f"{NAME}:{PORT}"}
        client = {"name": "edge", "token": self.token, "server_addr": f"{SERVER}:17000", "forwards": [forward]}
        path = self.write("client.yaml", {"client": client})
        self.role("client", ["--config", path], prefix=self.neighbour.prefix).wait_for("connected to the server")

    def reached(self, *addresses: str) -> bytes:
        """Let the name lead there, and return what says who answered; nothing if the visitor was reset."""
        self.answers.write_text(" ".join(addresses))
        with socket.socket(socket.AF_UNIX) as visitor, reachable(str(self.door)) as short:
            visitor.settimeout(30)
            visitor.connect(short)
            try:
                return visitor.recv(100)
            except ConnectionResetError:
                return b""

    def test_by_name(self) -> None:
        """A rule by name is good for the neighbour, and for nothing of the server's own: not loopback, not the address
        that it has on the network, not if the name led elsewhere a moment ago; the log says why."""
        self.begin(f"{NAME}:{PORT}")
        self.assertEqual(self.reached(NEIGHBOUR), b"the neighbour")
        for own in ("127.0.0.1", "127.1.2.3", SERVER, "0.0.0.0", "169.254.169.254"):
            self.assertEqual(self.reached(own), b"", own)
            self.assertEqual(self.reached(own, NEIGHBOUR), b"the neighbour", own)
        self.assertEqual(self.reached(NEIGHBOUR), b"the neighbour")
        self.process.wait_for(f"resolves to {SERVER}, an address of the server itself")

    def test_by_address(self) -> None:
        """A rule that names the server's address says that it may be reached, by name too."""
        self.begin(f"{NAME}:{PORT}", f"{SERVER}:{PORT}")
        self.assertEqual(self.reached(SERVER), b"the server")
        self.assertEqual(self.reached("127.0.0.1"), b"")
