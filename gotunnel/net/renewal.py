"""Reloads something made from files when they change, such as certificates that are renewed while the program runs. It
compares content and not times, so it does not matter how a file is replaced. It does not know what is made of it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Generic, TypeVar

from twisted.internet.interfaces import IDelayedCall

from gotunnel.logs import Logger
from gotunnel.net.certificates import TlsFilesError, read_file

__all__ = ["EVERY", "Renewal"]

EVERY = 5.0
"""Seconds between two checks."""

_T = TypeVar("_T")


class Renewal(Generic[_T]):
    """Checks `files` from `start` to `stop`. `load()` makes something of them or raises TlsFilesError; `use(made)` is
    called with the result after a change.

    While the files do not match, as in the middle of an update, nothing changes, and one line in the log says so.
    """

    log = Logger()

    def __init__(
        self, clock: Any, files: Iterable[Path | None], load: Callable[[], _T], use: Callable[[_T], None]
    ) -> None:
        self._clock = clock
        self._files = tuple(file for file in files if file is not None)
        self._load = load
        self._use = use
        self._seen: tuple[bytes, ...] = ()
        self._used: tuple[bytes, ...] = ()
        self._complaint: str | None = None
        self._timer: IDelayedCall | None = None

    def first(self) -> _T:
        """Load the files for the first time. Raises TlsFilesError."""
        self._seen = self._used = self._content()  # before loading, so that a change in between is noticed later
        return self._load()

    def start(self) -> None:
        """Start to check the files."""
        if self._files:
            self._timer = self._clock.callLater(EVERY, self._again)

    def stop(self) -> None:
        """Stop checking. May be called again."""
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()

    def _again(self) -> None:
        self._timer = self._clock.callLater(EVERY, self._again)
        content = self._content()
        if content == self._seen:
            return
        self._seen = content
        if content == self._used:
            self._complaint = None
            self.log.info("certificate files are back to what was loaded: nothing has changed")
            return
        try:
            made = self._load()
        except TlsFilesError as problem:
            if str(problem) != self._complaint:
                self._complaint = str(problem)
                self.log.warn(
                    "certificate files have changed but cannot be used: {problem}; the ones loaded before stay in use",
                    problem=self._complaint,
                )
            return
        self._complaint, self._used = None, content
        self._use(made)

    def _content(self) -> tuple[bytes, ...]:
        found = []
        for file in self._files:
            try:
                found.append(hashlib.sha256(read_file(file)).digest())
            except TlsFilesError as problem:
                found.append(str(problem).encode())
        return tuple(found)
