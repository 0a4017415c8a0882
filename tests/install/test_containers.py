"""The Dockerfile, as far as it can be checked without a daemon that builds it; its health check and the probes against
a real server; and the firewall."""

from __future__ import annotations

import configparser
import json
import re
import socket
import subprocess
from pathlib import Path

from tests.config.files import TOKEN
from tests.e2e.program import RUNNERS, need
from tests.processes import DEADLINE, ROOT, ProcessTestCase

DOCKER = ROOT / "etc" / "docker"
ALIVE = DOCKER / "alive.py"


def instructions() -> list[tuple[str, str]]:
    """Return the Dockerfile's instructions in order."""
    lines = [line for line in (DOCKER / "Dockerfile").read_text("utf-8").splitlines() if line and line[0] != "#"]
    return [(word, rest) for word, _, rest in (line.partition(" ") for line in lines)]


class DockerfileTests(ProcessTestCase):
    """The file."""

    def test_stages(self) -> None:
        """Each role has a stage that runs its command with a configuration, not as root, from a stage that is there."""
        stages: dict[str, dict[str, str]] = {}
        scripts = configparser.ConfigParser()
        scripts.read(ROOT / "setup.cfg", "utf-8")
        current: dict[str, str] = {}
        for word, rest in instructions():
            if word == "FROM":
                base, _, name = rest.partition(" AS ")
                self.assertTrue(base in stages or base == "python:${PYTHON}", base)
                current = stages[name] = dict(stages.get(base, {}))
            else:
                self.assertRegex(word, "^(ARG|COPY|RUN|ENV|USER|VOLUME|WORKDIR|EXPOSE|HEALTHCHECK|ENTRYPOINT|CMD)$")
                current[word] = rest
        for role in ("server", "client"):
            self.assertEqual(stages[role]["USER"], "10001:10001")
            self.assertEqual(json.loads(stages[role]["ENTRYPOINT"]), [f"gotunnel-{role}"])
            self.assertIn(f"gotunnel-{role} =", scripts["options.entry_points"]["console_scripts"])
            self.assertEqual(json.loads(stages[role]["CMD"]), ["--config", f"/etc/gotunnel/{role}.yaml"])
        command = json.loads(stages["client"]["HEALTHCHECK"].partition("CMD ")[2])
        self.assertEqual(command, ["gotunnel", "status", "--ready", "--role", "client"])
        command = json.loads(stages["server"]["HEALTHCHECK"].partition("CMD ")[2])
        self.assertEqual(command, ["python", "/opt/gotunnel/alive.py"])

    def test_sources(self) -> None:
        """What is copied exists, and the ignore file lets it through; nothing else gets in."""
        ignored = (DOCKER / "Dockerfile.dockerignore").read_text("utf-8").splitlines()
        allowed = {line[1:] for line in ignored if line.startswith("!")}
        copied = set()
        for word, rest in instructions():
            if word == "COPY" and not rest.startswith("--from"):
                copied |= set(rest.split()[:-1])
        self.assertEqual(copied, allowed)
        self.assertIn("*", ignored)
        for name in copied:
            self.assertTrue((ROOT / name).exists(), name)


class HealthTests(ProcessTestCase):
    """alive.py, as the container and the liveness probe run it."""

    def test_server(self) -> None:
        """A server that runs is alive, as often as one asks; nothing is logged and nobody is refused, by this probe or
        by one that connects and closes."""
        (self.folder / "server.yaml").write_text(f'server:\n  addr: "127.0.0.1:0"\n  token: {TOKEN}\n')
        words = [word.format(role="server", name="server") for word in RUNNERS["command"]]
        server = self.start_logged("server", *words, "--config", "server.yaml", "--state", str(self.folder / "state"))
        port = int(self.wait_for_line("server.err", r"listening for clients on \S+:(\d+)", server)[1])
        before = (self.folder / "server.err").read_text()
        for _ in range(40):
            socket.create_connection(("127.0.0.1", port), DEADLINE).close()
        for _ in range(2):
            self.assertEqual(self.run_python(str(ALIVE), str(port)), (0, "", ""))
        added = (self.folder / "server.err").read_text().removeprefix(before)
        self.assertNotRegex(added, r"\[(warn|error)\]")

    def test_stuck(self) -> None:
        """A process whose event loop does not come to accept is not alive, though its port takes connections."""
        with socket.create_server(("127.0.0.1", 0)) as stuck:
            code, _, problem = self.run_python(str(ALIVE), str(stuck.getsockname()[1]))
        self.assertEqual(code, 1)
        self.assertIn("does not answer: timed out", problem)

    def test_nobody(self) -> None:
        """Nor is one that does not listen."""
        with socket.socket() as nobody:
            nobody.bind(("127.0.0.1", 0))
            code, _, problem = self.run_python(str(ALIVE), str(nobody.getsockname()[1]))
        self.assertEqual(code, 1)
        self.assertEqual(len(problem.splitlines()), 1)


class FirewallTests(ProcessTestCase):
    """The rules."""

    FILE = ROOT / "etc" / "firewall" / "gotunnel.nft"

    def test_ports(self) -> None:
        """The control port of the samples is open, and so is what they let clients publish."""
        text = self.FILE.read_text("utf-8")
        self.assertIn("tcp dport 17000 accept", text)
        match = re.search(r"elements = \{ (6443, 20000-29999) \}", text)
        self.assertIsNotNone(match)
        self.assertIn('allow_ports: [6443, 10250, "20000-29999"]', (ROOT / "etc" / "server.yaml").read_text("utf-8"))

    def test_udp(self) -> None:
        """UDP has ports of its own, none as long as the samples let clients publish none; those that the comment gives
        for an example are taken by nft, too."""
        text = self.FILE.read_text("utf-8")
        self.assertIn("udp dport @published_udp accept", text)
        self.assertIn("# allow_udp_ports: []", (ROOT / "etc" / "server.yaml").read_text("utf-8"))
        (example,) = re.findall(r"#   (elements = \{ 53, 51820-51829 \})", text)
        empty = "set published_udp {\n        type inet_service\n        flags interval\n"
        self.assertIn(empty + "    }", text)
        filled = Path(self.mktemp())
        filled.write_text(text.replace(empty, f"{empty}        {example}\n"), "utf-8")
        self.check(filled)

    def test_check(self) -> None:
        """nft takes the file, without putting it into effect."""
        self.check(self.FILE)

    def check(self, file: Path) -> None:
        """Have nft look at a file."""
        nft = need("nft", "nftables")
        done = subprocess.run([nft, "-c", "-f", str(file)], capture_output=True, text=True, timeout=DEADLINE)
        if "Operation not permitted" in done.stderr:
            self.skipTest("nft needs root even to check a file")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
