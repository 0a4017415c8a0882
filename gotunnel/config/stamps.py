"""Detects whether a file has changed, without reading it."""

from __future__ import annotations

from pathlib import Path

__all__ = ["stamp"]


def stamp(path: Path) -> tuple[int, ...] | None:
    """Return a value that changes whenever the file does; None if there is no file."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    except OSError as error:
        return (error.errno or 0,)  # it may exist: whoever reads it reports what is wrong
    return (
        found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_mode, found.st_uid
    )  # fmt: skip
