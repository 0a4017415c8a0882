"""The samples in etc/ and the files that the original's documents print: they load as they are."""

from __future__ import annotations

import shutil
from pathlib import Path

from gotunnel.address import HostPort
from gotunnel.config.explain import explain
from gotunnel.config.health import HealthConfig
from gotunnel.config.load import load
from gotunnel.config.tree import walk
from gotunnel.core.ports import PortSet
from tests.config.files import OTHER_TOKEN, TOKEN, FileTestCase

ETC = Path(__file__).parents[2] / "etc"
SAMPLES = sorted(ETC.glob("*.yaml"))

KEYS = {path[-1] for path, _ in walk()}

WHOLE = ("helm",)
"""Folders that the index names as a whole."""

PLACEHOLDER = "your-very-secure-k8s-token-here"

SERVER_DOCUMENT = """\
# config.yaml (Controller 端)
server:
  addr: "0.0.0.0:17000"  # 监听所有网卡，允许公网访问
  log_level: "info"
  token: "your-very-secure-k8s-token-here"  # 使用强随机 token
"""

CLIENT_DOCUMENT = """\
# config.yaml (Controller 端，用于映射 kube-apiserver)
client:
  name: "k8s-controller-apiserver"
  token: "your-very-secure-k8s-token-here"
  server_addr: "your-controller-public-ip:17000"
  local_ports: [6443]  # Controller 本地的 kube-apiserver 端口
"""

HERE_DOCUMENT_SERVER = """\
   server:
     addr: "0.0.0.0:17000"
     log_level: "info"
     token: "$(openssl rand -hex 32)"  # 生成随机 token
"""

HERE_DOCUMENT_CLIENT = """\
   client:
     name: "$(hostname)"  # 使用主机名
     token: "your-very-secure-k8s-token-here"  # 与 server 一致
     server_addr: "your-controller-public-ip:17000"
     local_ports: [6443]
"""

SERVER_PLUGINS = {"authenticators", "access", "port_allocator", "observers", "listeners"}
CLIENT_EXAMPLES = {"observers", "admin", "usage", "transport",
    "tls", "local_ports", "remote_port", "mappings", "forwards", "nodes", "egress", "heartbeat_interval",
    "health_check_interval",
}  # fmt: skip
"""What stands in the client's sample as a comment and is not the default."""


class SampleTests(FileTestCase):
    """Everything in etc/ that is a configuration."""

    def test_all_load(self) -> None:
        """Every sample loads without a warning, beside a token file or with the variable that it names."""
        self.assertGreaterEqual({path.name for path in SAMPLES}, {"server.yaml", "client.yaml", "both.yaml"})
        self.write(TOKEN, "token")
        for path in SAMPLES:
            copy = Path(shutil.copy(path, self.folder / path.name))
            env = {"GOTUNNEL_TOKEN": TOKEN} if "${GOTUNNEL_TOKEN}" in path.read_text("utf-8") else {}
            file = load(copy, env)
            self.assertEqual(file.warnings, [], path.name)
            self.assertGreater(len(explain(file)), 2, path.name)

    def test_no_token_of_ours(self) -> None:
        """A sample that is copied unchanged does not start with a token that everybody knows."""
        for path in SAMPLES:
            for line in path.read_text("utf-8").splitlines():
                if line.strip().startswith("token:"):
                    self.assertIn("${", line, path.name)

    def test_complete(self) -> None:
        """server.yaml and client.yaml show every key of their section, the defaults commented out."""
        for role in ("server", "client"):
            text = (ETC / f"{role}.yaml").read_text("utf-8")
            keys = [path[-1] for path, _ in walk() if path[0] == role]
            self.assertGreater(len(keys), 10)
            for key in keys:
                self.assertIn(f"{key}:", text)

    def test_commented_defaults(self) -> None:
        """What is commented out as a default is the default, and is no mistake when the sign is taken away."""
        self.write(TOKEN, "token")
        self.write(OTHER_TOKEN, "worker-1.token")
        self.write(OTHER_TOKEN[::-1], "admin.token")
        for name in ("server.pem", "server.key", "ca.pem", "clients.pem", "client.pem", "client.key"):
            self.write("pem", name)
        for role in ("server", "client"):
            text = (ETC / f"{role}.yaml").read_text("utf-8")
            lines = [line for line in text.splitlines() if 'token: "...' not in line]
            opened = [line.replace("# ", "", 1) if _is_commented_key(line) else line for line in lines]
            self.assertNotEqual(lines, opened)
            before, after = (getattr(self.load("\n".join(version)), role) for version in (lines, opened))
            differs = {key for key in before.model_dump() if getattr(before, key) != getattr(after, key)}
            self.assertEqual(
                differs,
                {"tls", "clients", "clients_file", "egress", "leg_name", "admin", "usage", *SERVER_PLUGINS}
                if role == "server"
                else CLIENT_EXAMPLES,
            )
            if role == "server":
                self.assertEqual((after.clients[0].name, after.clients[0].disabled), ("worker-1", False))
            if role == "client":
                self.assertEqual(after.mappings[2].health, HealthConfig())
                self.assertEqual(before.mappings[-1].health.status, after.mappings[-1].health.status)

    def test_fit(self) -> None:
        """What the sample of a client publishes, the sample of a server lets it publish."""
        self.write(TOKEN, "token")
        server = load(Path(shutil.copy(ETC / "server.yaml", self.folder)), {}).server
        client = load(Path(shutil.copy(ETC / "client.yaml", self.folder)), {}).client
        assert server is not None and client is not None
        wanted = [mapping.remote_port for mapping in client.mappings if mapping.public]
        allowed = PortSet.parse(server.allow_ports)
        self.assertEqual([port for port in wanted if port not in allowed], [])

    def test_index(self) -> None:
        """The index names every file of the folder, and of the folders in it; a chart and a set of manifests by one."""
        index = (ETC / "README.md").read_text("utf-8")
        for path in sorted(ETC.rglob("*")):
            inside = path.relative_to(ETC)
            if path.is_file() and path.name != "README.md" and inside.parts[0] not in WHOLE:
                self.assertIn(f"]({inside})", index)
        for folder in WHOLE:
            self.assertIn(f"]({folder}/", index)


