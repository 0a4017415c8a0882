"""Which C sources these are, in a few characters: `setup.py` compiles them in, and who is about to use what it has
compiled asks whether the tree still has the same. It imports nothing of gotunnel, which a build cannot."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

__all__ = ["digest"]


def digest(folder: Path) -> str:
    """Return what tells the sources in a folder from any others; nothing if there are none. Raises OSError."""
    files = sorted(folder.glob("[!.]*.[ch]"))  # no leftovers of editors, as the build
    if not files:
        return ""
    found = sha256()
    for path in files:
        content = path.read_bytes()
        found.update(b"%s %d\n%s" % (path.name.encode(), len(content), content))
    return found.hexdigest()[:32]
