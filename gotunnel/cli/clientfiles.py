"""The two files that `gotunnel join` leaves behind: a token and the configuration that names it. Whatever interrupts
the writing, no file is half-written and none that was there is lost."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from gotunnel.cli.clientconfig import PROGRAM
from gotunnel.cli.drafts import drafted, sync_folder
from gotunnel.errors import ConfigError, Problem, printable

__all__ = ["ClientFiles"]


class ClientFiles:
    """Where the configuration goes, and the token beside it. `force` allows to replace a configuration that is there;
    it is kept as `NAME.old`, or `NAME-2.old` if there is one already."""

    def __init__(self, output: Path, *, force: bool) -> None:
        self.config = output.absolute()
        self._force = force
        self.token: Path | None = None
        """Where the token is, once it was saved."""
        self.kept: Path | None = None
        """What the former configuration is called now, if there was one."""

    def check(self) -> None:
        """Find out, before a token is used, whether they could be written. Raises ConfigError."""
        folder = self.config.parent
        if not folder.is_dir():
            raise _refused(f"there is no folder {_shown(folder)}", "make it, or choose another with --output")
        if not os.access(folder, os.W_OK | os.X_OK):
            raise _refused(f"{_shown(folder)} is not writable", "choose another place with --output")
        if self.config.is_dir():
            raise _refused(f"{_shown(self.config)} is a folder", "name a file in it")
        if os.path.lexists(self.config) and not self._force:
            raise self._there()

    def save(self, token: str, text: Callable[[str], str]) -> None:
        """Write both and bring them to the disk. `text` makes the configuration of the token file's name.

        The configuration is the last to appear, and appears whole. Raises ConfigError or OSError; then neither is left.
        """
        path = self._save_token(token)
        try:
            self._save_config(text(path.name))
            sync_folder(path.parent)
        except BaseException:
            with suppress(OSError):
                path.unlink()
            raise
        self.token = path

    def undo(self) -> None:
        """Take back what `save` did, if anything. Raises OSError."""
        if self.token is None:
            return
        if self.kept is None:
            self.config.unlink()
        else:
            os.replace(self.kept, self.config)
        self.token.unlink()
        sync_folder(self.config.parent)
        self.token = self.kept = None

    def _save_token(self, token: str) -> Path:
        # A name that is free: another configuration may need the token that a file holds already.
        stem = self.config.with_suffix("").name or self.config.name
        with drafted(self.config, token + "\n", 0o600) as draft:
            return _linked(draft, self.config.with_name(f"{stem}.token"), self.config)

    def _save_config(self, text: str) -> None:
        with drafted(self.config, text, 0o644) as draft:
            if not os.path.lexists(self.config):
                try:
                    os.link(draft, self.config)  # which, unlike a rename, replaces nothing that has come meanwhile
                except FileExistsError:
                    raise self._there() from None
                return
            if not self._force:
                raise self._there()
            self.kept = _linked(self.config, self.config.with_name(f"{self.config.name}.old"))
            os.replace(draft, self.config)

    def _there(self) -> ConfigError:
        cure = "choose another with --output, or let --force replace it (it is kept as NAME.old)"
        return _refused(f"{_shown(self.config)} exists", cure)


def _linked(source: Path, wanted: Path, never: Path | None = None) -> Path:
    """Give a file a second name: `wanted`, or with -2, -3… in it when that is taken or `never` to be used."""
    path, numbers = wanted, itertools.count(2)
    while True:
        if path != never:
            with suppress(FileExistsError):
                os.link(source, path, follow_symlinks=False)
                return path
        path = wanted.with_name(f"{wanted.stem}-{next(numbers)}{wanted.suffix}")


def _refused(what: str, cure: str) -> ConfigError:
    return ConfigError([Problem(PROGRAM, None, "", what, cure)])


def _shown(path: Path) -> str:
    return printable(path, 256)
