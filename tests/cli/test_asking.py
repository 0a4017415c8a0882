"""Which processes a command asks."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

from gotunnel.cli.main import main
from gotunnel.cli.running import asking, status
from gotunnel.cli.running.asking import Unasked, Where, found
from tests.cli.runner import Runner
from tests.config.files import CLIENT, SERVER, FileTestCase


class FoundTests(FileTestCase):
    """Sockets of processes of this machine, in folders of the test's own."""

    def setUp(self) -> None:
        super().setUp()
        self.folders = {name: self.folder / name for name in ("state", "runtime", "system")}
        for folder in self.folders.values():
            folder.mkdir()
        self.patch(asking, "FOLDERS", (str(self.folders["system"]),))
        self.config = str(self.write(SERVER + CLIENT.replace("client:\n", "client:\n  local_ports: [1]\n")))

    def listen(self, folder: str, name: str = "gotunnel-server.sock") -> str:
        """Listen on a socket, as a role does, until the test ends."""
        path = self.folders[folder] / name
        listening = socket.socket(socket.AF_UNIX)
        self.addCleanup(listening.close)
        with asking.reachable(str(path)) as short:
            listening.bind(short)
        listening.listen()
        return str(path)

    def asked(self, where: Where, **env: Path) -> list[str]:
        """Return the sockets that are asked; the state folder by default is one where nothing is."""
        known = {name: str(value) for name, value in env.items()}
        self.patch(asking, "state_path", lambda chosen, env=None: Path(chosen or self.folder / "none"))
        try:
            return [process.path for process in found(where, known)]
        except Unasked:
            return []

    def test_state_alone(self) -> None:
        """Who names a state folder does not mean the process of the system, whether a file is named, too, or not."""
        system = self.listen("system")
        state = str(self.folders["state"])
        for config in (None, self.config):
            self.assertEqual(self.asked(Where(config=config)), [system])
            self.assertEqual(self.asked(Where(config=config, state=state)), [], config)
        mine = self.listen("state")
        for config in (None, self.config):
            self.assertEqual(self.asked(Where(config=config, state=state)), [mine])

    def test_ready_with_client(self) -> None:
        """Where both roles run, the server is asked about the client that is named, and the client about itself."""
        asked: list[tuple[str, str]] = []

        class Both:
            def __init__(self, role: str) -> None:
                self.role = role

            def get(self, path: str, **query: str) -> dict[str, Any]:
                if path == "/v1/status":
                    return {"role": {"role": self.role}}
                asked.append((self.role, query.get("client", "")))
                if "client" in query and self.role == "client":
                    raise Unasked("/readyz does not know client; it takes nothing")
                return {"ready": True, "findings": []}

        for roles, expected, code in (
            (("server", "client"), [("server", "w1"), ("client", "")], 0), (("server",), [("server", "w1")], 0),
            (("client",), [("client", "w1")], 1), (("client", "client"), [("client", "w1")], 1),
        ):  # fmt: skip
            asked.clear()
            self.patch(status, "found", lambda *where, roles=roles, **more: [Both(role) for role in roles])
            done = Runner().invoke(main, ["status", "--ready", "--client", "w1"])
            self.assertEqual((done.exit_code, asked), (code, expected), done.output)

    def test_runtime_directory(self) -> None:
        """The folder that systemd, or a container, has given the process is looked at, too."""
        mine = self.listen("runtime", "gotunnel-client-edge-07.sock")
        for config in (None, self.config):
            self.assertEqual(self.asked(Where(config=config)), [])
            self.assertEqual(self.asked(Where(config=config), RUNTIME_DIRECTORY=self.folders["runtime"]), [mine])
