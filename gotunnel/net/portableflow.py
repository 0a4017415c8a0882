"""Adapts a flow to the legs of the portable relay. For flows see `flow`."""

from __future__ import annotations

from typing import Any

from gotunnel.net.flow import Flow
from gotunnel.net.quiet import nothing

__all__ = ["PortableFlow"]


class PortableFlow(Flow):
    """A flow with the methods of `net.local.Local` that a leg calls."""

    _sink: Any = None

    @property
    def _joined(self) -> Any:
        return self._sink

    def _part(self) -> None:
        self._sink = None

    def attach(self, sink: Any) -> None:
        """Join this leg."""
        self.on_gone = nothing
        if self.gone:
            sink.local_lost()
        else:
            self._sink = sink

    def detach(self) -> None:
        """Part from the leg."""
        self._sink = None
        self.reading = False

    def resume(self) -> None:
        """Give datagrams to the leg: it takes them."""
        if not self.gone:
            self.reading = True
            self._offer()

    def pause(self) -> None:
        """Stop giving datagrams to the leg."""
        self.reading = False

    def write(self, data: bytes) -> None:
        """Take a piece of a frame from the leg."""
        try:
            self._take(data, not self._sink.unfinished)
        except OSError:
            if not self.gone:
                self.lost()

    def _offer(self) -> None:
        while self.reading and self._queue and self._sink is not None:
            self._sink.local_data(self._queue.popleft())
