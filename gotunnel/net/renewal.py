"""What is made of files, made anew when they change: certificates are renewed while programs run. It looks at content
and not at times, so that it does not matter how a file was replaced. What is made of them is not its business."""

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
"""Seconds from look to look."""

_T = TypeVar("_T")


class Renewal(Generic[_T]):
    """Looks at `files` from `start` to `stop`. `load()` makes something of them or raises TlsFilesError; `use(made)` is
    called with what a change has led to.

    While the files do not fit together, as between the two halves of an update, nothing changes, and one line says so.
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
        """Load them for the first time. Raises TlsFilesError."""
        self._seen = self._used = self._content()  # ahead of reading: a change in between is seen as one later
        return self._load()

    def start(self) -> None:
        """Look from now on."""
        if self._files:
            self._timer = self._clock.callLater(EVERY, self._again)

    def stop(self) -> None:
        """Look no more. Harmless when called again."""
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
                    "certificate files have changed but do not fit together: {problem}; the loaded ones stay in "
                    "use until they do",
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
