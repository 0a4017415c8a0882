"""A control plane at home and workers elsewhere, all behind NAT, joined by nothing but one public gotunnel server: no
Kubernetes port is open anywhere. The machines are network namespaces; `kube` plays the API server and the kubelets."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tests.e2e.harness import Program, TunnelTestCase, need
from tests.e2e.namespaces import Machine, homes
from tests.e2e.peers import authority, nginx
from tests.processes import DEADLINE

PUBLIC = "203.0.113.1"
WORKERS = ("worker-1", "worker-2")
HOMES = {"controller": "203.0.113.2", "worker-1": "203.0.113.3", "worker-2": "203.0.113.4"}
"""The public addresses of their routers."""
NOT_READY = 40.0
"""Seconds after which Kubernetes takes a node for dead (node-monitor-grace-period)."""

RUNS = int(os.environ.get("BLACKHOLE_RUNS", "4"))
"""Clients whose paths are swallowed at once."""
BLACK_HOLE = """
table ip hole {
  chain swallow {
    type filter hook forward priority -1;
    tcp sport { %s } drop
    tcp dport { %s } drop
  }
}
"""


class ClusterTests(TunnelTestCase):
    """The whole of it."""

    def setUp(self) -> None:
        super().setUp()
        self.curl = need("curl")
        self.machines = homes(self, PUBLIC, HOMES)
        self.tokens = {name: os.urandom(24).hex() for name in ("controller", *WORKERS)}
        self.secrets += self.tokens.values()
        short = tempfile.mkdtemp()  # a unix socket's path must be short
        self.addCleanup(shutil.rmtree, short)
        self.socket = f"{short}/egress"
        self.cas = self.folder / "cas"
        self.cas.mkdir()
        self._start_kubernetes()

    python = (sys.executable, "-m", "tests.e2e.kube")

    # Kubernetes.

    def _start_kubernetes(self) -> None:
        for name in WORKERS:
            ca, certificate, key = authority(self.folder / f"pki-{name}", name=name)
            shutil.copy(ca, self.cas / f"{name}.pem")
            self.kube(name, "kubelet", name, "10250", str(certificate), str(key)).wait_for("ready")
        self.kube("controller", "apiserver", "8001", self.socket, str(self.cas)).wait_for("ready")
        self.ca, certificate, key = authority(self.folder / "pki-api", "127.0.0.1", name="kubernetes")
        server = f"""\
  server {{
    listen 127.0.0.1:6443 ssl http2;
    ssl_certificate {certificate};
    ssl_certificate_key {key};
    location / {{ proxy_pass http://127.0.0.1:8001; proxy_buffering off; proxy_http_version 1.1; }}
  }}"""
        nginx(self, server, prefix=self.machines["controller"].prefix)

    def kube(self, machine: str, *words: str) -> Program:
        """Start a part of the cluster on a machine."""
        return self.follow(machine, f"kube-{machine}", *self.python, *words)

    # gotunnel.

    def start_server(self, control: int = 17000, name: str = "server") -> Program:
        """Start the public server: whom it lets reach what is all that it knows of Kubernetes."""
        clients: list[dict[str, Any]] = [
            {"name": "controller", "token": self.tokens["controller"], "allow_dial": ["nodes:10250"]}
        ]
        clients += [
            {
                "name": worker,
                "token": self.tokens[worker],
                "allow_nodes": [worker],
                "allow_dial": ["mapping:controller/apiserver"],
            }
            for worker in WORKERS
        ]
        section = {"addr": f"0.0.0.0:{control}", "profile": "kubernetes", "drain_timeout": 0, "clients": clients}
        return self.begin("public", "server", name, section, "server listening")

    def start_controller(self, control: int = 17000, *, egress: bool = True, api: bool = True) -> Program:
        """Start the client beside the API server."""
        section: dict[str, Any] = {}
        if egress:
            section["egress"] = {"listen": f"unix:{self.socket}"}
        if api:
            section["mappings"] = [
                {"name": "apiserver", "local": "127.0.0.1:6443", "public": False, "clients": ["worker-*"]}
            ]
        return self.start_client("controller", control, section)

    def start_worker(self, name: str, control: int = 17000, *, node: bool = True, api: bool = True) -> Program:
        """Start the client of a worker."""
        section: dict[str, Any] = {}
        if node:
            section["nodes"] = [{"match": [name], "allow_ports": [10250], "dial": "127.0.0.1"}]
        if api:
            section["forwards"] = [{"listen": "127.0.0.1:6443", "dial": "mapping:controller/apiserver"}]
        return self.start_client(name, control, section)

    def start_client(self, name: str, control: int, section: dict[str, Any]) -> Program:
        """Start a client on the machine of its name."""
        common = {
            "name": name,
            "token": self.tokens[name],
            "server_addr": f"{PUBLIC}:{control}",
            "profile": "kubernetes",
            "drain_timeout": 0,
        }
        return self.begin(name, "client", f"{name}-{control}", {**common, **section}, "connected to the server")

    def begin(self, machine: str, role: str, name: str, section: dict[str, Any], word: str) -> Program:
        """Start a role on a machine."""
        path = self.write(f"{name}.yaml", json.dumps({role: section}))
        path.chmod(0o600)
        program = self.role(role, ["--config", path], name=name, prefix=self.machines[machine].prefix)
        program.wait_for(word)
        return program

    def start_all(self, control: int = 17000, **parts: bool) -> Program:
        """Start the server and all clients; return the server."""
        server = self.start_server(control)
        self.start_controller(control)
        for worker in WORKERS:
            self.start_worker(worker, control)
        return server

    # What Kubernetes does.

    def on(self, machine: Machine, *command: str, sent: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        """Run a command on a machine."""
        return subprocess.run(
            [*machine.prefix, *command], input=sent, capture_output=True, timeout=2 * DEADLINE, check=False,
            env=self.environment(),
        )  # fmt: skip

    def api(self, *words: str) -> list[str]:
        """Return the command of a worker that asks the API server, its certificate checked."""
        return [self.curl, "--silent", "--show-error", "--http2", "--cacert", str(self.ca), "--max-time", "5", *words]

    def follow(self, machine: str, name: str, *command: str) -> Program:
        """Start a command whose output has no end."""
        return self.launch(name, [*self.machines[machine].prefix, *command])

    def logs(self, worker: str) -> Program:
        """Follow the logs of a node, as `kubectl logs -f` does."""
        url = f"http://127.0.0.1:8001/nodes/{worker}/containerLogs"
        return self.follow("controller", f"logs-{worker}", self.curl, "-sN", url)

    def lease(self, worker: str) -> tuple[float, float]:
        """Return how old a node's lease is, and the longest that it was not renewed, in seconds."""
        done = self.on(self.machines["controller"], self.curl, "-s", f"http://127.0.0.1:8001/leases/{worker}")
        age, gap = done.stdout.decode().split()
        return float(age), float(gap)

    def test_both_directions(self) -> None:
        """Workers watch the API server over HTTP/2, the API server reads logs of both kubelets and runs 40 execs, 20 at
        a time, with bytes of their own, and no port of Kubernetes is open on the way."""
        self.start_all()
        watches = [
            self.follow(worker, f"watch-{worker}", *self.api("--max-time", "60", "-N", "https://127.0.0.1:6443/watch"))
            for worker in WORKERS
        ]
        logs = [self.logs(worker) for worker in WORKERS]
        for watch in watches:
            watch.wait_for("event 5")
        for worker, log in zip(WORKERS, logs, strict=True):
            log.wait_for(f"line of {worker} 5")

        def execute(number: int) -> bool:
            worker = WORKERS[number % 2]
            sent = os.urandom(1000 * number + 1)
            done = self.on(self.machines["controller"], *self.python, "exec", worker, sent=sent)
            return done.stdout == worker.encode() + b":" + sent

        with ThreadPoolExecutor(20) as pool:
            self.assertEqual(list(pool.map(execute, range(40))), [True] * 40)
        for machine, address in (("controller", "10.2.0.2"), ("public", "203.0.113.3"), ("public", PUBLIC)):
            for port in (6443, 10250):
                url = f"https://{address}:{port}/"
                done = self.on(self.machines[machine], self.curl, "-sk", "--max-time", "1", url)
                self.assertNotEqual(done.returncode, 0, (machine, address, port))
        kubectl = shutil.which("kubectl")
        if kubectl is not None:  # a Go client, where there is one
            done = self.on(
                self.machines["worker-1"], kubectl, "--server", "https://127.0.0.1:6443", "--certificate-authority",
                str(self.ca), "--token", "none", "get", "--raw", "/healthz",
            )  # fmt: skip
            self.assertEqual(done.stdout, b"ok", done.stderr)

    def test_unknown_node(self) -> None:
        """What nobody announces is refused, with a reason for the API server's log."""
        self.start_all()
        url = "http://127.0.0.1:8001/nodes/worker-3/containerLogs"
        done = self.on(self.machines["controller"], self.curl, "-s", url)
        self.assertEqual(done.stdout.split(b":")[0], b"502 worker-3")
        self.assertIn(b"not allowed", done.stdout)

    def test_logs_through_a_restart_of_the_other_server(self) -> None:
        """With a server for each direction, a restart of the one cuts nothing on the other."""
        self.start_server(17001, "kubelets")
        self.start_controller(17001, api=False)
        self.start_worker("worker-1", 17001, api=False)
        other = self.start_server(17000, "api")
        self.start_controller(17000, egress=False)
        worker = self.start_worker("worker-1", 17000, node=False)
        logs = self.logs("worker-1")
        logs.wait_for("line of worker-1 5")
        other.kill()
        worker.wait_for("connection to the server .* lost")
        self.start_server(17000, "api-again")
        worker.wait_for("connected to the server", 2)
        seen = logs.count("line of worker-1")
        logs.wait_for(f"line of worker-1 {seen + 20}\n")
        self.assertIsNone(logs.process.poll())
        lines = [line for line in logs.said.splitlines() if line.startswith("line")]
        self.assertEqual(lines, [f"line of worker-1 {number}" for number in range(len(lines))])

    def test_heartbeats(self) -> None:
        """The leases of both nodes are renewed in time through 10 seconds without a single packet, and through a server
        that is killed and comes back: no gap comes near the 40 seconds after which a node is NotReady."""
        server = self.start_all()
        for worker in WORKERS:
            renew = self.api("-X", "PUT", f"https://127.0.0.1:6443/leases/{worker}")
            self.follow(worker, f"leases-{worker}", *self.python, "renew", "60", *renew)
        self.wait_until(lambda: all(self.renewed(worker) for worker in WORKERS), "the leases are renewed")
        cut = threading.Event()
        nat = self.machines["worker-1-nat"]
        nat.run("nft", "table ip cut {\n chain stop { type filter hook forward priority -1; policy drop; }\n}")
        cut.wait(10)
        nat.run("nft", "delete", "table", "ip", "cut")
        self.wait_until(lambda: self.renewed("worker-1"), "worker-1 is back", seconds=NOT_READY)
        server.kill()
        cut.wait(1)
        self.start_server(name="server-again")
        for worker in WORKERS:
            self.wait_until(lambda worker=worker: self.renewed(worker), f"{worker} is back", seconds=NOT_READY)  # type: ignore[misc]
        gaps = {worker: self.lease(worker)[1] for worker in WORKERS}
        self.assertLess(max(gaps.values()), NOT_READY, gaps)
        print(f"the longest that leases were not renewed, in seconds: {gaps}", file=sys.stderr)

    def test_black_hole(self) -> None:
        """A path that swallows packets without a word, for the connections that are there and for them alone, is
        noticed and replaced in less than 20 seconds, by clients that are idle and by one that streams; what streams
        there ends as soon, or whoever waits for it would wait on."""
        names = [f"edge-{number}" for number in range(RUNS)]
        self.tokens.update({name: os.urandom(24).hex() for name in names})
        self.secrets += [self.tokens[name] for name in names]
        clients = [{"name": name, "token": self.tokens[name]} for name in names]
        section = {"addr": "0.0.0.0:17000", "profile": "kubernetes", "drain_timeout": 0, "clients": clients}
        section["limits"] = {"unauthenticated_per_address": 200}
        self.begin("public", "server", "server", section, "server listening")
        machine, nat = self.machines["worker-1"], self.machines["worker-1-nat"]
        edges = []
        for number, name in enumerate(names):
            mapping = {"local": "127.0.0.1:10250", "remote": 30000 + number}
            section = {"name": name, "token": self.tokens[name], "server_addr": f"{PUBLIC}:17000"}
            section |= {"profile": "kubernetes", "mappings": [mapping]}
            path = self.write(f"{name}.yaml", json.dumps({"client": section}))
            path.chmod(0o600)
            edges.append(self.role("client", ["--config", path], name=name, prefix=machine.prefix))
        for edge in edges:
            edge.wait_for("mapping .* open", seconds=120)
        url = "https://203.0.113.1:30000/containerLogs"
        stream = self.follow("public", "stream", self.curl, "-skN", url)
        stream.wait_for("line of worker-1 5")
        there = self.on(machine, "cat", "/proc/net/tcp").stdout.decode().splitlines()[1:]
        ports = {int(line.split()[1].partition(":")[2], 16) for line in there if line.split()[3] == "01"}
        # The router may give another port to the outside, and keeps the inner one on this wire.
        ports_text = ", ".join(map(str, sorted(ports)))
        begun = time.monotonic()
        nat.run("nft", BLACK_HOLE % (ports_text, ports_text))
        took = []
        for edge in edges:
            edge.wait_for("connected to the server", 2, seconds=NOT_READY)
            took.append(time.monotonic() - begun)
        self.wait_until(lambda: stream.process.poll() is not None, "the stream ends", seconds=NOT_READY)
        ended = time.monotonic() - begun
        print(f"seconds until the stream ended: {ended:.1f}", file=sys.stderr)
        self.assertLess(ended, 20)
        print(f"seconds until {RUNS} clients were back: {[round(each, 1) for each in took]}", file=sys.stderr)
        self.assertLess(max(took), 20)
        for number in range(RUNS):
            done = self.on(self.machines["public"], self.curl, "-sk", f"https://{PUBLIC}:{30000 + number}/healthz")
            self.assertEqual(done.stdout, b"ok from worker-1", number)

    def renewed(self, worker: str) -> bool:
        """Whether a node's lease was renewed just now."""
        try:
            return self.lease(worker)[0] < 1.0
        except ValueError:
            return False
