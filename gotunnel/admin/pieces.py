"""Writes JSON of any length in pieces: no piece occupies the event loop for long, and none is made before the reader
has taken the one before it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from time import perf_counter
from typing import Any

from twisted.internet.interfaces import IDelayedCall, IPushProducer
from zope.interface import implementer

from gotunnel.core.view import plain

__all__ = ["Pieces", "fragments"]

SLICE = 0.004
"""Seconds of work in one turn of the event loop."""
LOOK = 16
"""Items between two looks at the clock."""


def fragments(content: dict[str, Any]) -> Iterator[str]:
    """Yield an object as text, item by item if a value is an iterator."""
    yield "{"
    for number, (key, value) in enumerate(content.items()):
        yield f"{', ' if number else ''}{json.dumps(key)}: "
        if isinstance(value, Iterator):
            yield "["
            for index, item in enumerate(value):
                yield ("," if index else "") + json.dumps(plain(item))
            yield "]"
        else:
            yield json.dumps(plain(value))
    yield "}\n"


@implementer(IPushProducer)
class Pieces:
    """Writes one object to a consumer; calls `done()` when everything is written."""

    def __init__(self, clock: Any, content: dict[str, Any], consumer: Any, done: Callable[[], None]) -> None:
        self._clock = clock
        self._fragments = fragments(content)
        self._consumer = consumer
        self._done = done
        self._next: IDelayedCall | None = None
        self._paused = False
        self._over = False

    def start(self) -> None:
        """Start writing."""
        self._consumer.registerProducer(self, True)
        self._write()

    def pauseProducing(self) -> None:
        """Called when the reader is slow."""
        self._paused = True

    def resumeProducing(self) -> None:
        """Called when the reader has caught up."""
        self._paused = False
        if self._next is None and not self._over:
            self._next = self._clock.callLater(0, self._write)

    def stopProducing(self) -> None:
        """Called when the reader has disconnected."""
        self._over = True
        if self._next is not None:
            self._next.cancel()
            self._next = None
        self._fragments.close()  # type: ignore[attr-defined]

    def _write(self) -> None:
        self._next = None
        if self._over or self._paused:
            return
        end = perf_counter() + SLICE
        found: list[str] = []
        for fragment in self._fragments:
            found.append(fragment)
            if not len(found) % LOOK and perf_counter() >= end:
                self._next = self._clock.callLater(0, self._write)
                break
        else:
            self._over = True
        self._consumer.write("".join(found).encode())
        if self._over:
            self._consumer.unregisterProducer()
            self._done()
