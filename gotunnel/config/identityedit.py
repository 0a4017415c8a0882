"""How the file with the identities is changed: one at a time, under a lock beside it, and by a whole new file in its
place. What is in it is for `identityfile`."""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from gotunnel.config.identityfile import FileIdentity, load_clients, written
from gotunnel.errors import ConfigError, Problem, Sentence, printable

__all__ = ["edit_clients"]

RETRY = 0.02
"""Seconds between attempts to get the lock."""


def edit_clients(
    path: Path,
    change: Callable[[tuple[FileIdentity, ...]], Iterable[FileIdentity]],
    *,
    patience: float = 5.0,
) -> tuple[FileIdentity, ...]:
    """Change the file, or make it: `change` gets what is in it and returns what is to be in it. Returns that.

    Nobody else changes it meanwhile, and whoever reads it sees all of the change or nothing. It blocks, for `patience`
    seconds at most while another process holds the lock. What `change` raises leaves the file as it is. Raises
    ConfigError for a file that cannot be read or written.
    """
    path = Path(os.path.realpath(path))  # a link stays one
    with _locked(path, patience):
        before = load_clients(path) if os.path.lexists(path) else ()
        after = tuple(change(before))
        if after != before or not os.path.lexists(path):
            _replace(path, written(after))
        return after


@contextmanager
def _locked(path: Path, patience: float) -> Iterator[None]:
    """Hold the lock beside the file. The lock file stays: to remove it would let two hold the lock at once."""
    lock = path.with_name(path.name + ".lock")
    try:
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise _unwritable(lock, error) from None
    try:
        _own_as_before(descriptor, path)
        deadline = time.monotonic() + patience
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    what = f"another program has kept changing it for {patience:g} s"
                    raise ConfigError([Problem(printable(path, 400), None, "", what, "try again")]) from None
                time.sleep(RETRY)
        yield
    finally:
        os.close(descriptor)


def _replace(path: Path, content: bytes) -> None:
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with open(descriptor, "wb") as file:
                _own_as_before(descriptor, path)
                file.write(content)
                file.flush()
                os.fsync(descriptor)
            os.replace(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)  # or a power cut could bring back the client that was revoked
        finally:
            os.close(folder)
    except OSError as error:
        raise _unwritable(path, error) from None


def _own_as_before(descriptor: int, path: Path) -> None:
    """What root writes is to be readable for the server, which runs as the owner of the file, or of a new one's
    folder."""
    if os.geteuid() != 0:
        return
    ours = os.fstat(descriptor)
    if ours.st_nlink != 1 or ours.st_size:
        return  # of the folder's owner, who would be given a file of root's that he has linked to its name
    before = path.stat() if path.exists() else path.parent.stat()
    os.fchown(descriptor, before.st_uid, before.st_gid)


def _unwritable(path: Path, error: OSError) -> ConfigError:
    reason = (error.strerror or "error").lower()
    what = Sentence("cannot be written: {reason}", reason=reason)
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    cure = "make room on its disk" if full else "run this as the user that the server runs as"
    return ConfigError([Problem(printable(path, 400), None, "", what, cure)])
