"""The headline: kubectl at home, nodes elsewhere, and nothing between them but gotunnel.

    make kubernetes
"""

from __future__ import annotations

import datetime
import hashlib
import json
import os
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

from tests.e2e.program import Program
from tests.kubernetes.build import KUBERNETES
from tests.kubernetes.images import BUSYBOX
from tests.kubernetes.node import API
from tests.kubernetes.stage import FOLDER, NODES, PODS, SERVICES, WORKERS, ClusterCase, conversation, output
from tests.processes import ROOT

NOT_READY = 40.0
"""Seconds after which a control plane takes a node for dead, or took it: this version's default is 50."""
COUNTING = "i=0; while true; do echo line $i; i=$((i+1)); sleep 0.1; done"
POD = """\
apiVersion: v1
kind: Pod
metadata: {{name: {name}, labels: {{app: web}}}}
spec:
  nodeName: {node}
  terminationGracePeriodSeconds: 0
  containers:
    - {{name: count, image: "{image}", command: [sh, -c, "{counting}"]}}
    - name: web
      image: "{image}"
      command: [sh, -c, "echo this is {name} > /www/index.html; exec httpd -f -p 8080 -h /www"]
      volumeMounts: [{{name: programs, mountPath: /programs, readOnly: true}}]
    - {{name: attached, image: "{image}", command: [cat], stdin: true}}
  volumes:
    - {{name: programs, hostPath: {{path: {folder}}}}}
---
"""
SERVICE = """\
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}
"""
SPDY = {"KUBECTL_REMOTE_COMMAND_WEBSOCKETS": "false", "KUBECTL_PORT_FORWARD_WEBSOCKETS": "false"}
"""What makes kubectl use SPDY for what are WebSockets by default."""
WAYS: dict[str, dict[str, str]] = {"WebSocket": {}, "SPDY": SPDY}
BLACK_HOLE = """
table ip hole {
  set those { type inet_service; elements = { %s } }
  chain swallow { type filter hook forward priority -1; tcp sport @those drop; tcp dport @those drop; }
}
"""
SERVER = "017100CB:4268"
"""The address of the server, as /proc/net/tcp has it."""
NODE_LINE = 'jsonpath={.metadata.name}{" "}{.status.conditions[?(@.type=="Ready")].status}{"\\n"}'
LEASE_LINE = 'jsonpath={.metadata.name}{" "}{.spec.renewTime}{"\\n"}'
LOST = "connection to the server .* lost"


