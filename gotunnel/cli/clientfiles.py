"""The two files that `gotunnel join` writes: a token, and the configuration that names it. An interruption leaves no
half-written file and loses no existing one."""

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
    """Where the configuration goes, with the token beside it. `force` permits replacing an existing configuration,
    which is kept as `NAME.old`, or as `NAME-2.old` if that exists already."""

    def __init__(self, output: Path, *, force: bool) -> None:
        self.config = output.absolute()
        self._force = force
        self.token: Path | None = None
        """The token's file, after `save`."""
        self.kept: Path | None = None
        """The new name of the former configuration, if there was one."""
        self._saved = False  # whether the configuration is ours, and not somebody else's

    def check(self) -> None:
        """Check, before a token is used, that the files can be written. Raises ConfigError."""
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
        """Write both files and sync them to the disk. `text` makes the configuration from the token file's name.

        The configuration appears last, and complete. Raises ConfigError or OSError; then neither file is left.
        """
        path = self.token = self._save_token(token)
        try:
            self._save_config(text(path.name))
            sync_folder(path.parent)
        except BaseException:
            with suppress(OSError):
                self.undo()
            raise

    def undo(self) -> None:
        """Take back what `save` did, if anything. Raises OSError."""
        if self.token is None:
            return
        token, kept, saved = self.token, self.kept, self._saved
        self.token, self.kept, self._saved = None, None, False
        if kept is not None and saved:
            os.replace(kept, self.config)
        elif kept is not None:
            kept.unlink()  # a second name of a configuration that is still in its place
        elif saved:
            self.config.unlink()
        token.unlink()
        sync_folder(self.config.parent)

    def _save_token(self, token: str) -> Path:
        # Choose a free name: another configuration may need the token in an existing file.
        stem = self.config.with_suffix("").name or self.config.name
        with drafted(self.config, token + "\n", 0o600) as draft:
            return _linked(draft, self.config.with_name(f"{stem}.token"), self.config)

    def _save_config(self, text: str) -> None:
        with drafted(self.config, text, 0o644) as draft:
            if not os.path.lexists(self.config):
                try:
                    os.link(draft, self.config)  # unlike a rename, a link replaces no file that has appeared meanwhile
                except FileExistsError:
                    raise self._there() from None
                self._saved = True
                return
            if not self._force:
                raise self._there()
            self.kept = _linked(self.config, self.config.with_name(f"{self.config.name}.old"))
            os.replace(draft, self.config)
            self._saved = True

    def _there(self) -> ConfigError:
        cure = "choose another with --output, or let --force replace it (it is kept as NAME.old)"
        return _refused(f"{_shown(self.config)} exists", cure)


def _linked(source: Path, wanted: Path, never: Path | None = None) -> Path:
    """Give a file a second name: `wanted`, or one with -2, -3… if that is taken or is `never`."""
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
