"""A plugin package of somebody else's: built, installed, named in a configuration, and used by roles that run."""

from __future__ import annotations

import json
import os
import subprocess
import sys

from tests.e2e.harness import TunnelTestCase
from tests.e2e.peers import Service, echo
from tests.plugins.acme import installed
from tests.processes import ROOT


class PluginPackageTests(TunnelTestCase):
    """From the wheel to the visitor."""

    def test_package(self) -> None:
        """`gotunnel plugins` names its distribution; a mapping's port is what it says, opens and closes as it says, and
        a server tells it of the visitor; its options are checked."""
        site = installed(self.folder)
        path = os.pathsep.join((str(ROOT), str(site)))
        listed = subprocess.run(
            [sys.executable, "-m", "gotunnel", "plugins", "--json"],
            env=self.environment(PYTHONPATH=path), cwd=self.folder, capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        (acme,) = [each for each in json.loads(listed.stdout)["plugins"] if each["name"] == "acme-flag"]
        self.assertEqual((acme["distribution"], acme["kind"]), ("acme-gotunnel 1.2.3", "health"))
        audit = self.folder / "audit"
        flag = self.folder / "flag"
        flag.touch()
        public = self.port()
        server = self.server(
            env={"PYTHONPATH": path}, observers=[{"plugin": "acme-audit", "file": str(audit)}],
            port_allocator={"plugin": "acme-port", "port": public},
        )  # fmt: skip
        target = Service(self, echo).address
        health = {"type": "acme-flag", "interval": 0.1, "failures": 1, "flag": str(flag)}
        mapping = {"name": "web", "local": target, "remote": 0, "health": health}
        section = {
            "name": "client", "token": self.token, "server_addr": f"{self.host}:{self.control}", "mappings": [mapping],
        }  # fmt: skip
        config = self.write("client.yaml", {"client": section})
        client = self.role("client", ["--config", config], PYTHONPATH=path)
        client.wait_for("mapping web open")
        self.assert_echo(public)
        flag.unlink()
        client.wait_for("of mapping web is down: the flag is down")
        self.wait_until(lambda: self.refused(public), "the port is closed")
        server.stop()
        self.assertEqual(audit.read_text(), "client web completed 14\nstop\n")
        bad = self.write("bad.yaml", (self.folder / "client.yaml").read_text().replace('"flag": "/', '"flagg": "/'))
        wrong = subprocess.run(
            [sys.executable, "-m", "gotunnel", "check", str(bad)],
            env=self.environment(PYTHONPATH=path), cwd=self.folder, capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        self.assertEqual(wrong.returncode, 2)
        said = "client.mappings[0].health.flagg: is no option of the plugin acme-flag; did you mean flag?"
        self.assertIn(said, wrong.stderr)
