"""Requests of the egress socket that the server dials itself: how those fare whose dial is given up."""

from __future__ import annotations

from unittest.mock import Mock

from gotunnel.address import HostPort
from gotunnel.config.model import ServerConfig
from gotunnel.core.outcome import Outcome
from gotunnel.errors import DialFailed
from gotunnel.net import observing
from gotunnel.net.observing import INTERVAL
from gotunnel.server import direct
from gotunnel.server.plugins import plugins_prepared
from gotunnel.server.streams import Streams
from tests.server.world import TOKEN, ServerTestCase


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

    def test_observed(self) -> None:
        """Observers hear how much it has carried while it streams."""
        observer = Mock()
        self.patch(observing, "made", lambda *arguments: observer)
        config = ServerConfig.model_validate({"token": TOKEN, "observers": ["metrics"]})
        changed = self.it.hub.config.model_copy(update={"observers": config.observers})
        plugins_prepared(self.it.hub, changed, self.it.clock)()
        self.direct.serve(self.request)  # type: ignore[arg-type]
        (stream,) = observer.opened.call_args.args
        _, visitor = self.direct.dialling.values()
        self.direct.streams[Mock(carried=(3, 4))] = visitor
        self.it.clock.advance(INTERVAL)
        observer.bytes.assert_called_once_with(stream, 3, 4)

    def test_refused(self) -> None:
        """The target refuses."""
        _, dialled = self.it.relay.dials[0]
        dialled.errback(DialFailed("refused", "connection refused"))
        self.assertEnded("refused", Outcome.REFUSED)
