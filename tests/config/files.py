"""Configuration files for tests: written into a folder of the test's own, then loaded."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from gotunnel.config.load import load
from gotunnel.config.model import ClientConfig, File
from gotunnel.errors import ConfigError, Problem

TOKEN = "7f3a9c51e8d24b60af17c3925be8d046"
OTHER_TOKEN = "c94e01b7d6f85a2338e07b1f6ad95c42"

SERVER = f'server:\n  token: "{TOKEN}"\n'
CLIENT = f'client:\n  name: edge-07\n  token: "{TOKEN}"\n  server_addr: "tunnel.example.com:17000"\n'


class FileTestCase(SynchronousTestCase):
    """Writes files into a folder of the test's own, and loads them."""

    def setUp(self) -> None:
        """Make the folder."""
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()

    def write(self, text: str | bytes, name: str = "config.yaml") -> Path:
        """Write a file with mode 0600 and return its path."""
        path = self.folder / name
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        path.chmod(0o600)
        return path

    def load(self, text: str | bytes, env: Mapping[str, str] | None = None) -> File:
        """Load the text as a file; the environment is empty unless given."""
        return load(self.write(text), env or {})

    def problems(self, text: str | bytes, env: Mapping[str, str] | None = None) -> list[Problem]:
        """Return what is wrong with the text; fail if nothing is."""
        error = self.assertRaises(ConfigError, self.load, text, env)
        self.assertNotIn("Traceback", str(error))
        for problem in error.problems:
            self.assertEqual(problem.file, os.fspath(self.folder / "config.yaml"))
            self.assertNotIn("\n", str(problem))
        return list(error.problems)

    def problem(self, text: str | bytes, env: Mapping[str, str] | None = None) -> Problem:
        """Return the one thing that is wrong with the text."""
        problems = self.problems(text, env)
        self.assertEqual(len(problems), 1, "\n".join(map(str, problems)))
        return problems[0]


class ClientTestCase(FileTestCase):
    """Loads sections with a name, a token and a server address."""

    def client(self, lines: str) -> ClientConfig:
        """Load a section with these lines."""
        client = self.load(f"{CLIENT}  {lines}\n").client
        assert client is not None
        return client

    def refused(self, lines: str) -> list[tuple[str, str]]:
        """Return the keys and reasons of what is wrong with these lines."""
        return [(problem.key, problem.wrong) for problem in self.problems(f"{CLIENT}  {lines}\n")]
