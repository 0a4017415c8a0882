"""The Logger of this package: twisted.logger's, with one threshold that the configuration sets and that can change
while running. It formats nothing and opens no file: observers do."""

from __future__ import annotations

from time import time

from constantly import NamedConstant
from twisted.logger import Logger as TwistedLogger
from twisted.logger import LogLevel

__all__ = ["LEVELS", "Logger", "set_level"]

LEVELS = {"debug": LogLevel.debug, "info": LogLevel.info, "warn": LogLevel.warn, "error": LogLevel.error}
"""The names that `log_level` takes, as the original's files write them."""

# Twisted's own way to compare two levels sorts all five of them, in Python, each time.
_RANKS = {level: rank for rank, level in enumerate(LogLevel.iterconstants())}
_threshold = [_RANKS[LogLevel.info]]


def set_level(name: str) -> None:
    """Let pass events of this level and above; `name` is a key of LEVELS. Raises KeyError for another."""
    _threshold[0] = _RANKS[LEVELS[name]]


class Logger(TwistedLogger):
    """A twisted.logger.Logger that drops what is below the level set by `set_level`, before it is formatted.

    As an attribute of a class it is one object for all instances, named after the class that declares it: Twisted's
    makes a new one at each access, to tell which instance spoke, and no line of ours says that.
    """

    def __set_name__(self, owner: type, name: str) -> None:
        self.namespace = f"{owner.__module__}.{owner.__name__}"

    def __get__(self, instance: object, owner: type | None = None) -> Logger:
        """See above."""
        return self

    def emit(self, level: NamedConstant, format: str | None = None, **kwargs: object) -> None:
        """Emit one event: a constant English format and its values. See twisted.logger.Logger.emit."""
        if _RANKS[level] >= _threshold[0]:
            kwargs.update(
                log_logger=self, log_level=level, log_namespace=self.namespace, log_source=None, log_format=format,
                log_time=time(),
            )  # fmt: skip
            self.observer(kwargs)
