"""A flow as the legs of the portable relay know their local connections. What a flow is: see `flow`."""

from __future__ import annotations

from typing import Any

from gotunnel.net.flow import Flow
from gotunnel.net.quiet import nothing

__all__ = ["PortableFlow"]


class PortableFlow(Flow):
    """See `net.local.Local`, in whose place a leg gets it."""

    _sink: Any = None

    @property
    def _joined(self) -> Any:
        return self._sink

    def _part(self) -> None:
        self._sink = None

    def attach(self, sink: Any) -> None:
        """This leg has it from now on."""
        self.on_gone = nothing
        if self.gone:
            sink.local_lost()
        else:
            self._sink = sink

    def detach(self) -> None:
        """No leg has it any more."""
        self._sink = None
        self.reading = False

    def resume(self) -> None:
        """The leg takes datagrams."""
        if not self.gone:
            self.reading = True
            self._offer()

    def pause(self) -> None:
        """It takes none."""
        self.reading = False

    def write(self, data: bytes) -> None:
        """A piece of a frame has come."""
        try:
            self._take(data, not self._sink.unfinished)
        except OSError:
            if not self.gone:
                self.lost()

    def _offer(self) -> None:
        while self.reading and self._queue and self._sink is not None:
            self._sink.local_data(self._queue.popleft())
