"""Keeps a configuration while `gotunnel join --renew` replaces the token in the file that it names. If the
configuration says how the server is reached, the new token is fetched that way, too."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from gotunnel.cli.clientconfig import PROGRAM, Wish
from gotunnel.cli.drafts import drafted, sync_folder
from gotunnel.cli.tokeninput import VARIABLE
from gotunnel.config.load import load_client
from gotunnel.config.model import ClientConfig
from gotunnel.errors import ConfigError, Problem, printable

__all__ = ["Renewal", "without_token"]

TCP = "tcp"
"""The transport that means no transport."""


def without_token(env: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return an environment in which a configuration's own token is the only one."""
    return {key: value for key, value in env.items() if key != VARIABLE}


class Renewal:
    """The client `name` with an existing configuration at `output`. ClientFiles does the same for a new one."""

    kept: Path | None = None

    def __init__(self, output: Path, name: str) -> None:
        self.config = output.absolute()
        self.token: Path | None = None
        self._name = name
        self._stays: ClientConfig
        self._file: Path
        self._former = ""

    def check(self) -> None:
        """Check, before a token is used, that it can be stored. Raises ConfigError."""
        config = self._stays = load_client(self.config, without_token())
        if config.name != self._name:
            raise self._refused(f"is the client {config.name}, not {self._name}", "name another file with --output")
        if config.token_file is None:
            cure = "write token_file: in its place, with the name of a file that holds the token"
            raise self._refused("holds its token itself", cure)
        self._file = Path(os.path.realpath(config.token_file))  # a symbolic link stays a link
        if not os.access(self._file.parent, os.W_OK | os.X_OK):
            raise self._refused(
                f"names {printable(self._file, 256)}, whose folder is not writable",
                "make that folder writable",
            )

    def way(self, wish: Wish, config: ClientConfig) -> tuple[Wish, ClientConfig]:
        """Return the wish and the configuration to connect with. `config` comes from the command line; a transport or
        client certificate that it lacks is taken from the file. A transport belongs to its server, because the line
        that a server prints knows nothing of a proxy in front of it. So the server's address is then the file's too,
        and the wish names it."""
        stays = self._stays
        more: dict[str, Any] = {}
        if wish.transport is None and stays.transport is not None and stays.transport.plugin != TCP:
            (named,) = config.all_servers
            more["transport"] = stays.transport
            if named not in stays.all_servers:
                more["server_addr"] = stays.all_servers[0]
                wish = replace(wish, server=str(more["server_addr"]))
        if stays.tls.cert is not None and wish.cert is None and config.tls.mode != "off":
            own = {"cert": stays.tls.cert, "key": stays.tls.key}
            more["tls"] = config.tls.model_copy(update=own)
        return wish, config.model_copy(update=more)

    def save(self, token: str, text: Callable[[str], str]) -> None:
        """Replace the token in one step. `text` is not called, because the configuration stays. Raises OSError."""
        self._former = self._file.read_text("utf-8")
        self._write(token + "\n")
        self.token = self._file

    def undo(self) -> None:
        """Put the former token back, if `save` has replaced it. Raises OSError."""
        if self.token is not None:
            self._write(self._former)
            self.token = None

    def _write(self, content: str) -> None:
        with drafted(self._file, content, 0o600) as draft:
            if os.geteuid() == 0:
                owner = self._file.stat()
                os.chown(draft, owner.st_uid, owner.st_gid)
            os.replace(draft, self._file)
        sync_folder(self._file.parent)

    def _refused(self, what: str, cure: str) -> ConfigError:
        return ConfigError([Problem(PROGRAM, None, "--renew", f"{printable(self.config, 256)} {what}", cure)])
