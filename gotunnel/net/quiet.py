"""Who says nothing: a client factory that does not tell of its start and stop, since each leg and each dial makes one;
and what is called where nobody wants to hear."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Factory, Protocol

__all__ = ["OneProtocol", "nothing"]


class OneProtocol(Factory):
    """Gives what `make` returns, once: whoever is connected keeps his factory, which is not to keep him."""

    noisy = False

    def __init__(self, make: Callable[[], Protocol]) -> None:
        self._make: Callable[[], Protocol] | None = make

    def buildProtocol(self, addr: IAddress | None) -> Protocol | None:
        """Called by Twisted when the connection is there."""
        make, self._make = self._make, None
        return None if make is None else make()


def nothing() -> None:
    """Do nothing. There is one of it, so that who calls very often can leave it uncalled."""
