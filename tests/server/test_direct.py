"""Requests of the egress socket that the server dials itself: how those fare whose dial is given up."""

from __future__ import annotations

from gotunnel.address import HostPort
from gotunnel.core.outcome import Outcome
from gotunnel.errors import DialFailed
from gotunnel.server import direct
from gotunnel.server.streams import Streams
from tests.server.world import ServerTestCase


class Request:
    """See EgressRequest."""

    def __init__(self) -> None:
        self.target = HostPort("192.0.2.7", 443)
        self.refused: list[str] = []

    def refuse(self, code: str, reason: str = "") -> None:
        """See EgressRequest."""
        self.refused.append(code)


class DialTests(ServerTestCase):
    """A target that does not answer."""

    def setUp(self) -> None:
        self.it = self.world()
        self.patch(direct, "RawRelay", lambda reactor: self.it.relay)
        self.direct = direct.Direct(self.it.hub, self.it.clock)
        self.request = Request()
        self.direct.serve(self.request)  # type: ignore[arg-type]
        (self.view,) = Streams(self.it.hub)

    def assertEnded(self, code: str, outcome: Outcome) -> None:
        """The request was answered with this code, and counted once with this outcome."""
        self.assertEqual((self.request.refused, dict(self.it.hub.outcomes)), ([code], {outcome: 1}))
        self.assertEqual((self.it.hub.live, list(Streams(self.it.hub)), self.it.hub.streaming), (0, [], set()))

    def test_drained(self) -> None:
        """The time to drain is over."""
        self.assertEqual(self.view.state, "dialling")
        self.direct.reset_streams()
        self.assertEnded("going_away", Outcome.DRAINED)

    def test_kicked(self) -> None:
        """An operator has ended it."""
        self.assertTrue(self.direct.kick(self.view.conn))
        self.assertEnded("failed", Outcome.STOPPED)

    def test_refused(self) -> None:
        """The target refuses."""
        _, dialled = self.it.relay.dials[0]
        dialled.errback(DialFailed("refused", "connection refused"))
        self.assertEnded("refused", Outcome.REFUSED)