class DocumentTests(FileTestCase):
    """The Kubernetes document's files: a real token in the placeholder's place, and they load."""

    def test_server(self) -> None:
        """The controller's server."""
        server = self.load(SERVER_DOCUMENT.replace(PLACEHOLDER, TOKEN)).server
        assert server is not None
        self.assertEqual((server.addr, server.log_level), (HostPort("0.0.0.0", 17000), "info"))

    def test_client(self) -> None:
        """The controller's client publishes 6443 as 6443."""
        client = self.load(CLIENT_DOCUMENT.replace(PLACEHOLDER, TOKEN)).client
        assert client is not None
        self.assertEqual(client.server_addr, HostPort("your-controller-public-ip", 17000))
        self.assertEqual(
            [(str(m.local), m.bind, m.remote_port) for m in client.mappings], [("127.0.0.1:6443", None, 6443)]
        )

    def test_here_documents(self) -> None:
        """What a shell writes from the here-documents, indentation included."""
        self.assertIsNotNone(
            self.load(HERE_DOCUMENT_SERVER.replace("$(openssl rand -hex 32)", TOKEN * 2)).server
        )
        text = HERE_DOCUMENT_CLIENT.replace("$(hostname)", "worker-1.example").replace(PLACEHOLDER, TOKEN)
        self.assertIsNotNone(self.load(text).client)
        self.assertIn("no shell has run", self.problem(HERE_DOCUMENT_SERVER).wrong)

    def test_placeholder(self) -> None:
        """As printed they are refused for their token, and for nothing else."""
        for text, line in ((SERVER_DOCUMENT, 5), (CLIENT_DOCUMENT, 4)):
            problem = self.problem(text)
            self.assertEqual(problem.line, line)
            self.assertIn("placeholder", problem.wrong)

    def test_environment(self) -> None:
        """`export GOTUNNEL_TOKEN` serves a file that names no token."""
        text = "\n".join(line for line in CLIENT_DOCUMENT.splitlines() if "token:" not in line)
        self.assertIsNotNone(self.load(text, {"GOTUNNEL_TOKEN": TOKEN}).client)


def _is_commented_key(line: str) -> bool:
    """Say whether a line is a key behind a comment sign: `  # heartbeat: 10`, `  #   mode: off`."""
    key, colon, _ = line.strip().removeprefix("# ").strip().removeprefix("- ").partition(":")
    return line.startswith("  ") and line.strip().startswith("# ") and bool(colon) and key in KEYS
