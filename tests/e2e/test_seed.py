"""The deployment that gotunnel was made for: a Kubernetes control plane at home, workers in a cloud, and the files of
its document as they are printed. The machines are network namespaces, so that no port and no path has to change.

Replaced in the files: the token's placeholder, and `your-controller-public-ip`. What stands for kube-apiserver and
kubelet is nginx with a certificate of the cluster's CA, and every request checks that certificate.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from tests.e2e.harness import Program, TunnelTestCase, need
from tests.e2e.namespaces import Machine, machines
from tests.e2e.peers import authority, haproxy, nginx
from tests.processes import DEADLINE

PLACEHOLDER = "your-very-secure-k8s-token-here"

SERVER = """\
# config.yaml (Controller 端)
server:
  addr: "0.0.0.0:17000"  # 监听所有网卡，允许公网访问
  log_level: "info"
  token: "your-very-secure-k8s-token-here"  # 使用强随机 token
"""

CLIENT = """\
# config.yaml (Controller 端，用于映射 kube-apiserver)
client:
  name: "k8s-controller-apiserver"
  token: "your-very-secure-k8s-token-here"
  server_addr: "your-controller-public-ip:17000"
  local_ports: [6443]  # Controller 本地的 kube-apiserver 端口
"""

SERVER_STEP = """\
# 创建配置文件
cat > config.yaml <<EOF
server:
  addr: "0.0.0.0:17000"
  log_level: "info"
  token: "$(openssl rand -hex 32)"  # 生成随机 token
EOF
"""

CLIENT_STEP = """\
# 创建配置文件
cat > config.yaml <<EOF
client:
  name: "$(hostname)"  # 使用主机名
  token: "your-very-secure-k8s-token-here"  # 与 server 一致
  server_addr: "your-controller-public-ip:17000"
  local_ports: [6443]
