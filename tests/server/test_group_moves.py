"""Visitors of a group while they move between its members: each is counted once, served once, and reset when asked."""

from __future__ import annotations

from gotunnel.core.outcome import Outcome
from gotunnel.server.streams import Streams
from gotunnel.wire.messages import LegsFailed, MappingRequest
from tests.doubles import FakePort
from tests.server.test_groups import GroupTestCase


class OneClientTests(GroupTestCase):
    """A client with two mappings in one group: a visitor that moves between them waits in the same place."""

    def twice(self) -> FakePort:
        """Let one client publish both mappings, and return the port."""
        results = self.one.register(
            MappingRequest("a", 8080, group="api"), MappingRequest("b", 8080, group="api")
        )
        self.assertEqual([result.status for result in results], ["ok", "ok"])
        return self.it.relay.port(8080)

    def counts(self) -> tuple[int, int, int]:
        """Return the waiting and the current visitors of the client, and those of the server."""
        peer = self.it.hub.peers["one"]
        return peer.pending, peer.visitors, self.it.hub.live

    def test_waits_on(self) -> None:
        """After the client has failed to bring a leg, the visitor still waits, and gets the next leg."""
        port = self.twice()
        visitor = port.visit()
        self.one.say(LegsFailed(False, 1, "no route"))
        self.assertEqual(self.counts(), (1, 1, 1))
        leg = self.one.bring_leg()
        self.assertEqual([opened.src for opened in leg.opened], [visitor.address])
        leg.answer()
        leg.finish()
        self.assertEqual(self.counts(), (0, 0, 0))

    def test_patience_ends(self) -> None:
        """It does not wait for longer than both mappings let it, and is then counted as ended."""
        visitor = self.twice().visit()
        self.one.say(LegsFailed(False, 1, "no route"))
        self.it.clock.advance(10)
        self.it.clock.advance(10)
        self.assertEqual((visitor.aborted, self.counts()), (True, (0, 0, 0)))
        self.assertEqual(self.outcomes(), {"no_leg": 1})

    def test_leaves(self) -> None:
        """A visitor that disconnects after its move is counted as ended."""
        visitor = self.twice().visit()
        self.one.say(LegsFailed(False, 1, "no route"))
        visitor.leave()
        self.assertEqual((self.counts(), self.outcomes()), ((0, 0, 0), {"visitor_left": 1}))


class MuteTests(GroupTestCase):
    """A leg that is tried ahead of a visitor."""

    def waits(self) -> None:
        """A visitor waits at one client, whose old leg is being tried, and not at the other one."""
        self.assertEqual(self.join(self.one), "ok")
        leg = self.one.bring_leg()
        self.it.clock.advance(11)
        self.it.relay.port(8080).visit()
        self.assertEqual((leg.state, self.join(self.two, name="other")), ("probing", "ok"))

    def test_no_answer(self) -> None:
        """It does not answer: the visitor goes to the other client."""
        self.waits()
        self.it.relay.legs[0].lose()
        self.assertEqual(self.visitors(), [0, 1])

    def test_successor(self) -> None:
        """It is closed because the client has connected anew: the visitor waits for a leg of that, and nobody blames
        the client."""
        self.waits()
        again = self.it.login("one")
        self.turn()
        self.assertEqual((self.visitors(), self.lines("goes from client")), ([1, 0], []))
        self.assertEqual(len(again.bring_leg().opened), 1)


class KickTests(GroupTestCase):
    """An operator resets a visitor that waits."""

    def test_reset(self) -> None:
        """It is reset, although another member could serve it."""
        port = self.both()
        visitor = port.visit()
        streams = Streams(self.it.hub)
        (waiting,) = streams
        self.assertEqual(waiting.state, "waiting")
        self.assertTrue(streams.kick(waiting.conn))
        self.assertEqual((visitor.aborted, list(streams), self.it.hub.live), (True, [], 0))
        self.assertEqual((self.visitors(), self.outcomes()), ([0, 0], {Outcome.STOPPED.value: 1}))
        self.assertFalse(streams.kick(waiting.conn))
