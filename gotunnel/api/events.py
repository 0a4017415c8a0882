"""The events of a tunnel that a program can observe."""

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
    """The session has ended, or none could be established. gotunnel tries again, and a Connected follows. `reason` is
    one line."""

    server: str
    reason: str


@dataclass(frozen=True, slots=True)
class MappingOpened:
    """Visitors can connect: to `address`, or, if that is None, through forwards of other clients."""

    mapping: str
    address: HostPort | None


@dataclass(frozen=True, slots=True)
class MappingClosed:
    """Visitors can no longer connect. Unless this program has closed the mapping, it is requested again. `reason` is
    one line."""

    mapping: str
    reason: str


Event = Connected | Lost | MappingOpened | MappingClosed


class Observers:
    """The observers of a tunnel."""

    log = Logger()

    def __init__(self) -> None:
        self._observers: dict[object, Callable[[Event], object]] = {}

    def __bool__(self) -> bool:
        return bool(self._observers)

    def add(self, observer: Callable[[Event], object]) -> Callable[[], None]:
        """Call `observer` with each event. Return a function that stops this; it is harmless when called again."""
        entry = object()
        self._observers[entry] = observer

        def remove() -> None:
            self._observers.pop(entry, None)

        return remove

    def tell(self, event: Event) -> None:
        """Call all observers. One that raises does not affect the others."""
        for observer in tuple(self._observers.values()):
            try:
                observer(event)
            except Exception:  # noqa: BLE001 - whatever an observer raises
                self.log.failure("an observer of a tunnel")
