"""The history of traffic of real processes: asked, killed, started anew, and read from what they have left."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from tests.e2e.harness import TunnelTestCase
from tests.e2e.peers import Service, echo


class UsageTests(TunnelTestCase):
    """Both roles, side by side in one state folder."""

    def gotunnel(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run the command."""
        return subprocess.run(
            [sys.executable, "-m", "gotunnel", *words], cwd=self.folder, env=self.environment(), capture_output=True,
            text=True, timeout=60,
        )  # fmt: skip

    def usage(self, *words: str) -> list[dict[str, Any]]:
        """Return what it says as JSON."""
        done = self.gotunnel("usage", "--json", *words)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        found: list[dict[str, Any]] = json.loads(done.stdout)
        return found

    def test_history(self) -> None:
        """A visitor is counted at both ends while he is here; a server that is killed has what it has written, its
        successor goes on with it, and the files tell it all when nothing runs."""
        self.assertIn("no gotunnel process answers", self.gotunnel("usage").stderr)
        service = Service(self, echo)
        public = self.port()
        server = self.server()
        client = self.client({"web": (service.address, public)})
        visitor = self.visit(public)
        visitor.sendall(b"hello")
        self.assertEqual(visitor.recv(5), b"hello")
        row = {"client": "client", "mapping": "web", "up": 5, "down": 5, "streams": 1, "failures": 0, "peak": 1}
        told = self.usage()
        self.assertEqual([each["role"] for each in told], ["server", "client"])
        self.assertEqual([each["usage"] for each in told], [[row], [row]])
        server.kill()
        visitor.close()
        (at_rest,) = self.usage("--role", "client")
        self.assertEqual(at_rest["usage"][0]["streams"], 1)
        server = self.server()
        self.wait_until(lambda: self.gotunnel("status", "--ready", "--role", "client").returncode == 0, "it is back")
        visitor = self.visit(public)
        visitor.sendall(b"again")
        self.assertEqual(visitor.recv(5), b"again")
        visitor.close()
        self.wait_until(lambda: server.count("ended: completed") == 1, "he is gone")
        for program in (client, server):
            self.assertEqual(program.stop(), 0)
        server_file, client_file = sorted(self.usage("--by", "hour"), key=lambda each: each["role"], reverse=True)
        for each in (server_file, client_file):
            self.assertEqual(sum(hour["streams"] for hour in each["usage"]), 2, each)
            self.assertEqual(sum(hour["down"] for hour in each["usage"]), 10, each)
        table = self.gotunnel("usage", "--since", "2h", "--role", "server").stdout
        for word in ("gotunnel server", "web", "client", "VISITORS", "10 B"):
            self.assertIn(word, table)
        ways = ("--by", "mapping", "--by", "day", "--role", "server")
        lines = self.gotunnel("usage", "--csv", *ways).stdout.splitlines()
        self.assertEqual(lines[0], "role,time,client,mapping,up,down,streams,failures,peak")
        self.assertRegex(lines[1], r"^server,\d{4}-\d\d-\d\dT00:00:00Z,client,web,10,10,2,0,1$")
