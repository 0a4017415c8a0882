"""Changes the file of identities: one change at a time, under a lock file beside it, by replacing the whole file.
`identityfile` has the format."""

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
    """Change the file, or create it: `change` gets the current content and returns the new one. Returns the new
    content.

    Nobody else can change it meanwhile, and readers see all of the change or nothing. It blocks, for at most `patience`
    seconds while another process holds the lock. If `change` raises, the file stays unchanged. Raises ConfigError for a
    file that cannot be read or written.
    """
    path = Path(os.path.realpath(path))  # so that a symbolic link is not replaced
    with _locked(path, patience):
        before = load_clients(path) if os.path.lexists(path) else ()
        after = tuple(change(before))
        if after != before or not os.path.lexists(path):
            _replace(path, written(after))
        return after


@contextmanager
def _locked(path: Path, patience: float) -> Iterator[None]:
    """Hold the lock file beside the file. It is never removed: otherwise two processes could hold the lock at once."""
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
            os.fsync(folder)  # otherwise a power failure could restore a client that was revoked
        finally:
            os.close(folder)
    except OSError as error:
        raise _unwritable(path, error) from None


def _own_as_before(descriptor: int, path: Path) -> None:
    """Give a file written by root to the owner of the present file, or of the folder for a new one: the server runs as
    that user and must be able to read it."""
    if os.geteuid() != 0:
        return
    ours = os.fstat(descriptor)
    if ours.st_nlink != 1 or ours.st_size:
        return  # the folder's owner may have linked it to a file of root's, which must not be given away
    before = path.stat() if path.exists() else path.parent.stat()
    os.fchown(descriptor, before.st_uid, before.st_gid)


def _unwritable(path: Path, error: OSError) -> ConfigError:
    reason = (error.strerror or "error").lower()
    what = Sentence("cannot be written: {reason}", reason=reason)
    cure = "run this as the user that the server runs as"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        cure = "make room on its disk"
    elif error.errno in (errno.ENOENT, errno.ENOTDIR):
        cure = "make its folder, owned by the user that the server runs as"
    return ConfigError([Problem(printable(path, 400), None, "", what, cure)])
