"""Reads a secret from a file each time it is needed, because it may be replaced at any time."""

from __future__ import annotations

from pathlib import Path

from gotunnel.config.secretfile import Refused, one_line, regular_file
from gotunnel.errors import GotunnelError, Sentence, printable

__all__ = ["secret_in"]

MOST = 16 * 1024


def secret_in(path: Path) -> str:
    """Return the file's content, stripped. Raises GotunnelError."""
    try:
        text = one_line(regular_file(path, MOST), MOST)
    except Refused as refused:
        raise GotunnelError(Sentence("the secret {line}", line=refused.line)) from None
    if not text:
        raise GotunnelError(Sentence(
            "the secret {path} is not one line of text; put the secret there alone", path=printable(path, 400)
        ))
    return text
