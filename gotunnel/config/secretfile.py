"""Reads files with secrets that nobody else may read: tokens, logins and passwords. It does not know what their text
means."""

from __future__ import annotations

import os
import shlex
import stat
from collections.abc import Mapping
from pathlib import Path

from gotunnel.errors import Sentence, printable

__all__ = ["Refused", "one_line", "regular_file", "secret_file"]

CREDENTIALS = "CREDENTIALS_DIRECTORY"
"""systemd's variable. Files there are given to one user with an ACL, which shows up as a read permission of the
group."""


class Refused(Exception):
    """A secret or its file cannot be used: what is wrong, and what would be right."""

    def __init__(self, what: str, cure: str) -> None:
        super().__init__(what)
        self.what = what
        self.cure = cure

    @property
    def line(self) -> str:
        """Both as one line."""
        return Sentence("{what}; {cure}", what=self.what, cure=self.cure)


def secret_file(
    path: Path, most: int, *, name: str | None = None, env: Mapping[str, str] = os.environ
) -> bytes:
    """Return the content of a file that only its owner can read or change: at most `most` bytes, and one more if it is
    longer. Messages call it `name`. Raises Refused."""
    found, status = _read(path, most, printable(path, 400) if name is None else name)
    _check_owner_and_mode(path, printable(path, 400) if name is None else name, status, env)
    return found


def regular_file(path: Path, most: int) -> bytes:
    """The same for a file that others may read, like those that Kubernetes mounts."""
    return _read(path, most, printable(path, 400))[0]


def one_line(raw: bytes, most: int, encoding: str = "ascii") -> str:
    """Return these bytes as one line of text, stripped; empty if they are not one line, or more than `most`."""
    try:
        text = raw.decode(encoding).strip()
    except UnicodeDecodeError:
        return ""
    return text if len(raw) <= most and text.isprintable() else ""


def _read(path: Path, most: int, name: str) -> tuple[bytes, os.stat_result]:
    try:
        # O_NONBLOCK: opening a pipe that nobody writes to would block for ever.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        reason = (error.strerror or "cannot be opened").lower()
        raise Refused(Sentence(
            "{name} cannot be read: {reason}", name=name, reason=reason
        ), "name a file that this user may read") from None
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            kind = "a directory" if stat.S_ISDIR(status.st_mode) else "not a regular file"
            raise Refused(f"{name} is {kind}", "name a file that holds the secret")
        with open(descriptor, "rb", closefd=False) as file:
            return file.read(most + 1), status
    except OSError as error:
        reason = (error.strerror or "error").lower()
        raise Refused(Sentence(
            "{name} cannot be read: {reason}", name=name, reason=reason
        ), "name another file") from None
    finally:
        os.close(descriptor)


def _check_owner_and_mode(path: Path, name: str, status: os.stat_result, env: Mapping[str, str]) -> None:
    if status.st_uid not in (0, os.geteuid()):
        user = os.geteuid()
        raise Refused(
            f"{name} belongs to the user {status.st_uid}",
            f"run this as that user, or, if it is this one's, chown {user} {shlex.quote(name)}",
        )
    folder = env.get(CREDENTIALS)
    others = 0o037 if folder and path.parent == Path(folder) else 0o077
    if status.st_mode & others:
        raise Refused(
            f"{name} can be read or changed by others (mode {stat.S_IMODE(status.st_mode):04o})",
            f"chmod 600 {shlex.quote(name)}",
        )
