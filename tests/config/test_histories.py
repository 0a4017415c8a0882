"""Two histories in one file would count each visitor twice: that is refused, at a start, at a reload and by `check`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from gotunnel.errors import ConfigError
from gotunnel.tap.client import CLIENT
from gotunnel.tap.server import SERVER

from .files import TOKEN

CURE = "each visitor would count twice; name another file, or remove one of the two"


class HistoryFileTests(SynchronousTestCase):
    """Files of both roles, read as a start and a reload read them."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        self.state = self.folder / "state"
        self.state.mkdir(parents=True)

    def load(self, role: Any, section: dict[str, Any]) -> Any:
        """Read a file that says this."""
        path = self.folder / "config.yaml"
        own = {"server": {}, "client": {"name": "edge", "server_addr": "h", "local_ports": [1]}}[role.program[9:]]
        path.write_text(json.dumps({role.program[9:]: {"token": TOKEN, **own, **section}}))
        return role.load(str(path), self.state)

    def refused(self, role: Any, section: dict[str, Any]) -> list[str]:
        """It is; return what is said."""
        error: Any = self.assertRaises(ConfigError, self.load, role, section)
        return [str(problem).removeprefix(f"{self.folder}/config.yaml: ") for problem in error.problems]

    def observers(self, *files: str | Path) -> list[dict[str, str]]:
        """Return a `usage` for each file."""
        return [{"plugin": "usage", "file": str(file)} for file in files]

    def test_default(self) -> None:
        """The file that a role keeps in its state folder, by another name of it, too; each role has its own."""
        (self.folder / "link").symlink_to(self.state)
        for role, name in ((SERVER, "usage-server.db"), (CLIENT, "usage-client-edge.db")):
            word = role.program[9:]
            for path in (self.state / name, self.folder / "link" / name, "state/../state/" + name):
                shown = self.folder / path
                said = self.refused(role, {"observers": ["metrics", *self.observers(path)]})
                self.assertEqual(
                    said, [f"{word}.observers[1].file: {shown} is the file of {word}.usage already: {CURE}"]
                )
        self.load(SERVER, {"observers": self.observers(self.state / "usage-client-edge.db")})

    def test_named(self) -> None:
        """The one that `usage` names; what is in the state folder is nobody's then."""
        usage = {"usage": {"file": "mine.db"}}
        said = self.refused(SERVER, {**usage, "observers": self.observers("mine.db")})
        self.assertEqual(len(said), 1)
        self.load(SERVER, {**usage, "observers": self.observers(self.state / "usage-server.db")})

    def test_two_observers(self) -> None:
        """Two of them, each further one named; without the history that a role keeps anyway its file is free."""
        said = self.refused(SERVER, {"observers": self.observers("a.db", "b.db", "a.db", "b.db")})
        self.assertEqual(said, [
            f"server.observers[2].file: {self.folder}/a.db is the file of server.observers[0] already: {CURE}",
            f"server.observers[3].file: {self.folder}/b.db is the file of server.observers[1] already: {CURE}",
        ])  # fmt: skip
        self.load(SERVER, {"usage": False, "observers": self.observers(self.state / "usage-server.db")})
