"""How gotunnel logs: events for twisted.logger's observers, with one threshold that the configuration sets and that can
change at run time. It formats nothing and opens no file; observers do that."""

from __future__ import annotations

from time import time
from typing import ClassVar

from constantly import NamedConstant
from twisted.logger import LogLevel, globalLogPublisher
from twisted.python.failure import Failure

__all__ = ["LEVELS", "Logger", "level", "set_level"]

LEVELS = {"debug": LogLevel.debug, "info": LogLevel.info, "warn": LogLevel.warn, "error": LogLevel.error}
"""The names that `log_level` accepts, as in the files of the original Go gotunnel."""

# Comparing two levels with Twisted's own operators sorts all five, in Python, each time.
_DEBUG, _INFO, _WARN, _ERROR, _CRITICAL = range(5)
_CONSTANTS: list[NamedConstant] = [LogLevel.debug, LogLevel.info, LogLevel.warn, LogLevel.error, LogLevel.critical]
_threshold = [_INFO]


def set_level(name: str) -> None:
    """Let events of this level and above pass; `name` is a key of LEVELS. Raises KeyError for another name."""
    _threshold[0] = _CONSTANTS.index(LEVELS[name])
    Logger.debugs = _threshold[0] <= _DEBUG


def level() -> str:
    """Return the current level."""
    return list(LEVELS)[_threshold[0]]


class Logger:
    """Like twisted.logger.Logger, for a constant English format and its values. An event below the level of `set_level`
    is dropped before it is made. As a class attribute it is one object for all instances, named after the class that
    declares it. Twisted's logger makes a new object at each access, to record the source object, which no line of ours
    uses."""

    debugs: ClassVar[bool] = False
    """Whether `debug` has an effect. Check it before logging something about each visitor: collecting the values costs
    more than this check."""

    def __init__(self, namespace: str = "gotunnel") -> None:
        self.namespace = namespace

    def __set_name__(self, owner: type, name: str) -> None:
        self.namespace = f"{owner.__module__}.{owner.__name__}"

    def debug(self, format: str, **values: object) -> None:
        """Details for somebody who looks for a cause."""
        if _threshold[0] <= _DEBUG:
            self._emit(_DEBUG, format, values)

    def info(self, format: str, **values: object) -> None:
        """What an operator wants to see in the log of a good day."""
        if _threshold[0] <= _INFO:
            self._emit(_INFO, format, values)

    def warn(self, format: str, **values: object) -> None:
        """Something that an operator may want to act on; the text says how."""
        if _threshold[0] <= _WARN:
            self._emit(_WARN, format, values)

    def error(self, format: str, **values: object) -> None:
        """Something that an operator must act on."""
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
