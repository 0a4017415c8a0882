"""The Logger of this package: twisted.logger's, with one threshold that the configuration sets and that can change
while running. It formats nothing and opens no file: observers do."""

from __future__ import annotations

from constantly import NamedConstant
from twisted.logger import Logger as TwistedLogger
from twisted.logger import LogLevel

__all__ = ["LEVELS", "Logger", "set_level"]

LEVELS = {"debug": LogLevel.debug, "info": LogLevel.info, "warn": LogLevel.warn, "error": LogLevel.error}
"""The names that `log_level` takes, as the original's files write them."""

_threshold: list[NamedConstant] = [LogLevel.info]


def set_level(name: str) -> None:
    """Let pass events of this level and above; `name` is a key of LEVELS. Raises KeyError for another."""
    _threshold[0] = LEVELS[name]


class Logger(TwistedLogger):
    """A twisted.logger.Logger that drops what is below the level set by `set_level`, before it is formatted."""

    def emit(self, level: NamedConstant, format: str | None = None, **kwargs: object) -> None:
        """Emit one event: a constant English format and its values. See twisted.logger.Logger.emit."""
        if level >= _threshold[0]:
            super().emit(level, format, **kwargs)
