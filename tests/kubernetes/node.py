"""A machine of the cluster: containerd with Debian's CNI plugins, and a kubelet that kubeadm has set up. The control
plane is one as well; what it has more is in its static pods."""

from __future__ import annotations

import json
import re
from pathlib import Path

from twisted.trial.unittest import SkipTest

from tests.e2e.program import need
from tests.kubernetes.machines import Host
from tests.processes import ROOT

__all__ = ["ADMIN", "API", "NAME", "PATCHES", "Node"]

API = "10.255.0.1"
"""The address that the API server advertises. All machines have it: on the workers gotunnel's client listens there."""
NAME = "tunnel.example.com"
"""The name in the API server's certificate."""
ADMIN = "/etc/kubernetes/admin.conf"
PATCHES = "/etc/kubernetes/patches"

_CNI = "/usr/lib/cni"
"""Where Debian's containernetworking-plugins are."""
_CONTAINERD = f"""\
version = 2
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "registry.k8s.io/pause:3.10.2"
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{_CNI}"
"""
_KUBELET = """\
serverTLSBootstrap: true
failSwapOn: false
# For a machine with cgroup v1, which several kubelets share.
failCgroupV1: false
cgroupDriver: cgroupfs
cgroupsPerQOS: false
enforceNodeAllocatable: []
"""
_VERIFY = """\
- op: add
  path: /spec/containers/0/command/-
  value: --kubelet-certificate-authority=/etc/kubernetes/pki/ca.crt
"""
_FLAGS = "/var/lib/kubelet/kubeadm-flags.env"
_KUBECONFIG = "/etc/kubernetes/kubelet.conf"


class Node:
    """What runs on one machine; `address` is that of its node, `folder` has the programs of Kubernetes."""

    def __init__(self, host: Host, address: str, folder: Path) -> None:
        self.host = host
        self.name = host.name
        self.address = address
        self._folder = folder

    def containerd(self) -> tuple[str, ...]:
        """Return the command of the container runtime."""
        if not Path(_CNI, "bridge").exists():  # pods would wait for a network, for minutes
            raise SkipTest("the plugins of CNI are not installed: apt install containernetworking-plugins")
        self.host.write("/etc/containerd/config.toml", _CONTAINERD)
        return (*self.host.prefix, need("containerd"))

    def load(self, images: Path) -> None:
        """Give the runtime its images."""
        self.host.run("ctr", "--namespace", "k8s.io", "images", "import", str(images))

    def kubeadm(self, *words: str) -> tuple[str, ...]:
        """Return the command that sets up this node. It waits for a kubelet; there is no systemd to start one."""
        # It would look at modules, swap and units, which this machine shares with the others or has not.
        more = ("--node-name", self.name, "--patches", PATCHES, "--ignore-preflight-errors", "all")
        return (*self.host.prefix, str(self._folder / "kubeadm"), *words, *more)

    def patches(self, *, egress: bool = False, alone: bool = False) -> None:
        """Write what kubeadm is to change: the kubelet's settings, and for a control plane with an egress selector the
        files of etc/kubernetes. `alone`: the kubelet listens on no other address than its node's."""
        address = f"address: {self.address}\n" if alone else ""
        self.host.write(f"{PATCHES}/kubeletconfiguration0+merge.yaml", _KUBELET + address)
        self.host.write(f"{PATCHES}/kube-apiserver1+json.yaml", _VERIFY)
        if egress:
            ours = ROOT / "etc" / "kubernetes"
            name = "kube-apiserver0+json.yaml"
            self.host.write(f"{PATCHES}/{name}", (ours / "patches" / name).read_text())
            self.host.run("install", "-m", "600", str(ours / "egress-selector.yaml"), "/etc/kubernetes/")

    @property
    def configured(self) -> bool:
        """Whether kubeadm has come to the kubelet's start."""
        return bool(self.host.read(_FLAGS))

    def kubelet(self) -> tuple[str, ...]:
        """Return the command of the kubelet, as kubeadm's unit has it, with KUBELET_EXTRA_ARGS=--node-ip=…"""
        flags = re.sub(r'^KUBELET_KUBEADM_ARGS="?|"?\s*$', "", self.host.read(_FLAGS))
        return (
            *self.host.prefix, str(self._folder / "kubelet"),
            "--bootstrap-kubeconfig=/etc/kubernetes/bootstrap-kubelet.conf", f"--kubeconfig={_KUBECONFIG}",
            "--config=/var/lib/kubelet/config.yaml", *flags.split(), f"--node-ip={self.address}",
        )  # fmt: skip

    def network(self, pods: str) -> None:
        """Give the pods of this node a network: that of CNI's bridge, which ends at the machine."""
        bridge = {
            "type": "bridge", "bridge": "cni0", "isGateway": True, "ipMasq": True,
            "ipam": {"type": "host-local", "ranges": [[{"subnet": pods}]], "routes": [{"dst": "0.0.0.0/0"}]},
        }  # fmt: skip
        plugins = {"cniVersion": "0.4.0", "name": "pods", "plugins": [bridge]}
        self.host.write("/etc/cni/net.d/10-pods.conflist", json.dumps(plugins))

    def proxy(self) -> tuple[str, ...]:
        """Return the command of kube-proxy."""
        return (
            *self.host.prefix, str(self._folder / "kube-proxy"), f"--kubeconfig={_KUBECONFIG}", "--proxy-mode=nftables",
            f"--hostname-override={self.name}", "--conntrack-max-per-core=0", "--conntrack-tcp-timeout-established=0s",
            "--conntrack-tcp-timeout-close-wait=0s",
        )  # fmt: skip

    # The control plane.

    def kubectl(self, *words: str) -> tuple[str, ...]:
        """Return the words that run kubectl on this machine, as they stand behind its prefix."""
        return (str(self._folder / "kubectl"), "--kubeconfig", ADMIN, *words)

    def ask(self, *words: str, sent: str = "") -> str:
        """Run kubectl, which must succeed."""
        return self.host.run(*self.kubectl(*words), sent=sent)

    def join_words(self) -> list[str]:
        """Return what a worker says to join, behind `kubeadm`."""
        words = self.host.run(str(self._folder / "kubeadm"), "token", "create", "--print-join-command")
        return words.split()[1:]
