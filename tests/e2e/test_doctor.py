"""`gotunnel doctor` as a user types it: lines, JSON, exit codes."""

from __future__ import annotations

import json
import signal
import socket
import sys

from tests.e2e.harness import Program, TunnelTestCase
from tests.e2e.peers import Service, echo


def silent(connection: socket.socket) -> None:
    """Answer nothing, to the end of the stream."""
    while connection.recv(1 << 16):
        pass


class DoctorCommandTests(TunnelTestCase):
    """Beside real processes."""

    def doctor(self, content: object, *words: str) -> Program:
        """Run it on a file."""
        path = self.write("doctor.yaml", content)
        command = [sys.executable, "-m", "gotunnel", "doctor", "-c", path, "--state", self.folder / "state", *words]
        return self.launch("doctor", [str(word) for word in command])

    def section(self, local: str) -> dict[str, object]:
        """Return a client's section."""
        mapping = {"name": "web", "local": local, "remote": self.port()}
        return {
            "name": "edge", "token": self.token, "server_addr": f"{self.host}:{self.control}", "mappings": [mapping]
        }  # fmt: skip

    def test_lines(self) -> None:
        """All is well: one line each, exit code 0."""
        self.server()
        program = self.doctor({"client": self.section(Service(self, echo).address)})
        self.assertEqual(program.wait(), 0, program.said)
        for line in program.said.splitlines():
            self.assertRegex(line, r"\A(ok|note|warning) +[a-z]")
        self.assertIn("have proved to each other", program.said)

    def test_json(self) -> None:
        """Problems are objects, and the exit code is 1."""
        program = self.doctor({"client": self.section(f"{self.host}:{self.port()}")}, "--json")
        self.assertEqual(program.wait(), 1, program.said)
        found = json.loads(program.said)
        for finding in found:
            self.assertEqual(list(finding), ["check", "status", "message", "cure"])
        wrong = [finding["check"] for finding in found if finding["status"] == "problem"]
        self.assertEqual(wrong, ["connect", "mapping web"])

    def test_interrupted(self) -> None:
        """Ctrl-C while a server lets us wait: one line, exit code 1."""
        service = Service(self, silent, self.host)
        self.control = service.port
        nodes = [{"match": ["10.0.0.0/8"], "allow_ports": [10250]}]  # of which nothing is to be asked
        program = self.doctor({"client": {**self.section("1"), "mappings": [], "nodes": nodes}}, "--timeout", "60")
        self.wait_until(lambda: len(service.connections) == 2, "it knocks, and then greets")
        program.signal(signal.SIGINT)
        self.assertEqual(program.wait(), 1)
        self.assertEqual(program.said, "gotunnel doctor: interrupted\n")

    def test_bad_name(self) -> None:
        """What no certificate can be for is refused with 2."""
        program = self.doctor({"client": self.section("1")}, "--name", "https://x:6443")
        self.assertEqual(program.wait(), 2)
        self.assertIn("--name", program.said)

    def test_bad_file(self) -> None:
        """What no role would read is refused with 2, as they do."""
        program = self.doctor({"client": {**self.section("1"), "names": "x"}})
        self.assertEqual(program.wait(), 2)
        self.assertIn("client.names", program.said)
