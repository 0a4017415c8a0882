"""The other layouts of docs/en/kubernetes.md, as far as nodes that are Ready and what works and what does not.

    make kubernetes TESTS=tests.kubernetes.ways
"""

from __future__ import annotations

from tests.kubernetes.node import NAME, PATCHES
from tests.kubernetes.stage import FOLDER, HOMES, NODES, PUBLIC, WORKERS, ClusterCase

UPGRADE = ("upgrade", "node", "--patches", PATCHES, "--ignore-preflight-errors", "all")


class PublicPortTests(ClusterCase):
    """Plan 1, way A: the API server on a port of the public server, and nothing for the other direction."""

    names = {NAME: PUBLIC}
    egress = False

    def test_way_a(self) -> None:
        """Workers join and are Ready; logs are not there, as nothing leads to their kubelets. They are when the running
        control plane gets an egress selector, and the clients what belongs to it."""
        rights = {name: {"allow_nodes": [name, NODES[name]], "allow_dial": ["nodes:10250"]} for name in NODES}
        clients = [{"name": name, "token": self.tokens[name], **rights[name]} for name in NODES]
        section = {"addr": "0.0.0.0:17000", "allow_ports": [6443], "allow_plain_legs": True, "clients": clients}
        self.begin("server", "server", "public", section, "server listening")
        mapping = {"name": "apiserver", "local": "127.0.0.1:6443", "remote": 6443, "encrypt": False}
        self.start_client("controller", {"profile": "default", "mappings": [mapping]})
        self.start_control_plane()
        self.start_workers()
        pod = self.start_pod()
        said = self.kubectl("logs", pod, "--request-timeout=10s")
        self.assertNotEqual(said.code, 0)
        self.say(f"no logs without a way to kubelets: {said.err.strip()[:200]}")
        nodes = {name: [{"match": [name, NODES[name]], "allow_ports": [10250], "dial": "127.0.0.1"}] for name in NODES}
        egress = {"listen": "unix:/run/gotunnel/egress.sock"}
        self.change_client("controller", {"mappings": [mapping], "nodes": nodes["controller"], "egress": egress})
        for name in WORKERS:
            self.start_client(name, {"nodes": nodes[name]})
        self.controller.patches(egress=True)
        self.controller.host.run(str(FOLDER / "kubeadm"), *UPGRADE)
        self.eventually(lambda: self.controller.ask("logs", pod) == "here\n", "its logs")
        self.say("kubeadm upgrade node has given the control plane its egress selector: kubectl logs works")


class BothDirectionsTests(ClusterCase):
    """Plan 2: the server on the control plane, whose router forwards its port, and each kubelet on an address there."""

    names = {NAME: HOMES["controller"]}
    egress = False
    api_port = 16443
    alone = True  # else its kubelet has port 10250 of the workers' addresses as well

    def test_plan_2(self) -> None:
        """Workers join and are Ready, and the API server reaches their kubelets by the addresses of their nodes."""
        host = self.controller.host
        host.write("/etc/hosts", f"127.0.0.1 localhost {NAME}\n{NODES['controller']} controller\n")
        for name in WORKERS:
            host.run("ip", "address", "add", f"{NODES[name]}/32", "dev", "lo")
        self.machines["controller-nat"].run("nft", _FORWARDED)
        clients = [{"name": name, "token": self.tokens[name]} for name in NODES]
        section = {"addr": "0.0.0.0:17000", "allow_ports": [16443, 10250], "clients": clients}
        self.begin("server", "server", "controller", section, "server listening")
        local = {"profile": "default", "server_addr": "127.0.0.1:17000"}
        mapping = {"name": "apiserver", "local": "127.0.0.1:6443", "remote": 16443}
        self.start_client("controller", local | {"mappings": [mapping]})
        self.start_control_plane()
        for name in WORKERS:
            kubelet = {"name": "kubelet", "local": "127.0.0.1:10250", "remote": f"{NODES[name]}:10250"}
            server = f"{HOMES['controller']}:17000"
            self.start_client(name, {"profile": "default", "server_addr": server, "mappings": [kubelet]})
        self.start_workers()
        pod = self.start_pod()
        self.eventually(lambda: self.controller.ask("logs", pod) == "here\n", "its logs")
        self.assertEqual(self.controller.ask("exec", pod, "--", "echo", "there"), "there\n")
        self.say("kubectl logs and exec, by an address for each kubelet")


_FORWARDED = """
table ip forwarded {
  chain to_home { type nat hook prerouting priority -100; iifname "eth0" tcp dport { 17000, 16443 } dnat to 10.1.0.2; }
}
insert rule ip home in iifname "eth0" ct status dnat accept
"""
