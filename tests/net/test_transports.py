"""What is read of Twisted's transports beyond their interfaces. If one of these tests fails with a new Twisted, so does
what relies on it."""

from __future__ import annotations

from pathlib import Path

from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.tcp import Connection
from twisted.protocols.tls import BufferingTLSTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from gotunnel.net.transports import hand_over, is_closing, raw_socket, tcp_transport, unsent_bytes
from tests.relay_link import connected_pair, is_stuck, until


class Keeper(Protocol):
    """Keeps what it gets."""

    def __init__(self) -> None:
        self.made = 0
        self.got = b""
        self.lost: Failure | None = None

    def connectionMade(self) -> None:
        self.made += 1

    def dataReceived(self, data: bytes) -> None:
        self.got += data

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.lost = reason


class TransportTests(TestCase):
    """Plain TCP."""

    tls = False
    timeout = 30

    async def pair(self) -> tuple[Keeper, Keeper]:
        """Return the protocols of a new connection's two ends."""
        state = Path(self.mktemp())
        state.mkdir()
        ends = []
        for transport in await connected_pair(state if self.tls else None):
            ends.append(Keeper())
            hand_over(transport, ends[-1], b"")
        return ends[0], ends[1]

    async def close(self, *ends: Keeper) -> None:
        """Reset both ends."""
        for end in ends:
            if end.lost is None:
                end.transport.abortConnection()
        await until(lambda: all(end.lost for end in ends), "both ends are closed")

    async def test_kinds(self) -> None:
        """The transports are the ones that this was written for, and the raw socket is the connection's."""
        near, far = await self.pair()
        self.assertIsInstance(near.transport, BufferingTLSTransport if self.tls else Connection)
        tcp = tcp_transport(near.transport)
        self.assertIsInstance(tcp, Connection)
        self.assertEqual(raw_socket(near.transport).fileno(), tcp.fileno())
        self.assertEqual(raw_socket(near.transport).getpeername(), raw_socket(far.transport).getsockname())
        await self.close(near, far)

    async def test_hand_over(self) -> None:
        """The next protocol gets its transport once, what was left over first, then what arrives, and the end."""
        near, far = await self.pair()
        next_one = Keeper()
        hand_over(near.transport, next_one, b"left")
        self.assertEqual((next_one.made, next_one.got), (1, b"left"))
        far.transport.write(b" and right")
        await until(lambda: next_one.got == b"left and right", "it arrives")
        next_one.transport.write(b"back")
        await until(lambda: far.got == b"back", "it arrives")
        self.assertEqual(near.got, b"")
        far.transport.loseConnection()
        await until(lambda: next_one.lost and far.lost, "both ends are closed")
        self.assertIsNone(near.lost)

    async def test_unsent(self) -> None:
        """Each byte that was written counts until the kernel has it, wherever Twisted keeps it."""
        near, far = await self.pair()
        self.assertEqual(unsent_bytes(near.transport), 0)
        near.transport.write(b"x" * 1000)
        self.assertGreaterEqual(unsent_bytes(near.transport), 1000)
        await until(lambda: far.got, "it arrives")
        self.assertEqual(unsent_bytes(near.transport), 0)
        far.transport.pauseProducing()
        size = 0
        while unsent_bytes(near.transport) < 1 << 20:
            self.assertLess(size, 64 << 20)
            near.transport.write(bytes(1 << 18))
            size += 1 << 18
            before = unsent_bytes(near.transport)
            self.assertGreaterEqual(before, 1 << 18)
            await until(lambda: is_stuck(near.transport) or not unsent_bytes(near.transport), "no more is taken")
        stuck = unsent_bytes(near.transport)
        self.assertGreater(stuck, 1 << 19)
        near.transport.write(bytes(100_000))
        self.assertGreaterEqual(unsent_bytes(near.transport), stuck + 100_000)
        far.transport.resumeProducing()
        await until(lambda: len(far.got) == 1000 + size + 100_000, "all arrives")
        self.assertEqual(unsent_bytes(near.transport), 0)
        await self.close(near, far)

    async def test_closing(self) -> None:
        """A connection that waits for its buffer before it closes says so; inside TLS the other end may want it too."""
        near, far = await self.pair()
        self.assertFalse(is_closing(near.transport))
        far.transport.pauseProducing()
        near.transport.registerProducer(Producer(), True)
        for _ in range(1000):
            if is_stuck(near.transport):
                break
            near.transport.write(bytes(1 << 18))
            await until(lambda: is_stuck(near.transport) or not unsent_bytes(near.transport), "no more is taken")
        (far if self.tls else near).transport.loseConnection()
        await until(lambda: is_closing(near.transport), "it closes")
        self.assertIsNone(near.lost)
        await self.close(near, far)


class TlsTransportTests(TransportTests):
    """TLS."""

    tls = True


class Producer:
    """Someone who is paused."""

    def pauseProducing(self) -> None: ...
    def resumeProducing(self) -> None: ...
    def stopProducing(self) -> None: ...
