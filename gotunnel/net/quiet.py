"""A client factory that logs neither start nor stop, since each leg and each dial makes one; and a callback that does
nothing."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Factory, Protocol

__all__ = ["OneProtocol", "nothing"]


class OneProtocol(Factory):
    """Builds one protocol with `make`, once. A connection keeps its factory, and this one then holds no reference to
    the protocol."""

    noisy = False

    def __init__(self, make: Callable[[], Protocol]) -> None:
        self._make: Callable[[], Protocol] | None = make

    def buildProtocol(self, addr: IAddress | None) -> Protocol | None:
        """Build the protocol; called by Twisted when the connection is made."""
        make, self._make = self._make, None
        return None if make is None else make()


def nothing() -> None:
    """Do nothing. Frequent callers can compare with this one function and skip the call."""
