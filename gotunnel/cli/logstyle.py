"""How a line of the log is dressed for who takes it: a priority for the journal, colours for a terminal."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import TextIO

from constantly import NamedConstant
from twisted.logger import LogLevel

__all__ = ["Style", "colours", "is_journal", "plain", "priorities", "style_of"]

Style = Callable[[str, NamedConstant], str]
"""Gets a whole text of one or more lines, with the last line break, and its level."""

_PRIORITIES = {
    LogLevel.debug: 7, LogLevel.info: 6, LogLevel.warn: 4, LogLevel.error: 3, LogLevel.critical: 2,
}  # fmt: skip
"""As sd-daemon(3) and syslog(3) number them."""

_COLOURS = {LogLevel.debug: "2", LogLevel.warn: "33", LogLevel.error: "31", LogLevel.critical: "1;31"}
"""SGR codes of the levels that stand out; what is normal has no colour."""


def plain(text: str, level: NamedConstant) -> str:
    """For a file, a pipe, and a collector."""
    return text


def priorities(text: str, level: NamedConstant) -> str:
    """For the journal, which takes `<4>` off again and stores it; so `journalctl -p warning` finds what it should."""
    prefix = f"<{_PRIORITIES[level]}>"
    return "".join(prefix + line for line in text.splitlines(keepends=True))


def colours(text: str, level: NamedConstant) -> str:
    """For a terminal: the level in its colour."""
    code = _COLOURS.get(level)
    mark = f"[{level.name}]"
    return text if code is None else text.replace(mark, f"\x1b[{code}m{mark}\x1b[0m", 1)


def style_of(stream: TextIO, env: Mapping[str, str] = os.environ) -> Style:
    """Return how to write to a stream."""
    if is_journal(stream, env):
        return priorities
    wanted = not env.get("NO_COLOR") and env.get("TERM", "") not in ("", "dumb")
    return colours if wanted and stream.isatty() else plain


def is_journal(stream: TextIO, env: Mapping[str, str]) -> bool:
    """Say whether a stream is the one that systemd connected with the journal: JOURNAL_STREAM names its device and
    inode, since a child may have the variable and another standard error."""
    try:
        status = os.fstat(stream.fileno())
    except (OSError, ValueError):  # no descriptor is behind it
        return False
    return env.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"
