"""What an implementation of legs provides: how bytes move between a leg and a visitor's or target's connection. When
that happens is decided in `legacts`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Generic, Protocol, TypeVar

__all__ = ["LegBytes", "LocalT"]


class Paired(Protocol):
    """What a leg needs of whatever it joins, beyond the verbs below."""

    partner: Any
    why: str | None
    """See ILocal."""


LocalT = TypeVar("LocalT", bound=Paired)


class LegBytes(ABC, Generic[LocalT]):
    """The verbs of `LegBase`, each for one leg. None of them may call back before it returns, but for `_attach` and
    `_finish` as their docstrings say."""

    @abstractmethod
    def _write(self, data: bytes) -> None:
        """Queue a frame on the leg, behind what is queued already."""

    @abstractmethod
    def _unsent(self) -> int:
        """Count the bytes queued on the leg that the kernel has not taken."""

    @abstractmethod
    def _close_connection(self) -> None:
        """Close the leg's connection in order, behind what is queued; `lost` follows."""

    @abstractmethod
    def _abort_connection(self) -> None:
        """Reset the leg's connection; `lost` follows."""

    @abstractmethod
    def _attach(self, local: LocalT) -> None:
        """Begin to move bytes between `local` and the leg, but read nothing from it while it is held. If `local` is
        gone already, call `local_lost`."""

    @abstractmethod
    def _read_local(self, local: LocalT) -> None:
        """Read from one that was held."""

    @abstractmethod
    def _detach(self, local: LocalT, *, abort: bool) -> None:
        """Part from `local`: reset it, or let it finish by itself."""

    @abstractmethod
    def _half_close(self, local: LocalT) -> None:
        """Send end of stream to `local` behind what is queued for it."""

    @abstractmethod
    def _finish(self, local: LocalT) -> None:
        """Close `local` in order behind what is queued for it; then (or at once) call `local_closed`."""

    @abstractmethod
    def _hold(self) -> None:
        """Read no frames: the target is being dialled. That the leg is lost must be noticed all the same."""

    @abstractmethod
    def _go_on(self) -> None:
        """Read frames again."""
