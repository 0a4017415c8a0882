"""How gotunnel says what happens: events for twisted.logger's observers, with one threshold that the configuration sets
and that can change while running. It formats nothing and opens no file: observers do."""

from __future__ import annotations

from time import time
from typing import ClassVar

from constantly import NamedConstant
from twisted.logger import LogLevel, globalLogPublisher
from twisted.python.failure import Failure

__all__ = ["LEVELS", "Logger", "level", "set_level"]

LEVELS = {"debug": LogLevel.debug, "info": LogLevel.info, "warn": LogLevel.warn, "error": LogLevel.error}
"""The names that `log_level` takes, as the original's files write them."""

# Twisted's own way to compare two levels sorts all five of them, in Python, each time.
_DEBUG, _INFO, _WARN, _ERROR, _CRITICAL = range(5)
_CONSTANTS: list[NamedConstant] = [LogLevel.debug, LogLevel.info, LogLevel.warn, LogLevel.error, LogLevel.critical]
_threshold = [_INFO]


def set_level(name: str) -> None:
    """Let pass events of this level and above; `name` is a key of LEVELS. Raises KeyError for another."""
    _threshold[0] = _CONSTANTS.index(LEVELS[name])
    Logger.debugs = _threshold[0] <= _DEBUG


def level() -> str:
    """Return the name that was set last."""
    return list(LEVELS)[_threshold[0]]


class Logger:
    """What twisted.logger.Logger is, for a constant English format and its values: an event below the level set by
    `set_level` is dropped before it is one. As an attribute of a class it is one object for all instances, named after
    the class that declares it; Twisted's makes a new one at each access, to tell who spoke, which no line of ours says.
    """

    debugs: ClassVar[bool] = False
    """Whether `debug` is of use, for who says something of each visitor: to put the values together costs more than to
    look here."""

    def __init__(self, namespace: str = "gotunnel") -> None:
        self.namespace = namespace

    def __set_name__(self, owner: type, name: str) -> None:
        self.namespace = f"{owner.__module__}.{owner.__name__}"

    def debug(self, format: str, **values: object) -> None:
        """For who looks for the cause of something."""
        if _threshold[0] <= _DEBUG:
            self._emit(_DEBUG, format, values)

    def info(self, format: str, **values: object) -> None:
        """What an operator wants to see in the log of a good day."""
        if _threshold[0] <= _INFO:
            self._emit(_INFO, format, values)

    def warn(self, format: str, **values: object) -> None:
        """Something that he may want to do something about; the text says what."""
        if _threshold[0] <= _WARN:
            self._emit(_WARN, format, values)

    def error(self, format: str, **values: object) -> None:
        """Something that he must do something about."""
        self._emit(_ERROR, format, values)

    def failure(self, format: str, failure: Failure | None = None, **values: object) -> None:
        """A bug of ours: `failure`, or the exception that is being handled, with its traceback."""
        self._emit(_CRITICAL, format, {**values, "log_failure": Failure() if failure is None else failure})

    def _emit(self, level: int, format: str, event: dict[str, object]) -> None:
        event.update(
            log_logger=self, log_level=_CONSTANTS[level], log_namespace=self.namespace, log_source=None,
            log_format=format, log_time=time(),
        )  # fmt: skip
        globalLogPublisher(event)
