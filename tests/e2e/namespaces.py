"""Machines for tests: network namespaces on one wire, where all ports and addresses are ours alone."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass

from twisted.trial.unittest import SkipTest

from tests.e2e.harness import need
from tests.processes import ProcessTestCase

__all__ = ["Machine", "homes", "machines"]


@dataclass(frozen=True)
class Machine:
    """A network namespace. A command behind `prefix` runs in it."""

    address: str
    prefix: tuple[str, ...]
    holder: str = ""
    """The process that keeps it."""

    def run(self, *command: str) -> None:
        """Run a command that must succeed."""
        done = subprocess.run([*self.prefix, *command], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise AssertionError(f"{' '.join(command)}: {done.stderr}")


def machines(case: ProcessTestCase, *addresses: str) -> list[Machine]:
    """Make a machine for each address, all on one network; skip the test where that is not allowed.

    They are gone when the processes that hold them are, which is at the end of the test.
    """
    need("unshare", "util-linux")
    need("nsenter", "util-linux")
    need("ip", "iproute2")
    user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    switch = _hold(case, "unshare", *user, "--net")
    enter = ["nsenter", *(["--user", "--preserve-credentials"] if user else []), "--net", "--target"]
    bridge = Machine("", (*enter, str(switch)))
    bridge.run("ip", "link", "add", "wire", "type", "bridge")
    bridge.run("ip", "link", "set", "wire", "up")
    found = []
    for number, address in enumerate(addresses):
        holder = _hold(case, *bridge.prefix, "unshare", "--net")
        machine = Machine(address, (*enter, str(holder)), str(holder))
        bridge.run(
            "ip", "link", "add", f"port{number}", "type", "veth", "peer", "name", "eth0", "netns", str(holder)
        )
        bridge.run("ip", "link", "set", f"port{number}", "master", "wire", "up")
        machine.run("ip", "address", "add", f"{address}/24", "dev", "eth0")
        machine.run("ip", "link", "set", "eth0", "up")
        machine.run("ip", "link", "set", "lo", "up")
        found.append(machine)
    return found


def homes(case: ProcessTestCase, public: str, names: Mapping[str, str]) -> dict[str, Machine]:
    """Make a machine "public" and, for each name, a home: a machine of that name with the address 10.N.0.2 on a wire of
    its own, N counted from 1, and a router "NAME-nat" with 10.N.0.1 there and the given address on the public wire,
    which lets nobody in. Skips where that is not allowed."""
    need("nft", "nftables")
    routers = machines(case, public, *names.values())
    found = dict(zip(["public", *(f"{name}-nat" for name in names)], routers, strict=True))
    for number, name in enumerate(names, 1):
        nat = found[f"{name}-nat"]
        (inside,) = machines(case, f"10.{number}.0.2")
        nat.run("ip", "link", "add", "home", "type", "veth", "peer", "name", "eth1", "netns", inside.holder)
        nat.run("ip", "address", "add", f"10.{number}.0.1/30", "dev", "home")
        nat.run("ip", "link", "set", "home", "up")
        nat.run("sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward")
        nat.run("nft", _NAT)
        inside.run("ip", "address", "flush", "dev", "eth0")
        inside.run("ip", "address", "add", f"10.{number}.0.2/30", "dev", "eth1")
        inside.run("ip", "link", "set", "eth1", "up")
        inside.run("ip", "route", "add", "default", "via", f"10.{number}.0.1")
        found[name] = inside
    return found


_NAT = """
table ip home {
  chain out { type nat hook postrouting priority 100; oifname "eth0" masquerade; }
  chain in { type filter hook forward priority 0; iifname "eth0" ct state new drop; }
}
"""


def _hold(case: ProcessTestCase, *command: str) -> int:
    """Start a process that keeps a namespace alive until the test ends; return its id."""
    process = subprocess.Popen(
        [*command, "sh", "-c", "echo ready; exec cat"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )

    def end() -> None:
        process.kill()
        process.communicate()

    case.addCleanup(end)
    assert process.stdout is not None and process.stderr is not None
    if process.stdout.readline() != "ready\n":
        raise SkipTest(f"network namespaces are not allowed here: {process.stderr.read().strip()}")
    return process.pid
