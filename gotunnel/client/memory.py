"""Remembers, across restarts, the servers that have spoken version 2. From then on nobody can downgrade the client to
version 1 there. Decides nothing itself."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

from gotunnel.address import HostPort
from gotunnel.errors import system_words
from gotunnel.logs import Logger

__all__ = ["VersionMemory"]

FOLDER = "version-2-servers"
"""A folder in the state folder, with an empty file for each server, named after its address."""


class VersionMemory:
    """One for each state folder. Several processes may share it, since nothing in it ever changes."""

    log = Logger()

    def __init__(self, state_dir: Path) -> None:
        self._folder = state_dir / FOLDER

    def marker(self, server: HostPort) -> Path:
        """Return the file that marks a server as speaking version 2."""
        return self._folder / quote(str(server).lower(), safe="[]:")

    def knows(self, server: HostPort) -> bool:
        """Return whether version 2 ever worked with this server. If that cannot be looked up, return True: rather no
        connection than a token in clear."""
        try:
            self.marker(server).stat()
        except FileNotFoundError:
            return False
        except OSError:
            return True
        return True

    def note(self, server: HostPort) -> None:
        """Remember that version 2 has worked with this server."""
        marker = self.marker(server)
        try:
            if not marker.exists():
                self._folder.mkdir(mode=0o700, exist_ok=True)
                marker.touch(mode=0o600)
        except OSError as failed:
            self.log.warn(
                "the fact that {server} speaks version 2 cannot be stored: {path}: {reason}; make the state folder "
                "writable",
                server=str(server), path=str(marker), reason=system_words(failed),
            )  # fmt: skip
