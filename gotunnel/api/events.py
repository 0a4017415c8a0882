"""What a program can hear of a tunnel while it runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from gotunnel.address import HostPort
from gotunnel.logs import Logger

__all__ = ["Connected", "Event", "Lost", "MappingClosed", "MappingOpened", "Observers"]


@dataclass(frozen=True, slots=True)
class Connected:
    """There is a session with the server."""

    server: str


@dataclass(frozen=True, slots=True)
class Lost:
    """There is none any more, or none could be had; it is tried again, and a Connected will follow. `reason` is one
    line."""

    server: str
    reason: str


@dataclass(frozen=True, slots=True)
class MappingOpened:
    """Visitors can come in: at `address`, or, where it is None, by the forwards of other clients."""

    mapping: str
    address: HostPort | None


@dataclass(frozen=True, slots=True)
class MappingClosed:
    """They cannot any more. Unless this program has closed it, it is asked for again."""

    mapping: str
    reason: str


Event = Connected | Lost | MappingOpened | MappingClosed


class Observers:
    """Who wants to hear them."""

    log = Logger()

    def __init__(self) -> None:
        self._observers: dict[object, Callable[[Event], object]] = {}

    def __bool__(self) -> bool:
        return bool(self._observers)

    def add(self, observer: Callable[[Event], object]) -> Callable[[], None]:
        """Call it with each event; return what ends that, and is harmless when called again."""
        entry = object()
        self._observers[entry] = observer

        def remove() -> None:
            self._observers.pop(entry, None)

        return remove

    def tell(self, event: Event) -> None:
        """Tell everybody. One who raises harms nobody else."""
        for observer in tuple(self._observers.values()):
            try:
                observer(event)
            except Exception:  # noqa: BLE001 - whatever he did
                self.log.failure("an observer of a tunnel")