EOF
"""

CONTROLLER, WORKER, OTHER = "10.208.0.1", "10.208.0.2", "10.208.0.3"


class _ClusterTestCase(TunnelTestCase):
    """Some machines, and the roles on them, started as the document does: `config.yaml` in the working directory."""

    def filled(self, text: str, server: str = CONTROLLER, other: Mapping[str, str] | None = None) -> str:
        """Return a printed file with its placeholders replaced, and nothing else (but for `other`)."""
        replaced = {PLACEHOLDER: self.token, "your-controller-public-ip": server, **(other or {})}
        for old, new in replaced.items():
            text = text.replace(old, new)
        return text

    def place(self, folder: str, text: str) -> Path:
        """Write `config.yaml` into a folder; return the folder."""
        return self.write(f"{folder}/config.yaml", text).parent

    def start_server(self, machine: Machine, text: str = SERVER) -> Program:
        server = self.role("server", [], prefix=machine.prefix, cwd=self.place("server", self.filled(text)))
        server.wait_for(r"server listening for clients on \S+:17000 \(TLS\)")
        return server

    def start_client(self, machine: Machine, text: str, name: str = "client") -> Program:
        return self.role("client", [], prefix=machine.prefix, cwd=self.place(name, text), name=name)

    def start_component(self, machine: Machine, name: str, listen: str) -> Path:
        """Start what answers its own name over HTTPS; return the CA that vouches for it."""
        need("curl")
        ca, certificate, key = authority(self.folder / f"{name}-pki", CONTROLLER, WORKER, OTHER, name=name)
        block = f"""\
  server {{
    listen {listen} ssl;
    ssl_certificate {certificate};
    ssl_certificate_key {key};
    location / {{ return 200 "this is {name}"; }}
  }}"""
        nginx(self, block, name=name, prefix=machine.prefix)
        port = listen.rpartition(":")[2]
        at = f"{name}:{port}:127.0.0.1"
        self.wait_until(lambda: self.fetch(machine, f"https://{name}:{port}/", ca, at) != "", name)
        return ca

    def fetch(self, machine: Machine, url: str, ca: Path, resolve: str | None = None) -> str:
        """Fetch a page on a machine, with full verification of the certificate; "" if that fails."""
        command = [
            *machine.prefix,
            need("curl"),
            "--silent",
            "--cacert",
            str(ca),
            "--max-time",
            str(DEADLINE),
        ]
        command += ["--resolve", resolve] if resolve else []
        done = subprocess.run(
            [*command, url], capture_output=True, text=True, check=False, env=self.environment()
        )
        return done.stdout if done.returncode == 0 else ""

    def assert_reached(self, machine: Machine, name: str, address: str, ca: Path) -> None:
        self.assertEqual(self.fetch(machine, f"https://{address}/", ca), f"this is {name}")


class PrintedFilesTests(_ClusterTestCase):
    """The two sections as printed, one per file and both in one file."""

    def test_server_elsewhere(self) -> None:
        """Plan 1, way A, where the server has a machine of its own: a worker reaches the API server on the server's
        6443, which the original could not do (it always opened 10022)."""
        controller, worker, edge = machines(self, CONTROLLER, WORKER, OTHER)
        ca = self.start_component(controller, "apiserver", "0.0.0.0:6443")
        self.start_server(edge)
        client = self.start_client(controller, self.filled(CLIENT, OTHER))
        client.wait_for("mapping .* open: visitors of 10.208.0.3:6443 reach 127.0.0.1:6443")
        self.assert_reached(worker, "apiserver", f"{OTHER}:6443", ca)

    def test_server_beside_the_api_server(self) -> None:
        """Plan 1, way A, both sections in one file, beside the API server itself: its 6443 is taken, and the client
        says what to do. Done, a worker reaches it on the other port; and, way B, a HAProxy gives it the old number."""
        controller, worker = machines(self, CONTROLLER, WORKER)
        ca = self.start_component(controller, "apiserver", "127.0.0.1:6443")
        both = SERVER + CLIENT
        self.start_server(controller, both)
        client = self.start_client(controller, self.filled(both))
        client.wait_for(
            r"mapping .* refused by the server \S+: port 6443: port_in_use: .*choose another one .*remote_port"
        )
        self.assertEqual(client.stop(), 0)

        client = self.start_client(controller, self.filled(both) + "  remote_port: 16443\n", "cured")
        client.wait_for("mapping .* open: visitors of 10.208.0.1:16443 reach 127.0.0.1:6443")
        self.assert_reached(worker, "apiserver", f"{CONTROLLER}:16443", ca)

        haproxy(self, f"{CONTROLLER}:6443", "127.0.0.1:16443", prefix=controller.prefix)
        self.wait_until(
            lambda: self.fetch(worker, f"https://{CONTROLLER}:6443/", ca) != "", "an answer through HAProxy"
        )
        self.assert_reached(worker, "apiserver", f"{CONTROLLER}:6443", ca)

    def test_server_on_the_public_address(self) -> None:
        """The other cure: a server that has the public address for its own opens 6443 beside an API server that is on
        127.0.0.1, with the client's file as printed."""
        controller, worker = machines(self, CONTROLLER, WORKER)
        ca = self.start_component(controller, "apiserver", "127.0.0.1:6443")
        self.start_server(controller, SERVER.replace("0.0.0.0", CONTROLLER))
        client = self.start_client(controller, self.filled(CLIENT))
        client.wait_for("mapping .* open: visitors of 10.208.0.1:6443")
        self.assert_reached(worker, "apiserver", f"{CONTROLLER}:6443", ca)

    def test_both_directions(self) -> None:
        """Plan 2: through one server on the controller, workers reach the API server, and the controller reaches the
        kubelet of each of two workers, all at once. The files come out of the document's own shell commands."""
        need("openssl")
        need("hostname")
        controller, first, second = machines(self, CONTROLLER, WORKER, OTHER)
        apiserver = self.start_component(controller, "apiserver", "127.0.0.1:6443")
        kubelets = [
            self.start_component(machine, f"kubelet{number}", "127.0.0.1:10250")
            for number, machine in enumerate((first, second))
        ]
        made = self.step("server-step", SERVER_STEP)
        (self.token,) = [line.split('"')[1] for line in made.splitlines() if "token:" in line]
        server = self.start_server(controller, made)
        self.start_client(controller, self.filled(CLIENT) + "  remote_port: 16443\n").wait_for(
            "mapping .* open"
        )
        for number, machine in enumerate((first, second)):
            # These two have one kernel and so one host name; and what a worker has is the kubelet.
            here = os.uname().nodename
            made = self.step(f"worker{number}-step", CLIENT_STEP)
            self.assertIn(f'name: "{here}"', made)
            text = self.filled(made, other={here: f"worker-{number}", "[6443]": "[10250]"})
            text += f"  remote_port: {10250 + number}\n"
            self.start_client(machine, text, f"worker{number}").wait_for("mapping .* open")
        for _ in range(3):
            self.assert_reached(first, "apiserver", f"{CONTROLLER}:16443", apiserver)
            self.assert_reached(controller, "kubelet0", f"{CONTROLLER}:10250", kubelets[0])
            self.assert_reached(second, "apiserver", f"{CONTROLLER}:16443", apiserver)
            self.assert_reached(controller, "kubelet1", f"{CONTROLLER}:10251", kubelets[1])
        server.wait_for("several clients use one token")

    def step(self, folder: str, commands: str) -> str:
        """Run commands of the document; return the file that they make."""
        place = self.folder / folder
        place.mkdir()
        subprocess.run(
            ["sh", "-ec", commands], cwd=place, env=self.environment(), check=True, timeout=DEADLINE
        )
        return (place / "config.yaml").read_text()


class PlaceholderTests(TunnelTestCase):
    """The files with nothing replaced."""

    def test_placeholder_token_is_refused(self) -> None:
        """Whoever forgets to replace the document's token is told so by both roles, and nothing starts."""
        self.write("config.yaml", SERVER + CLIENT)
        for role in ("server", "client"):
            program = self.role(role, [])
            self.assertEqual(program.wait(), 2)
            (line,) = program.said.splitlines()
            self.assertRegex(
                line, rf"^config.yaml:\d+: {role}.token: the token is a placeholder .*gotunnel token"
            )
