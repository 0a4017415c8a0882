"""The abstract methods that an implementation of legs provides: how bytes move between a leg and the connection of a
visitor or target. `legacts` decides when they are called."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Generic, Protocol, TypeVar

__all__ = ["LegBytes", "LocalT"]


class Paired(Protocol):
    """The attributes that a leg needs of its local connection, in addition to the methods below."""

    partner: Any
    why: str | None
    """See ILocal."""


LocalT = TypeVar("LocalT", bound=Paired)


class LegBytes(ABC, Generic[LocalT]):
    """The byte-moving methods of one leg. None may call back into the leg before it returns, except `_attach` and
    `_finish` as their docstrings say."""

    @abstractmethod
    def _write(self, data: bytes) -> None:
        """Queue a frame on the leg, behind everything queued already."""

    @abstractmethod
    def _unsent(self) -> int:
        """Return how many bytes queued on the leg the kernel has not taken."""

    @abstractmethod
    def _close_connection(self) -> None:
        """Close the leg's connection in order, after the queued bytes; `lost` follows."""

    @abstractmethod
    def _abort_connection(self) -> None:
        """Reset the leg's connection; `lost` follows."""

    @abstractmethod
    def _attach(self, local: LocalT) -> None:
        """Start to move bytes between `local` and the leg, but read nothing from `local` while it is held. Call
        `local_lost` if `local` has already closed."""

    @abstractmethod
    def _read_local(self, local: LocalT) -> None:
        """Start to read from a local connection that was held."""

    @abstractmethod
    def _detach(self, local: LocalT, *, abort: bool) -> None:
        """Release `local`: reset it with `abort`, otherwise let it finish on its own."""

    @abstractmethod
    def _half_close(self, local: LocalT) -> None:
        """Send end of stream to `local` after the bytes queued for it."""

    @abstractmethod
    def _finish(self, local: LocalT) -> None:
        """Close `local` in order after the bytes queued for it; then, or at once, call `local_closed`."""

    @abstractmethod
    def _hold(self) -> None:
        """Stop reading frames while the target is being dialled. The loss of the leg must still be noticed."""

    @abstractmethod
    def _go_on(self) -> None:
        """Resume reading frames."""
