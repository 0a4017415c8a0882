"""The style of a line of the log: a priority for the journal, colours for a terminal."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import TextIO

from constantly import NamedConstant
from twisted.logger import LogLevel

__all__ = ["Style", "colours", "is_journal", "plain", "priorities", "style_of"]

Style = Callable[[str, NamedConstant], str]
"""Takes a complete text of one or more lines, with the last line break, and its level."""

_PRIORITIES = {
    LogLevel.debug: 7, LogLevel.info: 6, LogLevel.warn: 4, LogLevel.error: 3, LogLevel.critical: 2,
}  # fmt: skip
"""The numbers of sd-daemon(3) and syslog(3)."""

_COLOURS = {LogLevel.debug: "2", LogLevel.warn: "33", LogLevel.error: "31", LogLevel.critical: "1;31"}
"""SGR codes of the levels that stand out; normal lines have no colour."""


def plain(text: str, level: NamedConstant) -> str:
    """For a file, a pipe and a collector."""
    return text


def priorities(text: str, level: NamedConstant) -> str:
    """For the journal, which strips `<4>` and stores it; `journalctl -p warning` then finds the right lines."""
    prefix = f"<{_PRIORITIES[level]}>"
    return "".join(prefix + line for line in text.splitlines(keepends=True))


def colours(text: str, level: NamedConstant) -> str:
    """For a terminal: colour the level."""
    code = _COLOURS.get(level)
    mark = f"[{level.name}]"
    return text if code is None else text.replace(mark, f"\x1b[{code}m{mark}\x1b[0m", 1)


def style_of(stream: TextIO, env: Mapping[str, str] = os.environ) -> Style:
    """Return the style for a stream."""
    if is_journal(stream, env):
        return priorities
    wanted = not env.get("NO_COLOR") and env.get("TERM", "") not in ("", "dumb")
    return colours if wanted and stream.isatty() else plain


def is_journal(stream: TextIO, env: Mapping[str, str]) -> bool:
    """Return whether a stream is the one that systemd connected to the journal. JOURNAL_STREAM names its device and
    inode, because a child process may have the variable and another standard error."""
    try:
        status = os.fstat(stream.fileno())
    except (OSError, ValueError):  # it has no descriptor
        return False
    return env.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"
