"""Which addresses are this machine's own."""

from __future__ import annotations

import socket

from twisted.trial.unittest import SynchronousTestCase

from gotunnel.net import ownaddress
from gotunnel.net.ownaddress import is_own

OWN = ("127.0.0.1", "127.200.3.4", "::ffff:127.0.0.1")
FOREIGN = ("192.0.2.77", "203.0.113.9", "2001:db8::9", "::ffff:192.0.2.77")


class OwnAddressTests(SynchronousTestCase):
    """Both ways to tell."""

    def check(self) -> None:
        """Judge addresses of either kind."""
        for address in OWN:
            self.assertTrue(is_own(address), address)
        for address in FOREIGN:
            self.assertFalse(is_own(address), address)

    def test_by_route(self) -> None:
        """As the kernel sees it."""
        self.check()

    def test_without_netlink(self) -> None:
        """Where the kernel cannot be asked (another system, or a sandbox), the same by trying to be there."""
        before = socket.socket

        def refusing(family: int = socket.AF_INET, *more: int) -> socket.socket:
            if family == socket.AF_NETLINK:
                raise OSError(97, "no such family")
            return before(family, *more)

        self.patch(ownaddress.socket, "socket", refusing)
        self.check()

    def test_not_certain(self) -> None:
        """What neither way can tell counts as our own: a rule by name is then not enough."""

        def refusing(*words: int) -> socket.socket:
            raise OSError(24, "too many open files")

        self.patch(ownaddress.socket, "socket", refusing)
        self.assertTrue(is_own("203.0.113.9"))
