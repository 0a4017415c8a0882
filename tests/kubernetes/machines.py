"""Machines of a cluster: a network namespace with file system, processes and host name of its own, so that kubeadm,
kubelet and containerd find the paths that they expect and leave nothing behind."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.namespaces import Machine
from tests.processes import DEADLINE, ProcessTestCase

__all__ = ["Host", "child", "settle"]

_SETTLE = """
set -e
mount --make-rprivate /
mount -t tmpfs room {folder}
for name in etc opt var; do
  mkdir -p {folder}/$name {folder}/$name.work
  mount -t overlay room -o lowerdir=/$name,upperdir={folder}/$name,workdir={folder}/$name.work /$name
done
mount -t tmpfs run /run
mkdir -p /run/lock /run/gotunnel /var/lib/kubelet /var/lib/containerd /var/lib/etcd /etc/kubernetes
mount -t tmpfs data /var/lib/kubelet
mount -t tmpfs data /var/lib/containerd
mount --make-rshared /
hostname {name}
printf "{names}" > /etc/hosts
{addresses}
echo ready
exec cat
"""


@dataclass(frozen=True)
class Host:
    """A machine. A command behind `prefix` runs on it."""

    name: str
    prefix: tuple[str, ...]

    def run(self, *command: str, sent: str = "") -> str:
        """Run a command that must succeed; return what it prints."""
        done = subprocess.run(
            [*self.prefix, *command], input=sent, capture_output=True, text=True, check=False, timeout=300
        )
        if done.returncode != 0:
            raise AssertionError(f"{self.name}: {' '.join(command)[:300]}: {done.stdout[-2000:]}{done.stderr[-4000:]}")
        return done.stdout

    def write(self, path: str, text: str) -> None:
        """Write a file of this machine."""
        self.run("sh", "-c", 'mkdir -p "$(dirname "$1")" && umask 077 && cat > "$1"', "sh", path, sent=text)

    def read(self, path: str) -> str:
        """Return a file of this machine; "" while it is not there."""
        done = subprocess.run([*self.prefix, "cat", path], capture_output=True, text=True, check=False)
        return done.stdout


def settle(
    case: ProcessTestCase, machine: Machine, name: str, folder: Path, addresses: Iterable[str], names: Mapping[str, str]
) -> Host:
    """Give a network namespace what else a machine has, addresses of its own, and names with their addresses. All that
    runs there ends when the test does."""
    folder.mkdir()
    lines = [f"{address} {host}" for host, address in {"localhost": "127.0.0.1", name: "127.0.0.1", **names}.items()]
    script = _SETTLE.format(
        folder=folder, name=name, names="\\n".join([*lines, ""]),
        addresses="\n".join(f"ip address add {each}/32 dev lo" for each in addresses),
    )  # fmt: skip
    process = subprocess.Popen(
        [
            *machine.prefix, "unshare", "--mount", "--uts", "--ipc", "--pid", "--fork", "--kill-child", "--mount-proc",
            "sh", "-c", script,
        ],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip

    def end() -> None:
        process.kill()
        process.communicate()

    case.addCleanup(end)
    assert process.stdout is not None
    if process.stdout.readline() != "ready\n":
        raise AssertionError(f"{name} cannot be made: this takes root, and a kernel with overlay file systems")
    inside = child(process.pid)
    return Host(name, ("nsenter", "--mount", "--uts", "--ipc", "--net", "--pid", "--target", str(inside)))


def child(parent: int) -> int:
    """Return the process that another one has started: behind `nsenter` and `unshare` that is the one that counts."""
    deadline = time.monotonic() + DEADLINE
    while time.monotonic() < deadline:
        children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
        if children:
            return int(children[0])
    raise AssertionError("no process in the namespace")