class HeadlineTests(ClusterCase):
    """The layout of docs/en/kubernetes.md where the server runs elsewhere: no port of Kubernetes is public. One
    cluster, and one thing after the other: to start it takes longest."""

    def test_headline(self) -> None:
        """All that a cluster does that has a tunnel in its middle."""
        self.server = self.start_server()
        self.start_control_plane()
        self.start_clients()
        self.start_workers()
        self.lead_to_pods()
        self.start_pods()
        self.check_closed()
        self.check_logs()
        self.check_exec()
        self.check_attach()
        self.check_copy()
        self.check_port_forward()
        self.check_pods_reach_the_api()
        self.check_api_reaches_pods()
        self.check_manifests()
        self.check_cut()
        self.check_restart()
        self.check_black_hole()
        self.say("all of it holds")

    # gotunnel.

    def start_server(self, name: str = "server") -> Program:
        """The public server: whom it lets reach what is all that it knows of Kubernetes."""
        clients = [
            {
                "name": "controller", "token": self.tokens["controller"], "allow_dial": ["nodes:*"],
                "allow_nodes": ["controller", NODES["controller"]],
            },
            *(
                {
                    "name": name, "token": self.tokens[name], "allow_dial": ["mapping:controller/apiserver"],
                    "allow_nodes": [name, NODES[name], PODS, SERVICES],
                }
                for name in WORKERS
            ),
        ]  # fmt: skip
        section = {"addr": "0.0.0.0:17000", "profile": "kubernetes", "drain_timeout": 2, "clients": clients}
        return self.begin("server", name, "public", section, "server listening")

    def start_clients(self) -> None:
        """One beside the API server, one on each worker."""
        mapping = {"name": "apiserver", "local": f"{API}:6443", "public": False, "clients": ["worker-*"]}
        egress = {"listen": "unix:/run/gotunnel/egress.sock"}
        section = {"mappings": [mapping], "egress": egress, "nodes": [self.kubelet("controller")]}
        self.start_client("controller", section)
        for name in WORKERS:
            self.start_client(name, self.worker(name))

    def lead_to_pods(self) -> None:
        """The workers' clients lead to pods and services, too; their files change while they run."""
        for node in self.workers:
            pods = self.controller.ask("get", "node", node.name, "-o", "jsonpath={.spec.podCIDR}")
            self.change_client(node.name, self.worker(node.name, pods, SERVICES))

    @staticmethod
    def kubelet(name: str) -> dict[str, object]:
        """Return the entry of `nodes` for the kubelet of a node."""
        return {"match": [name, NODES[name]], "allow_ports": [10250], "dial": "127.0.0.1"}

    def worker(self, name: str, *networks: str) -> dict[str, object]:
        """Return what is a worker's own."""
        others = [{"match": list(networks), "allow_ports": ["1-65535"]}] if networks else []
        forward = {"name": "apiserver", "listen": f"{API}:6443", "dial": "mapping:controller/apiserver"}
        return {"nodes": [self.kubelet(name), *others], "forwards": [forward]}

    # What it does.

    def start_pods(self) -> None:
        """A pod on each worker, and a service of both."""
        pods = [
            POD.format(name=f"on-{node}", node=node, image=BUSYBOX, counting=COUNTING, folder=FOLDER)
            for node in WORKERS
        ]
        self.controller.ask("apply", "-f", "-", sent="".join(pods) + SERVICE)
        self.controller.ask("wait", "--for=condition=Ready", "pod", "--all", "--timeout=120s")
        self.say("a pod runs on each worker")

    def check_closed(self) -> None:
        """No port of Kubernetes can be reached but by the tunnel."""
        for where, addresses in (
            ("controller", ("203.0.113.3", NODES["worker-1"], "203.0.113.1")),
            ("worker-1", ("203.0.113.2", NODES["controller"], NODES["worker-2"], "203.0.113.1")),
            ("public", ("203.0.113.1", "203.0.113.2", "203.0.113.3", "203.0.113.4")),
        ):
            for address in addresses:
                for port in ("6443", "10250"):
                    words = ("bash", "-c", f"timeout 1 bash -c '</dev/tcp/{address}/{port}' 2>/dev/null && echo open")
                    said = output([*self.machines[where].prefix, *words])
                    self.assertEqual(said, b"", (where, address, port))
        words = ("bash", "-c", "timeout 1 bash -c '</dev/tcp/203.0.113.1/17000' && echo open")
        self.assertEqual(output([*self.machines["worker-1"].prefix, *words]), b"open\n")
        self.say("ports 6443 and 10250 are reached from nowhere but by the tunnel")

    def check_logs(self) -> None:
        """kubectl logs, and logs -f of both; the control plane's own pods as well."""
        words = {node: ("logs", "-f", f"on-{node}", "-c", "count") for node in WORKERS}
        follow = [self.launch(f"logs-{node}", self.command(*each)) for node, each in words.items()]
        for log in follow:
            log.wait_for(r"(?m)^line 50$")
            numbers = [int(line.split()[1]) for line in log.said.splitlines()]
            self.assertEqual(numbers, list(range(len(numbers))))
            log.kill()
        self.assertIn("line 1\n", self.controller.ask("logs", "on-worker-1", "-c", "count"))
        self.assertTrue(self.controller.ask("logs", "-n", "kube-system", "kube-scheduler-controller", "--tail=1"))
        self.say("kubectl logs, logs -f of both workers' pods, logs of the control plane's own")

    def check_exec(self) -> None:
        """20 execs side by side, each with bytes of its own, by WebSocket and again by SPDY; a code that is not 0."""
        for name, more in WAYS.items():

            def one(number: int, more: dict[str, str] = more) -> str:
                sent = os.urandom(10_000 * number + 1)
                pod = f"on-worker-{number % 2 + 1}"
                said = self.kubectl("exec", "-i", pod, "-c", "count", "--", "cat", sent=sent, **more)
                same = said.out == sent and said.code == 0
                return "" if same else f"{number}: {len(said.out)} of {len(sent)} bytes, code {said.code}: {said.err}"

            began = time.monotonic()
            with ThreadPoolExecutor(20) as pool:
                self.assertEqual(list(pool.map(one, range(20))), [""] * 20)
            took = time.monotonic() - began
            said = self.kubectl("exec", "on-worker-1", "-c", "count", "--", "sh", "-c", "exit 7", **more)
            self.assertEqual(said.code, 7, said.err)
            self.say(f"20 execs at once by {name}, with bytes of their own: {took:.1f} s")

    def check_attach(self) -> None:
        """attach, with standard input."""
        for name, more in WAYS.items():
            words = self.command("attach", "-i", "on-worker-1", "-c", "attached", "--quiet", **more)
            self.assertEqual(conversation(words, f"hello by {name}\n".encode()), f"hello by {name}\n".encode())
        self.say("kubectl attach, by WebSocket and by SPDY")

    def check_copy(self) -> None:
        """cp into a pod and back."""
        content = os.urandom(8_000_000)
        source, back = self.folder / "sent", self.folder / "back"
        source.write_bytes(content)
        there = "on-worker-2:/tmp/sent"
        for words in ((str(source), there), (there, str(back))):
            said = self.kubectl("cp", "-c", "count", *words)
            self.assertEqual(said.code, 0, said.err)
        self.assertEqual(hashlib.sha256(back.read_bytes()).digest(), hashlib.sha256(content).digest())
        self.say("kubectl cp, 8 MB there and back")

    def check_port_forward(self) -> None:
        """port-forward to a pod."""
        for port, (name, more) in enumerate(WAYS.items(), 18080):
            words = ("port-forward", "pod/on-worker-2", f"{port}:8080")
            forward = self.launch(f"port-{name}", self.command(*words, **more))
            forward.wait_for("Forwarding from 127.0.0.1")
            for _ in range(5):
                page = self.controller.host.run("curl", "-sS", "--max-time", "10", f"http://127.0.0.1:{port}/")
                self.assertEqual(page, "this is on-worker-2\n")
            forward.kill()
        self.say("kubectl port-forward, by WebSocket and by SPDY")

    def check_pods_reach_the_api(self) -> None:
        """A pod's own kubectl finds kubernetes.default by its service account, the certificate checked."""
        for node in WORKERS:
            words = ("exec", f"on-{node}", "-c", "web", "--", "/programs/kubectl", "get", "--raw", "/version")
            version = json.loads(self.controller.ask(*words))
            self.assertEqual(version["gitVersion"], f"v{KUBERNETES}")
        self.say("pods reach kubernetes.default (10.96.0.1:443) with their service account")

    def check_api_reaches_pods(self) -> None:
        """What the API server dials in the cluster besides kubelets: pods, and services."""
        place = "/api/v1/namespaces/default"
        for node in WORKERS:
            page = self.controller.ask("get", "--raw", f"{place}/pods/on-{node}:8080/proxy/")
            self.assertEqual(page, f"this is on-{node}\n")
        for _ in range(5):
            page = self.controller.ask("get", "--raw", f"{place}/services/web:80/proxy/")
            self.assertIn("this is on-worker-", page)
        self.say("the API server reaches pods and a service (proxy)")

    def check_manifests(self) -> None:
        """The API server would take what is in etc/kubernetes for gotunnel itself."""
        self.controller.ask("create", "namespace", "gotunnel")
        for name in ("secret", "server", "client"):
            text = (ROOT / "etc" / "kubernetes" / f"{name}.yaml").read_text()
            self.controller.ask("apply", "--dry-run=server", "--validate=strict", "-f", "-", sent=text)
        self.say("etc/kubernetes: secret, server and client pass a dry run of the API server")

    # Time.

    def check_cut(self) -> None:
        """10 seconds without a packet. Logs that are followed may end, as streams on a silent leg are given up; what
        has come of them is whole."""
        watch = self.watch("cut")
        logs = self.launch("logs-cut", self.command("logs", "-f", "--tail=1", "on-worker-1", "-c", "count"))
        logs.wait_for(r"(?m)^line \d+$", 20)
        nat = self.machines["worker-1-nat"]
        nat.run("nft", "table ip cut {\n chain stop { type filter hook forward priority -1; policy drop; }\n}")
        time.sleep(10)
        nat.run("nft", "delete", "table", "ip", "cut")
        began = time.monotonic()
        self.exec_soon("worker-1")
        works = time.monotonic() - began
        told = self.steady(watch)
        went_on = "went on" if logs.process.poll() is None else "ended"
        logs.kill()
        numbers = [int(line.split()[1]) for line in logs.said.splitlines()]
        self.assertEqual(numbers, list(range(numbers[0], numbers[0] + len(numbers))))
        self.say(f"10 s without a packet: exec worked {works:.1f} s after them; logs -f {went_on}; {told}")

    def check_restart(self) -> None:
        """The server is killed and comes back."""
        watch = self.watch("restart")
        began = time.monotonic()
        self.server.kill()
        time.sleep(1)
        self.server = self.start_server("server-again")
        for node in WORKERS:
            self.exec_soon(node)
        works = time.monotonic() - began
        self.say(f"a server killed and back after 1 s: exec worked after {works:.1f} s; {self.steady(watch)}")

    def check_black_hole(self) -> None:
        """The paths that a worker has swallow everything from now on; new ones are free."""
        watch = self.watch("hole")
        edge, machine = self.clients["worker-1"], self.machines["worker-1"]
        lost = edge.count(LOST)
        table = [line.split() for line in output([*machine.prefix, "cat", "/proc/net/tcp"]).decode().splitlines()[1:]]
        ports = {int(line[1].partition(":")[2], 16) for line in table if line[2] == SERVER}
        self.assertTrue(ports, table)
        began = time.monotonic()
        self.machines["worker-1-nat"].run("nft", BLACK_HOLE % ", ".join(map(str, sorted(ports))))
        edge.wait_for(LOST, lost + 1)
        noticed = time.monotonic() - began
        self.exec_soon("worker-1")
        works = time.monotonic() - began
        self.assertLess(works, 20)
        self.say(
            f"a black hole: noticed after {noticed:.1f} s, exec worked again after {works:.1f} s; {self.steady(watch)}"
        )

    def watch(self, name: str) -> tuple[Program, Program]:
        """Watch how the control plane sees the nodes, and their heartbeats."""
        nodes = self.launch(f"nodes-{name}", self.command("get", "nodes", "--watch", "-o", NODE_LINE))
        words = ("get", "leases", "-n", "kube-node-lease", "--watch", "-o", LEASE_LINE)
        leases = self.launch(f"leases-{name}", self.command(*words))
        for each in (nodes, leases):
            each.wait_for("worker-2")
        return nodes, leases

    def steady(self, watch: tuple[Program, Program]) -> str:
        """Wait for two heartbeats more of each worker; see that no node was anything but Ready. Return the longest that
        each was not heard of."""
        nodes, leases = watch
        for name in WORKERS:
            leases.wait_for(f"{name} .*\n", leases.count(f"{name} .*\n") + 2, seconds=NOT_READY)
        self.assertIsNone(nodes.process.poll(), nodes.said)
        self.assertEqual(nodes.count("Unknown|False"), 0, nodes.said)
        self.assertEqual(self.ready(), dict.fromkeys(NODES, "True"))
        gaps = {}
        for name in WORKERS:
            lines = (line.split() for line in leases.said.splitlines())
            times = [datetime.datetime.fromisoformat(words[1][:26]) for words in lines if words[0] == name]
            gaps[name] = max((after - before).total_seconds() for before, after in pairwise(times))
        for each in watch:
            each.kill()
        self.assertLess(max(gaps.values()), NOT_READY)
        told = ", ".join(f"{name} {gap:.1f} s" for name, gap in gaps.items())
        return f"longest without a heartbeat: {told}; all nodes Ready all the time"

    def exec_soon(self, node: str) -> None:
        """An exec on that node works again."""
        words = ("exec", f"on-{node}", "-c", "count", "--", "echo", "here")
        self.eventually(lambda: self.kubectl(*words).out == b"here\n", f"exec works on {node}", NOT_READY)
