"""Machines for tests: network namespaces on one wire, where all ports and addresses are ours alone."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass

from twisted.trial.unittest import SkipTest

from tests.e2e.harness import need
from tests.processes import ProcessTestCase

__all__ = ["Machine", "machines"]


@dataclass(frozen=True)
class Machine:
    """A network namespace. A command behind `prefix` runs in it."""

    address: str
    prefix: tuple[str, ...]

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
        machine = Machine(address, (*enter, str(holder)))
        bridge.run(
            "ip", "link", "add", f"port{number}", "type", "veth", "peer", "name", "eth0", "netns", str(holder)
        )
        bridge.run("ip", "link", "set", f"port{number}", "master", "wire", "up")
        machine.run("ip", "address", "add", f"{address}/24", "dev", "eth0")
        machine.run("ip", "link", "set", "eth0", "up")
        machine.run("ip", "link", "set", "lo", "up")
        found.append(machine)
    return found


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
