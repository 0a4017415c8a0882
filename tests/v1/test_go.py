"""The original Go peers themselves, where this machine has them: not needed for anything, and the last word on whether
version 1 is understood."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SkipTest

from tests.integration.base import Echo
from tests.v1.peers import V1_TOKEN
from tests.v1.stage import ServerTestCase
from tests.v1.test_client import ClientTestCase


def program(role: str) -> str:
    """Return the path of the original's program; skip the test where there is none."""
    found = os.environ.get(f"GOTUNNEL_GO_{role.upper()}") or shutil.which(f"gotunnel-go-{role}")
    if found is None:
        raise SkipTest(f"there is no gotunnel-go-{role} on PATH, nor in GOTUNNEL_GO_{role.upper()}")
    return found


class _Process:
    """One of the two programs, with its `config.yaml` in a folder of its own."""

    def __init__(self, case: Any, role: str, config: str) -> None:
        self._command = program(role)
        self._folder: Path = case.folder / role
        self._folder.mkdir(exist_ok=True)
        (self._folder / "config.yaml").write_text(config)
        self._case = case
        self._process: subprocess.Popen[bytes] | None = None
        case.addCleanup(self.kill)

    def start(self) -> None:
        """Start it (again)."""
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._command], cwd=self._folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def kill(self) -> None:
        """SIGKILL, if it runs."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


class GoClientTests(ServerTestCase):
    """The original client on our server."""

    async def test_client(self) -> None:
        """It carries visitors, follows its target down and up, and is back at once after it was killed; whoever was on
        it then is reset."""
        server = await self.v1_server()
        target, served = await self.target(Echo)
        remote = self.free_port()
        go = _Process(
            self, "client",
            f"client:\n  name: go-edge\n  token: {V1_TOKEN!r}\n  server_addr: 127.0.0.1:{server.address.port}\n"
            f"  local_ports: [{target}]\n  remote_port: {remote}\n  health_check_interval: 1\n",
        )  # fmt: skip
        go.start()
        await self.said("open at")
        for _ in range(20):
            (await self.echoes(remote)).transport.loseConnection()
        for _ in range(3):
            visitor = await self.echoes(remote)
            go.kill()
            await self.until(lambda v=visitor: v.ended, "the visitor's end")
            self.assertTrue(visitor.was_reset)
            go.start()
            await self.echoes(remote)
        self.assertEqual(sum("open at" in line for line in self.lines()), 1)
        self.assertGreater(len(served), 20)

    async def test_wrong_token(self) -> None:
        """It is told why, in words that it logs."""
        server = await self.v1_server()
        go = _Process(
            self, "client",
            f"client:\n  name: go-edge\n  token: 'wrong'\n  server_addr: 127.0.0.1:{server.address.port}\n"
            f"  local_ports: [8080]\n  remote_port: {self.free_port()}\n",
        )  # fmt: skip
        go.start()
        log = self.folder / "client" / "log"
        await self.until(lambda: b"authentication failed" in log.read_bytes(), "the reason in its log")


class GoServerTests(ClientTestCase):
    """Our client on the original server."""

    async def test_server(self) -> None:
        """Visitors are carried; the target's health closes and opens the port, again and again; the server is found
        again after a restart."""
        self.quick(first=0.1, cap=0.3)
        port, remote = self.free_port(), self.free_port()
        go = _Process(self, "server", f"server:\n  addr: 127.0.0.1:{port}\n  token: {V1_TOKEN!r}\n")
        go.start()
        target, _ = await self.target(Echo)
        client = self.v1_client(port, self.published(target, remote=remote, health={"type": "tcp", "interval": 60}))
        await self.opened(client)
        await self.until(lambda: not self.nobody_listens(remote), "it listens")  # ok comes a moment before
        await self.echoes(remote)
        watch = client.link._health._watches["web"]
        for _ in range(3):
            watch._changed("web", False, "gone")
            await self.until(lambda: self.nobody_listens(remote), "the port is closed")
            watch._changed("web", True, "back")
            await self.until(lambda: not self.nobody_listens(remote), "the port is open")
            await self.echoes(remote)
        go.kill()
        await self.until(lambda: self.nobody_listens(remote), "the port is gone")
        go.start()
        await self.until(lambda: not self.nobody_listens(remote), "the port is open again")
        await self.echoes(remote)

    async def test_version_2(self) -> None:
        """Our client in version 2 sends it no token, and says what it is."""
        self.quick_link()
        port = self.free_port()
        go = _Process(self, "server", f"server:\n  addr: 127.0.0.1:{port}\n  token: {V1_TOKEN!r}\n")
        go.start()
        self.client(port, self.published(8080), tls={"mode": "off"})
        await self.said("the server speaks version 1 of the protocol")
