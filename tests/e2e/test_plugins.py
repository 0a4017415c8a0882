"""A plugin package of somebody else's: built, installed, named in a configuration, and used by roles that run."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import time

from gotunnel.config.identityfile import FileIdentity, written
from gotunnel.wire.handshake import derive_key
from tests.e2e.harness import TunnelTestCase
from tests.e2e.peers import Service, echo
from tests.plugins.acme import installed
from tests.processes import ROOT


class KeysTests(TunnelTestCase):
    """One more clients file, and one more shared token."""

    def test_let_in(self) -> None:
        """`gotunnel check` reads their files; clients of both come in with their own tokens, and their visitors are
        served; who is taken out of the file is cut within a second, and the others stay."""
        target = Service(self, echo).address
        tokens = {name: secrets.token_hex(32) for name in ("edge", "ci-1")}
        self.secrets += tokens.values()
        self.write("ci.token", tokens["ci-1"]).chmod(0o600)
        filed = self.folder / "more.json"
        authenticators = [
            {"plugin": "identities", "file": str(filed)},
            {"plugin": "token", "token_file": "ci.token", "clients": "ci-*"},
        ]
        self.write("check.yaml", {"server": {"token": self.token, "authenticators": authenticators}})

        def checked() -> subprocess.CompletedProcess[str]:
            return subprocess.run(
                [sys.executable, "-m", "gotunnel", "check", "check.yaml"],
                env=self.environment(), cwd=self.folder, capture_output=True, text=True, timeout=60,
            )  # fmt: skip

        self.assertIn(f"{filed}: cannot be read: no such file or directory", checked().stderr)
        own = FileIdentity(name="edge", keys=(derive_key(tokens["edge"], "edge"),))
        filed.write_bytes(written([own]))
        filed.chmod(0o600)
        done = checked()
        self.assertIn("by their keys, what these plugins know: identities, token", done.stdout, done.stderr)
        server = self.server(authenticators=authenticators)
        ports = {}
        for name, token in tokens.items():
            ports[name] = self.port()
            self.client({"web": (target, ports[name])}, name=name, token=token)
            self.assert_echo(ports[name])
        server.wait_for("client edge from .* is let in by the authenticator identities, as edge")
        server.wait_for("client ci-1 from .* is let in by the authenticator token")
        visitor = self.visit(ports["edge"])
        (self.folder / "new").write_bytes(written([FileIdentity(name="edge", keys=())]))
        (self.folder / "new").chmod(0o600)
        os.replace(self.folder / "new", filed)
        began = time.monotonic()
        with self.assertRaises(ConnectionResetError):
            visitor.recv(1)
        self.assertLess(time.monotonic() - began, 3)
        self.assert_echo(ports["ci-1"])


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
        # To connect before the server says that it has closed the port would make one more visitor for the audit.
        server.wait_for("mapping web of client client is down at ")
        self.assertTrue(self.refused(public))
        server.stop()
        self.assertEqual(audit.read_text(), "client web completed 14\nstop\n")
        bad = self.write("bad.yaml", (self.folder / "client.yaml").read_text().replace('"flag": "/', '"flagg": "/'))
        wrong = subprocess.run(
            [sys.executable, "-m", "gotunnel", "check", str(bad)],
            env=self.environment(PYTHONPATH=path), cwd=self.folder, capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        self.assertEqual(wrong.returncode, 2)
        said = "client.mappings[0].health.flagg: is not an option of the plugin acme-flag; did you mean flag?"
        self.assertIn(said, wrong.stderr)
