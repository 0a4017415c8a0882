"""The target that a server is for a client's measurement: what it takes, what it sends, and when it has had enough."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from gotunnel.server import measuring


class Transport(StringTransport):
    """Takes a producer's bytes as they come, and remembers how it ended."""

    aborted = False

    def abortConnection(self) -> None:
        """See ITCPTransport."""
        self.aborted = True

    def drain(self) -> None:
        """Let it send all that it has."""
        while self.producer is not None:
            self.producer.resumeProducing()


class TargetTests(SynchronousTestCase):
    """Without a relay, and without sockets."""

    def target(self, volume: int) -> tuple[measuring._Target, Transport]:
        """Return one that is to send so much back."""
        self.clock, self.over = Clock(), 0
        target, transport = measuring._Target(self.clock, volume, self.ended), Transport()
        target.makeConnection(transport)
        return target, transport

    def ended(self) -> None:
        """See _Target."""
        self.over += 1

    def test_to_the_byte(self) -> None:
        """It says nothing before the end of what comes, and then what was asked for, and no byte more."""
        for volume in (0, 1, 65_536, 200_000):
            target, transport = self.target(volume)
            target.dataReceived(b"x" * 1000)
            self.assertIsNone(transport.producer)
            target.readConnectionLost()
            transport.drain()
            self.assertEqual((len(transport.value()), transport.disconnecting), (volume, True))
            target.connectionLost()
            self.assertEqual((self.over, self.clock.getDelayedCalls(), transport.aborted), (1, [], False))

    def test_too_much(self) -> None:
        """Who sends more than there is to be is cut."""
        self.patch(measuring, "MOST", 1000)
        target, transport = self.target(0)
        target.dataReceived(b"x" * 1000)
        self.assertFalse(transport.aborted)
        target.dataReceived(b"x")
        self.assertTrue(transport.aborted)

    def test_too_long(self) -> None:
        """Nobody holds it for longer than its time."""
        _, transport = self.target(0)
        self.clock.advance(measuring.SECONDS - 0.1)
        self.assertFalse(transport.aborted)
        self.clock.advance(0.2)
        self.assertTrue(transport.aborted)
