"""The `gotunnel` command as a user types it."""

from __future__ import annotations

import re
import shutil
import signal
import socket
import sys
import tempfile
from pathlib import Path

from tests.e2e.harness import Program, TunnelTestCase, read_all, read_exactly
from tests.e2e.peers import Service, echo
from tests.processes import DEADLINE


class CommandTests(TunnelTestCase):
    """`gotunnel WORD …`; only `expose` and `egress` meet a server."""

    def gotunnel(self, *words: object, **more: str) -> Program:
        return self.launch(
            f"gotunnel-{words[0]}", [sys.executable, "-m", "gotunnel", *map(str, words)], **more
        )

    def expose(self, *words: object, **more: str) -> Program:
        environment = {"GOTUNNEL_TOKEN": self.token, **more}
        return self.gotunnel("expose", *words, "--server", f"{self.host}:{self.control}", **environment)

    def test_token(self) -> None:
        """A new token each time, good enough for a server."""
        made = []
        for _ in range(2):
            program = self.gotunnel("token")
            self.assertEqual(program.wait(), 0)
            made.append(program.said.strip())
            program.log.unlink()
        self.assertNotEqual(*made)
        self.assertRegex(made[0], r"\A[0-9a-f]{64}\Z")
        self.token = made[0]
        self.server()

    def test_check(self) -> None:
        """A good file is explained, without its token; exit code 0."""
        section = {"addr": f"{self.host}:{self.control}", "token": self.token, "allow_ports": [6443]}
        client = {"name": "edge", "token": self.token, "server_addr": "a.example", "local_ports": [6443]}
        program = self.gotunnel("check", self.write("good.yaml", {"server": section, "client": client}))
        self.assertEqual(program.wait(), 0, program.said)
        self.assertRegex(program.said, f"server: listens for clients on {self.host}:{self.control} with TLS")
        self.assertRegex(program.said, "client edge: connects to a.example:17000 with TLS")
        self.assertRegex(program.said, "client edge: publishes 127.0.0.1:6443 on port 6443 of the server")

    def test_check_bad_file(self) -> None:
        """All mistakes of both sections, a line each; exit code 2, and the token that is too short is not shown."""
        program = self.gotunnel(
            "check", self.write("bad.yaml", "server:\n  token: qwe9Pz\nclient:\n  name: a\n")
        )
        self.secrets.append("qwe9Pz")
        self.assertEqual(program.wait(), 2)
        for key in ("server.token", "client.token", "client.server_addr"):
            self.assertRegex(program.said, rf"(?m)bad\.yaml(:\d+)?: {key}: .+; .+$")

    def test_expose(self) -> None:
        """One port, no file; the line that says so is true when it is printed, and Ctrl-C ends it with 0."""
        service = Service(self, echo)
        self.server()
        public = self.port()
        program = self.expose(service.port, "--remote", public)
        program.wait_for(
            rf"(?m)^{self.host}:{public} reaches 127\.0\.0\.1:{service.port}\. Ctrl-C ends it\.$"
        )
        self.assert_echo(public)
        program.signal(signal.SIGINT)
        self.assertEqual(program.wait(), 0)

    def test_egress(self) -> None:
        """An egress socket without a file: a request there reaches a node that a client announces; the socket goes with
        the command, which Ctrl-C ends with 0."""
        service = Service(self, echo)
        self.server(allow_nodes=["node-1"], allow_dial=[f"nodes:{service.port}"])
        nodes = [{"match": ["node-1"], "allow_ports": [service.port], "dial": "127.0.0.1"}]
        self.client(name="worker", nodes=nodes).wait_for("connected to the server")
        path = Path(tempfile.mkdtemp()) / "egress"  # a unix socket's path must be short
        self.addCleanup(shutil.rmtree, path.parent)
        where = ["--to", f"{self.host}:{self.control}", "--listen", f"unix:{path}"]
        program = self.gotunnel("egress", *where, GOTUNNEL_TOKEN=self.token)
        program.wait_for("connected to the server")
        with socket.socket(socket.AF_UNIX) as asker:
            asker.settimeout(DEADLINE)
            asker.connect(str(path))
            asker.sendall(f"CONNECT node-1:{service.port} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\nhello".encode())
            answer = b"HTTP/1.1 200 Connection established\r\n\r\nhello"
            self.assertEqual(read_exactly(asker, len(answer)), answer)
            asker.shutdown(socket.SHUT_WR)
            self.assertEqual(read_all(asker), b"")
        program.signal(signal.SIGINT)
        self.assertEqual(program.wait(), 0)
        self.assertFalse(path.exists())

    def test_expose_refused(self) -> None:
        """A port that is taken on the server ends the command with 1 and the reason."""
        service = Service(self, echo)
        self.server()
        taken = socket.create_server((self.host, 0))
        self.addCleanup(taken.close)
        program = self.expose(service.port, "--remote", taken.getsockname()[1])
        self.assertEqual(program.wait(), 1)
        self.assertRegex(program.said, r"(?m)^gotunnel expose: the server refuses: port_in_use: ")

    def test_expose_bad_words(self) -> None:
        """A port that is none, and no token: exit code 2, in the words of the command line."""
        program = self.expose("99999")
        self.assertEqual(program.wait(), 2)
        self.assertRegex(program.said, "PORT: .*99999")
        program = self.expose("8000", GOTUNNEL_TOKEN="")
        self.assertEqual(program.wait(), 2)
        self.assertRegex(program.said, "there is no token; set the variable GOTUNNEL_TOKEN")

    def test_wrong_token(self) -> None:
        """Said clearly at both ends, by `expose` and by a client; tried again, but not before five seconds are over."""
        server = self.server()
        wrong = "ab12" + self.token[4:]
        self.secrets.append(wrong)
        public = self.port()
        line = r"does not let this client in: .*auth_failed.*compare `token` on both sides.*; next try in ([0-9.]+) s"
        for program in (
            self.expose(8000, "--remote", public, GOTUNNEL_TOKEN=wrong),
            self.client({"web": (8000, public)}, token=wrong, ready=False),
        ):
            self.assertGreaterEqual(float(program.wait_for(line)[1]), 5)
            self.assertEqual(program.stop(), 0)
        server.wait_for(f"{re.escape(self.host.split('.')[0])}.* was refused: auth_failed: ", 2)
        self.assertTrue(self.refused(public))
