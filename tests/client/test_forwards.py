"""Forwards and the egress socket of a client whose file changes while visitors wait for a leg."""

from __future__ import annotations

from unittest.mock import Mock

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from gotunnel.address import HostPort
from gotunnel.client.forwards import Forwards
from gotunnel.client.forwardvisitors import EgressVisitor
from gotunnel.config.model import EgressConfig, ForwardConfig
from gotunnel.core.outcome import Outcome
from gotunnel.core.usage import Usage
from tests.doubles import FakeLocal, FakeRelay


class ChangeTests(SynchronousTestCase):
    """A forward and an egress socket, and no server."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.relay = FakeRelay(self.clock)
        values = {"name": "db", "listen": "127.0.0.1:5432", "dial": "192.0.2.7:5432"}
        self.forward = ForwardConfig.model_validate(values)
        self.egress = EgressConfig.model_validate({"listen": "unix:/run/gotunnel/egress"})
        self.usage = Usage()
        self.forwards = Forwards([self.forward], self.egress, self.clock, self.relay, self.usage)

    def asks(self) -> FakeLocal:
        """Somebody asks on the egress socket."""
        local = FakeLocal("egress")
        target, openers = HostPort("192.0.2.9", 10250), self.forwards.openers
        self.forwards.let_in(
            EgressVisitor("c-1", str(self.egress.listen), False, local, 0.0, target, openers, Mock())
        )
        return local

    def change(self, *forwards: ForwardConfig, egress: EgressConfig | None = None) -> None:
        """The file says this now."""
        changing = Deferred.fromCoroutine(self.forwards.change(forwards, egress))
        self.clock.pump([0, 0, 0])
        self.successResultOf(changing)

    def test_egress_removed(self) -> None:
        """Who waits for an egress socket that is gone is reset, and who waits for one that stays is not."""
        local = self.asks()
        self.change(egress=self.egress)
        self.assertFalse(local.aborted)
        self.change(self.forward)
        self.assertEqual((local.aborted, self.usage.live, self.usage.outcomes), (True, 0, {Outcome.STOPPED: 1}))

    def test_forward_removed(self) -> None:
        """The same of a forward, also of one that comes in until its port is closed."""
        self.patch(self.forwards, "_egress", None)  # it is no socket of this test
        self.forwards.start()
        port = self.relay.port(5432)
        waiting = port.visit()
        changing = Deferred.fromCoroutine(self.forwards.change([], None))
        late = port.visit()
        self.clock.pump([0, 0, 0])
        self.successResultOf(changing)
        self.assertEqual((port.open, waiting.aborted, late.aborted), (False, True, True))
        self.assertEqual((self.usage.live, self.usage.outcomes), (0, {Outcome.STOPPED: 2}))
