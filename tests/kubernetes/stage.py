"""The cluster of the check: a control plane and two workers, each behind NAT, and a public gotunnel server between
them. What is done to it is not decided here."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SkipTest

from tests.e2e.harness import FORBIDDEN, Program, TunnelTestCase, need
from tests.e2e.namespaces import homes
from tests.kubernetes.build import ETCD, KUBERNETES, PROGRAMS
from tests.kubernetes.images import BUSYBOX, archive
from tests.kubernetes.machines import child, settle
from tests.kubernetes.node import API, NAME, Node

__all__ = ["FOLDER", "NODES", "PODS", "PUBLIC", "SERVICES", "WORKERS", "ClusterCase", "Said"]

FOLDER = Path(os.environ.get("KUBERNETES_BIN", "build/kubernetes")).absolute()
"""Where the programs are."""
PUBLIC = "203.0.113.1"
HOMES = {"controller": "203.0.113.2", "worker-1": "203.0.113.3", "worker-2": "203.0.113.4"}
NODES = {"controller": "10.200.0.10", "worker-1": "10.200.0.11", "worker-2": "10.200.0.12"}
"""Addresses of the nodes, which nobody but themselves has."""
WORKERS = ("worker-1", "worker-2")
PODS, SERVICES = "10.244.0.0/16", "10.96.0.0/12"
SLOW = 300.0
"""Seconds that a start may take on a busy machine."""


class Said:
    """What a command said that has ended."""

    def __init__(self, done: subprocess.CompletedProcess[bytes]) -> None:
        self.code, self.out, self.err = done.returncode, done.stdout, done.stderr.decode(errors="replace")


class ClusterCase(TunnelTestCase):
    """Its machines, and how Kubernetes is started on them: with an egress selector or without, and its API server
    called by NAME, which `names` leads somewhere, and `api_port`."""

    names = {NAME: API}
    egress = True
    api_port = 6443
    alone = False
    """Whether the control plane's kubelet listens on one address only."""

    def setUp(self) -> None:
        super().setUp()
        missing = [name for name in PROGRAMS if not (FOLDER / name).exists()]
        if missing or os.geteuid() != 0:
            raise SkipTest(f"this takes root, and {', '.join(missing) or 'nothing'} in {FOLDER}: make kubernetes")
        self.began = time.monotonic()
        self._keep_sysctls()
        self.machines = homes(self, PUBLIC, HOMES)
        self.nodes: dict[str, Node] = {}
        for name, address in NODES.items():
            mine = (address, API)
            room = self.folder / f"room-{name}"
            host = settle(self, self.machines[name], name, room, mine, self.names | {name: address})
            self.nodes[name] = Node(host, address, FOLDER)
        self.controller = self.nodes["controller"]
        self.workers = [self.nodes[name] for name in WORKERS]
        self.tokens = {name: os.urandom(24).hex() for name in NODES}
        self.clients: dict[str, Program] = {}

    def _keep_sysctls(self) -> None:
        """A kubelet sets some of the kernel's, which all namespaces share."""
        for name in ("vm/overcommit_memory", "vm/panic_on_oom", "kernel/panic", "kernel/panic_on_oops",
                     "kernel/keys/root_maxkeys", "kernel/keys/root_maxbytes"):  # fmt: skip
            path = Path("/proc/sys") / name
            self.addCleanup(path.write_text, path.read_text())

    def say(self, words: str) -> None:
        """Tell what was done, and when."""
        print(f"{time.monotonic() - self.began:6.1f} s  {words}", file=sys.stderr, flush=True)

    # Kubernetes.

    def start_control_plane(self) -> None:
        """kubeadm init."""
        node, images = self.controller, self.folder / "control-plane.tar"
        node.patches(egress=self.egress, alone=self.alone)
        parts = ("kube-apiserver", "kube-controller-manager", "kube-scheduler")
        programs: dict[str, Path | None] = {
            f"registry.k8s.io/{part}:v{KUBERNETES}": FOLDER / part for part in parts
        }
        programs |= {f"registry.k8s.io/etcd:{ETCD}-0": FOLDER / "etcd", "registry.k8s.io/pause:3.10.2": None}
        archive(images, Path(need("busybox", "busybox-static")), programs)
        self._containerd(node, images)
        # The add-ons need images that cannot be made by hand.
        init = self.launch("init", node.kubeadm(
            "init", "--control-plane-endpoint", f"{NAME}:{self.api_port}", "--apiserver-cert-extra-sans", NAME,
            "--apiserver-advertise-address", API, "--pod-network-cidr", PODS, "--kubernetes-version", f"v{KUBERNETES}",
            "--skip-phases", "addon/kube-proxy,addon/coredns",
        ))  # fmt: skip
        self._kubelet(node)
        init.wait_for("Your Kubernetes control-plane has initialized successfully!", seconds=SLOW)
        node.ask("create", "clusterrolebinding", "proxies", "--clusterrole=system:node-proxier", "--group=system:nodes")
        self._network(node)
        self.say("kubeadm init has ended well")

    def start_workers(self) -> None:
        """kubeadm join, through the tunnel."""
        images = self.folder / "worker.tar"
        archive(images, Path(need("busybox")), {BUSYBOX: None, "registry.k8s.io/pause:3.10.2": None})
        words = self.controller.join_words()
        joining = []
        for node in self.workers:
            node.patches()
            self._containerd(node, images)
            joining.append(self.launch(f"join-{node.name}", node.kubeadm(*words)))
        for node in self.workers:
            self._kubelet(node)
        for program in joining:
            program.wait_for("This node has joined the cluster", seconds=SLOW)
        self.say(f"kubeadm {' '.join(words[:2])} … has ended well on both workers")
        for node in self.workers:
            self._network(node)
            self.launch(f"kube-proxy-{node.name}", node.proxy())
        self.eventually(self._certificates, "the kubelets have their serving certificates")
        self.eventually(lambda: self.ready() == dict.fromkeys(NODES, "True"), "the nodes are Ready")
        for line in self.controller.ask("get", "nodes", "-o", "wide").splitlines():
            self.say(line)

    def _containerd(self, node: Node, images: Path) -> None:
        self.launch(f"containerd-{node.name}", node.containerd()).wait_for("containerd successfully booted")
        node.load(images)

    def _kubelet(self, node: Node) -> None:
        self.eventually(lambda: node.configured, f"kubeadm has configured {node.name}")
        self.launch(f"kubelet-{node.name}", node.kubelet())

    def _network(self, node: Node) -> None:
        words = ("get", "node", node.name, "-o", "jsonpath={.spec.podCIDR}")
        self.eventually(lambda: bool(self.controller.ask(*words)), "it has a network for pods")
        node.network(self.controller.ask(*words))

    def _certificates(self) -> bool:
        """Sign what the kubelets ask for (serverTLSBootstrap): nobody does by himself."""
        asked = json.loads(self.controller.ask("get", "csr", "-o", "json"))["items"]
        serving = [each for each in asked if each["spec"]["signerName"] == "kubernetes.io/kubelet-serving"]
        for each in serving:
            if not each["status"].get("conditions"):
                self.controller.ask("certificate", "approve", each["metadata"]["name"])
        signed = {each["spec"]["username"] for each in serving if each["status"].get("certificate")}
        return len(signed) == len(self.nodes)

    def ready(self) -> dict[str, str]:
        """Return the Ready condition of each node."""
        nodes = json.loads(self.controller.ask("get", "nodes", "-o", "json"))["items"]
        return {
            node["metadata"]["name"]: each["status"]
            for node in nodes
            for each in node["status"]["conditions"]
            if each["type"] == "Ready"
        }

    def start_pod(self) -> str:
        """Start a pod on the first worker that says something once; return its name."""
        spec = {"nodeName": WORKERS[0], "containers": [{"name": "one", "image": BUSYBOX}]}
        spec["containers"][0]["command"] = ["sh", "-c", "echo here; exec sleep 1000"]  # type: ignore[index]
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "one"}, "spec": spec}
        self.controller.ask("apply", "-f", "-", sent=json.dumps(pod))
        self.controller.ask("wait", "--for=condition=Ready", "pod", "one", "--timeout=120s")
        return "one"

    def command(self, *words: str, **more: str) -> tuple[str, ...]:
        """Return a command that runs kubectl on the control plane; `more` adds to its environment."""
        environment = (f"{key}={value}" for key, value in more.items())
        return (*self.controller.host.prefix, "env", *environment, *self.controller.kubectl(*words))

    def kubectl(self, *words: str, sent: bytes = b"", seconds: float = 120, **more: str) -> Said:
        """Run kubectl on the control plane, whatever comes of it."""
        command = self.command(*words, **more)
        return Said(subprocess.run(command, input=sent, capture_output=True, timeout=seconds, check=False))

    def eventually(self, condition: Callable[[], object], what: str, seconds: float = SLOW) -> None:
        """Wait for a condition that may fail meanwhile."""
        end = time.monotonic() + seconds
        while True:
            try:
                if condition():
                    return
                wrong = "not yet"
            except (AssertionError, subprocess.TimeoutExpired) as failed:
                wrong = str(failed)
            if time.monotonic() > end:
                self.fail(f"not in {seconds:.0f} s: {what}: {wrong}")
            time.sleep(0.2)

    # gotunnel.

    def begin(self, role: str, name: str, where: str, section: dict[str, Any], word: str) -> Program:
        """Start a role on a machine, and wait for a line of its log."""
        path = self.write(f"{name}.yaml", {role: section})
        path.chmod(0o600)
        prefix = self.nodes[where].host.prefix if where in self.nodes else self.machines[where].prefix
        program = self.role(role, ["--config", path], name=f"ours-{name}", prefix=prefix)
        program.wait_for(word)
        return program

    def start_client(self, name: str, section: dict[str, Any]) -> None:
        """Start the client of a machine."""
        section = self.common(name) | section
        self.clients[name] = self.begin("client", f"client-{name}", name, section, r"\[info\] connected to the server")

    def change_client(self, name: str, section: dict[str, Any]) -> None:
        """Let a client's file say something else while it runs."""
        self.write(f"client-{name}.yaml", {"client": self.common(name) | section})
        os.kill(child(self.clients[name].pid), signal.SIGHUP)
        self.clients[name].wait_for("configuration read again")

    def common(self, name: str) -> dict[str, Any]:
        """Return what every client of ours has."""
        return {
            "name": name, "token": self.tokens[name], "server_addr": f"{PUBLIC}:17000", "profile": "kubernetes"
        }  # fmt: skip

    def _search_logs(self) -> None:
        """See TunnelTestCase; what Kubernetes logs is its own business."""
        for path in sorted(self.folder.glob("ours-*.log")):
            text = path.read_text(errors="backslashreplace")
            self.assertIsNone(FORBIDDEN.search(text), f"{path.name}: {text[-4000:]}")
            self.assertFalse([token for token in self.tokens.values() if token in text], path.name)


def output(command: Sequence[str]) -> bytes:
    """Run a command; return what it prints."""
    return subprocess.run(command, capture_output=True, check=False, timeout=60).stdout


def conversation(command: Sequence[str], sent: bytes) -> bytes:
    """Say a line to a command, return the line that it says, and end it."""
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(sent)
        process.stdin.flush()
        heard = process.stdout.readline()
        process.kill()
    return heard
