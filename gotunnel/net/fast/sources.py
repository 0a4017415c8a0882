"""Computes a digest of the C sources. `setup.py` compiles it into the extension, and `compiled` compares it with the
tree. Imports nothing of gotunnel, since a build cannot."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

__all__ = ["digest"]


def digest(folder: Path) -> str:
    """Return a digest of the sources in a folder; empty if there are none. Raises OSError."""
    files = sorted(folder.glob("[!.]*.[ch]"))  # like the build, without hidden leftovers of editors
    if not files:
        return ""
    found = sha256()
    for path in files:
        content = path.read_bytes()
        found.update(b"%s %d\n%s" % (path.name.encode(), len(content), content))
    return found.hexdigest()[:32]
