"""Streams of the log that tests write to, on a clock that stands."""

from __future__ import annotations

from collections.abc import Callable
from typing import TextIO

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from gotunnel.cli import steadystream
from gotunnel.cli.steadystream import SteadyStream

__all__ = ["SteadyTestCase"]


class SteadyTestCase(SynchronousTestCase):
    """Makes them."""

    def setUp(self) -> None:
        """Make the clock."""
        self.clock = Clock()

    def steady(self, stream: TextIO, most: int = 1 << 20) -> SteadyStream:
        """Return one on a stream, which is closed at the end."""
        self.addCleanup(stream.close)

        def later(seconds: float, function: Callable[[], None]) -> bool:
            self.clock.callLater(seconds, function)
            return True

        made = SteadyStream(stream, most, later)
        self.addCleanup(steadystream.atexit.unregister, made._end)
        if made._destination is not None:
            self.addCleanup(made._destination.close)
        return made
