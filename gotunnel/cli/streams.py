"""Standard streams that are closed, full, or that nobody reads. Imports nothing heavy: the roles use it, too."""

from __future__ import annotations

import errno
import os
import sys

from gotunnel.errors import Sentence
from gotunnel.i18n.language import of_environment

__all__ = ["drop_unwritten", "fill_gaps", "flush_at_end", "is_unwritten", "tell_full"]

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
"""Errors that are reported when output cannot be written. A pipe that nobody reads any more is not reported."""


def fill_gaps() -> None:
    """Give a process that was started without a standard stream (`<&-`, `>&-`) an empty one. In this order, each gets
    the number that is missing, so that no file or connection gets it."""
    if sys.stdin is None:
        sys.stdin = open(os.devnull)  # noqa: SIM115 - as long as the process lives
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115


def is_unwritten(failed: OSError) -> bool:
    """Return whether a standard stream could not be written, rather than a file that the error names."""
    return failed.filename is None and failed.errno in (errno.EPIPE, *_NO_ROOM)


def drop_unwritten() -> None:
    """Discard what standard output does not accept."""
    os.dup2(os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC), 1)


def tell_full(program: str, failed: OSError) -> None:
    """Report that standard output accepts nothing, and what to do."""
    said = of_environment().sentence(Sentence(
        "standard output cannot be written: {reason}; make room where it goes",
        reason=(failed.strerror or "error").lower(),
    ))  # fmt: skip
    print(f"{program}: {said}", file=sys.stderr)


def flush_at_end(program: str, code: object) -> None:
    """Write what was printed by a program that ends with `code`. Otherwise Python would try at its very end, and on
    failure print a traceback and exit with 120. Raises SystemExit if that fails and nothing was wrong before, and
    OSError for a reason that nobody expects."""
    try:
        sys.stdout.flush()
    except OSError as failed:
        drop_unwritten()
        if code:
            return  # it was reported already, and the exit code stays
        if not is_unwritten(failed):
            raise
        if failed.errno != errno.EPIPE:
            tell_full(program, failed)
        raise SystemExit(1) from None
