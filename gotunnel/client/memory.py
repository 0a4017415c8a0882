"""What a client remembers of servers across restarts: that version 2 worked with one. From then on nobody talks it into
version 1 there. It decides nothing."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

from gotunnel.address import HostPort
from gotunnel.errors import system_words
from gotunnel.logs import Logger

__all__ = ["VersionMemory"]

FOLDER = "version-2-servers"
"""In the state folder; it holds an empty file for each server, named after its address."""


class VersionMemory:
    """One for each state folder. Several processes may share it: nothing in it is ever changed."""

    log = Logger()

    def __init__(self, state_dir: Path) -> None:
        self._folder = state_dir / FOLDER

    def marker(self, server: HostPort) -> Path:
        """Return the file that says that version 2 worked with this server."""
        return self._folder / quote(str(server).lower(), safe="[]:")

    def knows(self, server: HostPort) -> bool:
        """Whether version 2 ever worked with it. What cannot be looked up counts as known: rather no connection than a
        token in clear."""
        try:
            self.marker(server).stat()
        except FileNotFoundError:
            return False
        except OSError:
            return True
        return True

    def note(self, server: HostPort) -> None:
        """It has just worked."""
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
