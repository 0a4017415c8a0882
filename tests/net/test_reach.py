"""Dials by name: which rules decide, and how often an address is checked."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from gotunnel.address import HostPort
from gotunnel.dialrules import DialRules
from gotunnel.errors import DialFailed
from gotunnel.interfaces import ILocal
from gotunnel.net import reach
from tests.doubles import FakeLocal, FakeRelay


class ByNameTests(SynchronousTestCase):
    """A name with two addresses, each of which takes a while to connect to."""

    def setUp(self) -> None:
        self.checked: list[str] = []
        self.patch(reach, "is_own", lambda host: self.checked.append(host))
        self.rules = DialRules.parse(["good.example:443"])
        clock: Any = Clock()
        self.relay: Any = FakeRelay(clock)
        reached = reach.reach(
            clock, self.relay, lambda: self.rules, HostPort("good.example", 443), 10,
            lambda target, timeout: succeed(["192.0.2.1", "192.0.2.2"]),
        )  # fmt: skip
        assert isinstance(reached, Deferred)
        self.reached: Deferred[ILocal] = reached

    def dialled(self) -> list[str]:
        """Return the addresses that were dialled."""
        return [target.host for target, _ in self.relay.dials]

    def test_checked_once(self) -> None:
        """Under the same rules each address is checked once: that may ask the kernel."""
        self.relay.dials[0][1].errback(DialFailed("refused", "refused"))
        local = FakeLocal()
        self.relay.dials[1][1].callback(local)
        self.assertIs(self.successResultOf(self.reached), local)
        self.assertEqual((self.dialled(), self.checked), (["192.0.2.1", "192.0.2.2"], ["192.0.2.1", "192.0.2.2"]))

    def connected(self, rule: str) -> FakeLocal:
        """Change the rules while the first address is being connected to."""
        self.rules = DialRules.parse([rule])
        local = FakeLocal()
        self.relay.dials[0][1].callback(local)
        return local

    def test_still_allowed(self) -> None:
        """Other rules by the time it is connected, which allow the address: it stays connected."""
        local = self.connected("192.0.2.0/24:443")
        self.assertIs(self.successResultOf(self.reached), local)
        self.assertFalse(local.aborted)

    def test_no_longer_allowed(self) -> None:
        """Other rules by the time it is connected, which do not allow it: it is reset."""
        local = self.connected("192.0.2.0/24:80")
        self.assertEqual(self.failureResultOf(self.reached, DialFailed).value.code, reach.NOT_ALLOWED)
        self.assertTrue(local.aborted)

    def test_next(self) -> None:
        """Other rules by the time the first address has failed: the second one is not dialled."""
        self.rules = DialRules.parse(["192.0.2.1:443"])
        self.relay.dials[0][1].errback(DialFailed("refused", "refused"))
        self.assertEqual(self.failureResultOf(self.reached, DialFailed).value.code, "refused")
        self.assertEqual(self.dialled(), ["192.0.2.1"])
