"""A register of version 1 that takes its time: what happens to it when its client may not stay any more meanwhile."""

from __future__ import annotations

from typing import Any
from unittest.mock import Mock

from twisted.internet.defer import Deferred

from gotunnel.config.model import V1ServerConfig
from gotunnel.core.outcome import Outcome
from gotunnel.server.v1.peers import V1Peers, V1Refused
from gotunnel.server.v1.session import V1Session
from gotunnel.wire.v1 import Register
from tests.server.world import ServerTestCase
from tests.v1.peers import V1_TOKEN


def section(token: str) -> V1ServerConfig:
    """Return the section of a file."""
    return V1ServerConfig.model_validate({"enabled": True, "token": token})


class RegisteringTests(ServerTestCase):
    """A server without sockets, whose access policy is slow."""

    def setUp(self) -> None:
        self.it = self.world()
        self.relay: Any = self.it.relay
        self.peers = V1Peers(self.it.hub, section(V1_TOKEN), self.relay, frozenset())
        self.it.hub.v1 = self.peers
        self.vetting: Deferred[None] = Deferred()
        self.patch(self.it.hub, "vetter", lambda *names: lambda port: self.vetting)
        self.registered: Deferred[V1Session] = Deferred.fromCoroutine(
            self.peers.register(Register(80, 8080, "tcp", V1_TOKEN, "go"), "192.0.2.1", "192.0.2.1:5")
        )
        self.assertNoResult(self.registered)

    def turn(self) -> None:
        """Let ports close."""
        for _ in range(4):
            self.it.clock.advance(0)

    def assertRefused(self, reason: str) -> None:
        """It was refused for that; its port is closed, and nothing is left of it."""
        self.vetting.callback(None)
        self.turn()
        refused = self.failureResultOf(self.registered, V1Refused).value
        self.assertIn(reason, refused.reason)
        self.assertEqual((self.it.relay.ports, self.peers.present, self.peers.peers), ([], (), ()))
        self.assertEqual(self.it.clock.getDelayedCalls(), [])

    def test_granted(self) -> None:
        """Otherwise it is granted."""
        self.vetting.callback(None)
        self.assertIs(self.successResultOf(self.registered), self.peers.present[0])

    def test_other_token(self) -> None:
        """Its token is not valid any more."""
        self.peers.use(section("another" + V1_TOKEN))
        self.assertRefused("its token is not valid any more")

    def test_off(self) -> None:
        """Version 1 is off."""
        Deferred.fromCoroutine(self.peers.close())
        self.assertRefused("version 1 is off")

    def test_stopped(self) -> None:
        """The server stops."""
        self.peers.go_away("the server stops", Outcome.DRAINED)
        self.assertRefused("the server stops")


class RivalTests(ServerTestCase):
    """A register that waits until the session that has its port does not answer."""

    def setUp(self) -> None:
        self.it = self.world()
        relay: Any = self.it.relay
        self.peers = V1Peers(self.it.hub, section(V1_TOKEN), relay, frozenset())
        self.it.hub.v1 = self.peers
        self.successResultOf(self.register())
        self.answer: Deferred[bool] = Deferred()
        self.patch(V1Session, "answers", lambda session, seconds: self.answer)
        self.registered = self.register()
        self.assertNoResult(self.registered)

    def register(self) -> Deferred[V1Session]:
        """Register the port."""
        register = Register(80, 8080, "tcp", V1_TOKEN, "go")
        return Deferred.fromCoroutine(self.peers.register(register, "192.0.2.1", "192.0.2.1:5"))

    def assertRefused(self, code: str) -> None:
        """It was refused, and has no session."""
        self.answer.callback(False)
        self.assertEqual(self.failureResultOf(self.registered, V1Refused).value.code, code)
        self.assertEqual(self.peers.present, ())

    def test_granted(self) -> None:
        """It gets the port."""
        self.answer.callback(False)
        self.assertEqual(self.peers.present, (self.successResultOf(self.registered),))

    def test_other_token(self) -> None:
        """Its token is not valid any more by then."""
        self.peers.use(section("another" + V1_TOKEN))
        self.assertRefused("auth_failed")

    def test_off(self) -> None:
        """Version 1 is off by then: its port does not open again."""
        self.it.hub.v1 = None
        Deferred.fromCoroutine(self.peers.close())
        for _ in range(4):
            self.it.clock.advance(0)
        self.assertRefused("going_away")
        self.assertEqual(self.it.relay.ports, [])


class OutcomeTests(ServerTestCase):
    """What visitors of clients that may not stay are counted as."""

    def test_stopped(self) -> None:
        """They are drained only when the time to drain is over."""
        for act, outcome in (
            (lambda peers: peers.use(section("another" + V1_TOKEN)), Outcome.STOPPED),
            (lambda peers: Deferred.fromCoroutine(peers.close()), Outcome.STOPPED),
            (lambda peers: peers.go_away("the server stops", Outcome.DRAINED), Outcome.DRAINED),
        ):
            it, joint = self.world(), Mock()
            relay: Any = it.relay
            peers = V1Peers(it.hub, section(V1_TOKEN), relay, frozenset())
            registering = Deferred.fromCoroutine(
                peers.register(Register(80, 8080, "tcp", V1_TOKEN, "go"), "192.0.2.1", "192.0.2.1:5")
            )
            session = self.successResultOf(registering)
            session._streams[joint] = Mock()
            act(peers)
            joint.reset.assert_called_once_with(outcome)
