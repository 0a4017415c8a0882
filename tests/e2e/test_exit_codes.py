"""What a role says and how it exits when it cannot start, under every way to start it; and twistd as a daemon."""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from tests.e2e.harness import RUNNERS, TWISTD, Program, TunnelTestCase
from tests.e2e.peers import Service, echo

BAD_SERVER = """\
server:
  addr: "127.0.0.1:99999"
  token: changeme
  log_levle: info
  heartbeat: ten
"""

BAD_CLIENT = """\
client:
  name: "white space"
  token: changeme
  server_addr: ""
  local_ports: [6443, 22, 22]
"""


class _StartCases:
    """`words` are what stands between python and the options; the role's name is filled in."""

    words: ClassVar[Sequence[str]] = ()

    def begin(self, role: str, config: Path) -> Program:
        words = [word.format(role=role, name=role) for word in self.words]
        return self.launch(role, [sys.executable, *words, "--config", config])

    def assert_refused(self, role: str, text: str, keys: Sequence[str]) -> None:
        program = self.begin(role, self.write("bad.yaml", text))
        self.assertEqual(program.wait(), 2)
        lines = program.said.splitlines()
        self.assertEqual(len(lines), len(keys), program.said)
        for key in keys:
            self.assertRegex(program.said, rf"(?m)^\S*bad\.yaml:\d+: {role}\.{key}: .+; .+$")
        self.assertNotIn("changeme", program.said)

    def test_bad_server_file(self) -> None:
        """All four mistakes, a line each with file, line number, key and cure; exit code 2."""
        self.assert_refused("server", BAD_SERVER, ["addr", "token", "log_levle", "heartbeat"])

    def test_bad_client_file(self) -> None:
        """The same for a client."""
        self.assert_refused("client", BAD_CLIENT, ["name", "token", "server_addr", r"local_ports\[2\]"])

    def test_no_file(self) -> None:
        """A file that does not exist is a bad command line."""
        program = self.begin("server", Path("nowhere.yaml"))
        self.assertEqual(program.wait(), 2)
        self.assertRegex(program.said, r"\Anowhere\.yaml: .*does not exist.*`gotunnel check`\n\Z")

    def test_control_port_in_use(self) -> None:
        """Whoever starts a second server is told in one line; exit code 1."""
        taken = socket.create_server((self.host, self.control))
        self.addCleanup(taken.close)
        config = self.write(
            "server.yaml", {"server": {"addr": f"{self.host}:{self.control}", "token": self.token}}
        )
        program = self.begin("server", config)
        self.assertEqual(program.wait(), 1)
        (line,) = program.said.splitlines()
        self.assertRegex(line, rf"^gotunnel-server: port_in_use: {self.host}:{self.control}: ")


class CommandTests(_StartCases, TunnelTestCase):
    """`gotunnel-server` and `gotunnel-client`."""

    words = RUNNERS["command"]


class TwistdTests(_StartCases, TunnelTestCase):
    """`twistd -n`."""

    words = RUNNERS["twistd"]


class TwistTests(_StartCases, TunnelTestCase):
    """`twist`."""

    words = RUNNERS["twist"]


class DaemonTests(_StartCases, TunnelTestCase):
    """`twistd` as a daemon: the exit codes are those of the command that starts it."""

    words = ("-c", TWISTD, "--pidfile={role}.pid", "--logfile={role}-daemon.log", "gotunnel-{role}")

    def start_daemon(self, role: str, content: object, ready: str) -> int:
        """Start a daemon, wait until its log says that it is ready, and return its process id."""
        starter = self.begin(role, self.write(f"{role}.yaml", {role: content}))
        self.assertEqual(starter.wait(), 0, starter.said)
        pid_file = self.folder / f"{role}.pid"
        self.wait_until(pid_file.exists, "the pid file")
        self.wait_until(lambda: pid_file.read_text().strip().isdigit(), "the process id")
        pid = int(pid_file.read_text())
        self.addCleanup(self.end_daemon, pid, pid_file)
        log = self.folder / f"{role}-daemon.log"
        self.wait_until(lambda: log.exists() and ready in log.read_text(), ready)
        return pid

    def end_daemon(self, pid: int, pid_file: Path) -> None:
        if pid_file.exists():  # else it has ended, and its number may be another's
            os.kill(pid, signal.SIGKILL)

    def test_both_as_daemons(self) -> None:
        """Both roles run detached, serve, and end on SIGTERM without leaving a pid file; their logs follow log_lang."""
        service = Service(self, echo)
        public = self.port()
        address = f"{self.host}:{self.control}"
        section = {"token": self.token, "drain_timeout": 1, "log_lang": "zh"}
        server = self.start_daemon("server", {"addr": address, **section}, f"服务端正在 {address} 上等待客户端")
        client = self.start_daemon(
            "client",
            {
                "name": "daemon",
                "server_addr": address,
                "mappings": [{"name": "web", "local": service.address, "remote": public}],
                **section,
            },
            f"映射 web 已打开：{self.host}:{public} 的访客到达 {service.address}",
        )
        self.assert_echo(public)
        for role, pid in (("client", client), ("server", server)):
            os.kill(pid, signal.SIGTERM)
            self.wait_until(lambda role=role: not (self.folder / f"{role}.pid").exists(), "no pid file")
            said = {"client": "客户端已停止", "server": "服务端已停止"}[role]
            self.assertIn(said, (self.folder / f"{role}-daemon.log").read_text())
