"""A server as its files describe it, for commands that change its clients: configuration, state folder, clients file.
Talks to no server."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from gotunnel.config.identitychange import Change, ClientRefused
from gotunnel.config.identityedit import edit_clients
from gotunnel.config.identityfile import CLIENTS_FILE, FileIdentity, load_clients
from gotunnel.config.load import load_server
from gotunnel.config.model import ServerConfig
from gotunnel.errors import ConfigError, Problem, Sentence
from gotunnel.net.certificates import spki_pin
from gotunnel.net.owncert import OWN_FILE
from gotunnel.server.identity import server_pair
from gotunnel.tap.role import state_folder, state_path

__all__ = ["PROGRAM", "Site"]

PROGRAM = "gotunnel client"


@dataclass(frozen=True, slots=True)
class Site:
    """Made by `at`. Nothing is opened or written before a method does so."""

    config: ServerConfig
    state: Path
    file: Path
    _chosen: str | None

    @classmethod
    def at(cls, config_file: str, state: str | None) -> Site:
        """Read the configuration; `state` is --state. Raises ConfigError."""
        config = load_server(config_file, clients_elsewhere=True)
        folder = state_path(state)
        return cls(config, folder, config.clients_file or folder / CLIENTS_FILE, state)

    @property
    def plain(self) -> bool:
        """Whether clients connect without TLS."""
        return self.config.tls.mode == "off"

    @property
    def fresh(self) -> bool:
        """Whether no server seems to have used the state folder yet: it lacks the server's own key."""
        return not self.plain and self.config.tls.cert is None and not (self.state / OWN_FILE).exists()

    def clients(self) -> tuple[FileIdentity, ...]:
        """Return the clients in the clients file. Raises ConfigError."""
        return load_clients(self.file) if self.file.exists() else ()

    def edit(self, name: str, change: Change) -> None:
        """Change the clients file. Raises ConfigError for a client in the configuration or a file that cannot be
        changed, ClientRefused for a change that does not fit the client, and OSError for a state folder that cannot be
        created."""
        if any(client.name == name for client in self.config.clients):
            what = f"the client {name} is in the configuration"
            raise ConfigError([Problem(PROGRAM, None, "server.clients", what, "change it there")])
        if self.config.clients_file is None:
            state_folder(self._chosen)
        try:
            edit_clients(self.file, change)
        except ClientRefused as refused:
            raise ClientRefused(Sentence("{file}: {refused}", file=self.file, refused=refused)) from None

    def pin(self) -> str | None:
        """Return the pin of the key that the server shows. Return None if it has none yet: the server must make it, as
        its owner. Raises TlsFilesError."""
        if self.plain or self.fresh:
            return None
        return spki_pin(server_pair(self.config.tls, self.state).leaf)
