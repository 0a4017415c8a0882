"""The built-in observers: a file with a line per visitor, and histograms for Prometheus."""

from __future__ import annotations

import errno
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from zope.interface import implementer

from gotunnel.config.observeroptions import LogOptions
from gotunnel.core.histogram import Histogram
from gotunnel.core.observed import Ended, Stream
from gotunnel.errors import GotunnelError, Sentence
from gotunnel.interfaces import IStreamObserver

__all__ = ["LogObserver", "MetricsObserver", "check_log"]

BOUNDS = (0.1, 1.0, 10.0, 60.0, 600.0, 3600.0, 86_400.0)
"""Seconds: from a web request to a database connection."""


@implementer(IStreamObserver)
class LogObserver:
    """Appends one JSON object per finished visitor to a file; `time` is in Unix seconds. Raises GotunnelError if the
    file cannot be written."""

    def __init__(self, reactor: Any, options: LogOptions, role: str) -> None:
        self._path = options.file
        self._role = role
        self._comings = options.opened
        self._file: IO[str] | None = None
        try:
            self._open()
        except OSError as failed:
            raise _cannot_write(self._path, failed) from None

    def opened(self, stream: Stream) -> None:
        """See IStreamObserver."""
        if self._comings:
            self._write({"event": "opened", **self._of(stream)})

    def bytes(self, stream: Stream, up: int, down: int) -> None:
        """See IStreamObserver."""

    def closed(self, stream: Stream, ended: Ended) -> None:
        """See IStreamObserver."""
        self._write({
            "event": "closed", **self._of(stream), "outcome": ended.outcome, "code": ended.code, "up": ended.up,
            "down": ended.down, "seconds": round(ended.seconds, 3),
        })  # fmt: skip

    def stop(self) -> None:
        """See IStreamObserver."""
        file, self._file = self._file, None
        if file is not None:
            file.close()

    def _of(self, stream: Stream) -> dict[str, Any]:
        return {
            "time": round(time.time(), 3), "role": self._role, "client": stream.client, "mapping": stream.mapping,
            "visitor": stream.visitor, "conn": stream.conn,
        }  # fmt: skip

    def _write(self, line: dict[str, Any]) -> None:
        file = self._file
        if file is None or not self._is_there(file):
            file = self._open()
        file.write(json.dumps(line) + "\n")
        file.flush()

    def _open(self) -> IO[str]:
        self.stop()
        descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._file = file = os.fdopen(descriptor, "a", encoding="utf-8")
        return file

    def _is_there(self, file: IO[str]) -> bool:
        try:
            there, ours = os.stat(self._path), os.fstat(file.fileno())
        except FileNotFoundError:
            return False
        return (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino)


def check_log(options: LogOptions) -> None:
    """See IExtension. A missing file is not created: it would belong to the user who checks, not to the role's user."""
    path = options.file
    try:
        try:
            os.close(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | getattr(os, "O_NONBLOCK", 0)))
        except FileNotFoundError:
            folder = os.path.dirname(os.path.realpath(path))
            os.stat(folder)
            if not os.access(folder, os.W_OK | os.X_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES)) from None
    except OSError as failed:
        raise _cannot_write(path, failed) from None


def _cannot_write(path: Path, failed: OSError) -> GotunnelError:
    why = (failed.strerror or "it failed").lower()
    return GotunnelError(Sentence("the observer log cannot write {path}: {why}; name another file", path=path, why=why))


@implementer(IStreamObserver)
class MetricsObserver:
    """Durations and bytes of visitors by outcome."""

    def __init__(self, reactor: Any, options: object, role: str) -> None:
        self._seconds: dict[str, Histogram] = {}
        self._bytes: dict[str, int] = {}

    def opened(self, stream: Stream) -> None:
        """See IStreamObserver."""

    def bytes(self, stream: Stream, up: int, down: int) -> None:
        """See IStreamObserver."""

    def closed(self, stream: Stream, ended: Ended) -> None:
        """See IStreamObserver."""
        self._seconds.setdefault(ended.outcome, Histogram(BOUNDS)).observe(ended.seconds)
        self._bytes[ended.outcome] = self._bytes.get(ended.outcome, 0) + ended.up + ended.down

    def stop(self) -> None:
        """See IStreamObserver."""

    def collect(self) -> Iterator[Any]:
        """Return the metrics for a scrape; see IStreamObserver."""
        from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily

        seconds = HistogramMetricFamily(
            "gotunnel_visitor_seconds", "How long visitors stayed.", labels=["outcome"]
        )
        carried = CounterMetricFamily(
            "gotunnel_visitor_bytes", "Bytes of finished visitors, in both directions.", labels=["outcome"]
        )
        for outcome, histogram in self._seconds.items():
            seconds.add_metric([outcome], histogram.cumulated, histogram.total)
            carried.add_metric([outcome], self._bytes[outcome])
        yield seconds
        yield carried
