"""A client factory that says nothing when it starts and stops: each leg and each dial makes one."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Factory, Protocol

__all__ = ["OneProtocol"]


class OneProtocol(Factory):
    """Gives whatever `make` returns."""

    noisy = False

    def __init__(self, make: Callable[[], Protocol]) -> None:
        self._make = make

    def buildProtocol(self, addr: IAddress | None) -> Protocol:
        """Called by Twisted when the connection is there."""
        return self._make()
