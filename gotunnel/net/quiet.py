"""Who says nothing: a client factory that does not tell of its start and stop, since each leg and each dial makes one;
and what is called where nobody wants to hear."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Factory, Protocol

__all__ = ["OneProtocol", "nothing"]


class OneProtocol(Factory):
    """Gives whatever `make` returns."""

    noisy = False

    def __init__(self, make: Callable[[], Protocol]) -> None:
        self._make = make

    def buildProtocol(self, addr: IAddress | None) -> Protocol:
        """Called by Twisted when the connection is there."""
        return self._make()


def nothing() -> None:
    """Do nothing. There is one of it, so that who calls very often can leave it uncalled."""
