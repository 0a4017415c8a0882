"""Tests of gotunnel.net.targetway: an address that says nothing, to which a refusal has led."""

from __future__ import annotations

from gotunnel.core.stream import PORT_UNREACHABLE
from gotunnel.net.targetflow import SILENCE
from gotunnel.net.targetway import AGAIN, PATIENCE

from .targetflows import FIRST, SECOND, THIRD, Played, PlayedCase


class SilentTests(PlayedCase):
    """The others are tried again."""

    def setUp(self) -> None:
        super().setUp()
        self.one = self.flow()
        self.one._take(b"one", True)
        self.played.made[0].refused()
        self.silent = self.played.made[1]
        self.slow.clock.advance(AGAIN)

    def tries(self) -> Played.Socket:
        """It tries the first one again."""
        self.one._take(b"two", True)
        self.one._take(b"three", True)
        tried = self.played.made[-1]
        self.assertEqual((tried.host, tried.sent, self.one.host), (FIRST, [b"two", b"three"], FIRST))
        return tried

    def after(self, *wanted: bytes) -> None:
        """The flow is where it was, and this socket has had these and no others."""
        self.one._take(b"last", True)
        self.assertEqual((self.one.destination(), self.silent.closed), (self.silent.here, False))
        self.assertEqual(self.silent.sent, [b"one", *wanted, b"last"])
        self.assertEqual(sum(not each.closed for each in self.played.made), 1)

    def test_back(self) -> None:
        """Where the other one refuses as before, the flow comes back to its socket: a service that never answers sees
        it come from one port, and has everything once."""
        self.tries().refused()
        self.assertEqual(self.one._outlet._way._kept.datagrams, [])
        self.slow.clock.advance(AGAIN)
        self.tries().refused()
        self.after(*[b"two", b"three"] * 2)

    def test_stays(self) -> None:
        """Where it does not refuse, the flow stays there, and has no need of its former socket once it is answered."""
        tried = self.tries()
        self.slow.clock.advance(10 * AGAIN)
        self.one._take(b"four", True)
        self.assertEqual((self.silent.closed, tried.sent[2:]), (False, [b"four"]))
        self.slow.clock.advance(PATIENCE)
        self.assertEqual((self.slow.clock.getDelayedCalls(), self.answers._hopeful), ([], {}))
        tried.arrived(b"answer")
        self.assertEqual(self.silent.closed, True)
        tried.refused()
        self.assertEqual(self.one.why, PORT_UNREACHABLE)

    def test_lost(self) -> None:
        """That it does not refuse may be since what it was sent was lost, or its refusal: it comes back still when a
        later one is refused, with that one."""
        tried = self.tries()
        self.slow.clock.advance(10 * AGAIN)
        self.one._take(b"four", True)
        tried.refused()
        self.after(b"four")

    def test_another_name(self) -> None:
        """Nor is there a way back to an address that the name does not have any more."""
        self.tries()
        self.slow.clock.advance(SILENCE)
        self.slow.hosts = (THIRD,)
        self.one._take(b"four", True)
        self.assertEqual((self.one.host, self.sent()[-1]), (THIRD, (THIRD, [b"four"])))
        self.assertEqual(sum(not each.closed for each in self.played.made), 1)

    def test_answers(self) -> None:
        """Where it answers, the flow stays there at once."""
        self.tries().arrived(b"answer")
        self.assertEqual((self.silent.closed, list(self.one._queue), self.flow().host), (True, [b"answer"], FIRST))

    def test_late(self) -> None:
        """An answer that comes late, while the other one is tried, is heard, and decides where the flow stays; what
        the other one refuses meanwhile is not lost."""
        self.tries()
        self.silent.arrived(b"late")
        self.assertEqual((list(self.one._queue), self.one.host), ([b"late"], FIRST))
        self.slow.clock.advance(PATIENCE)
        self.after()
        self.slow.clock.advance(AGAIN)
        self.after(b"last")
        self.assertEqual(self.flow().host, SECOND)

    def test_late_and_refused(self) -> None:
        """The same where the other one refuses."""
        tried = self.tries()
        self.silent.arrived(b"late")
        tried.refused()
        self.after(b"two", b"three")
        self.assertEqual(self.flow().host, SECOND)

    def test_refuses_late(self) -> None:
        """Where it refuses, too, while the other one is tried, there is nothing to come back to."""
        tried = self.tries()
        self.silent.refused()
        self.assertEqual((self.silent.closed, self.one.gone), (True, False))
        tried.refused()
        self.assertEqual(self.one.why, PORT_UNREACHABLE)
        self.assertTrue(all(each.closed for each in self.played.made))

    def test_no_way(self) -> None:
        """Where there is no way to any other one it stays, too."""
        self.played.nowhere = {FIRST}
        self.after()

    def test_ends(self) -> None:
        """A flow that ends while another one is tried leaves nothing."""
        self.tries()
        self.one.abort()
        self.assertTrue(all(each.closed for each in self.played.made))
        self.assertEqual((self.slow.clock.getDelayedCalls(), self.answers._hopeful), ([], {}))
