"""One visitor of a mapping at a Go server, from the server's request for a leg to the end of its stream."""

from __future__ import annotations

from twisted.internet.defer import Deferred

from gotunnel.core.accounts import Account
from gotunnel.net.local import Local

__all__ = ["V1Stream"]


class V1Stream:
    """Its id in the log, when it began, its account, and the dial while that is in progress."""

    __slots__ = ("account", "began", "conn", "dial", "dropped", "kicked")

    def __init__(self, conn: str, began: float, account: Account) -> None:
        self.conn = conn
        self.began = began
        self.account = account
        self.dial: Deferred[Local] | None = None
        self.kicked = False
        """Whether an operator has reset it before its target and its leg were joined."""
        self.dropped = False
        """Whether it was dropped with all others before then. Its dial or its leg may still report a failure: Twisted
        reports a cancelled lookup as one that failed."""

    def kick(self) -> None:
        """Give up its target. Its leg is still made: the server resets the visitor when that closes, and pairs legs
        with visitors by their order, so a leg in progress must not be cancelled either."""
        self.kicked = True
        if self.dial is not None:
            self.dial.cancel()
