"""A Go client on our server: its visitors' bytes, and how they end."""

from __future__ import annotations

from gotunnel.core.outcome import Outcome
from gotunnel.net.transports import unsent_bytes
from tests.v1.peers import HalfOpen
from tests.v1.stage import ServerTestCase

MUCH = 48 << 20
"""Bytes, more than the kernel's buffers on the way can hold."""


class CarryingTests(ServerTestCase):
    """It works."""

    async def test_visitor(self) -> None:
        """A visitor reaches the Go client's target; the outcome is counted, the end is clean."""
        server = await self.v1_server()
        target, _ = await self.target()
        client = await self.go_client(server, target)
        visitor = await self.echoes(client.remote)
        self.assertEqual(
            client.control.of("open_data_channel"), [{"type": "open_data_channel", "local_port": target}]
        )
        visitor.transport.loseConnection()
        await self.said("ended: completed, 5 bytes up, 5 down")
        self.assertEqual((server.hub.visitors_total, server.hub.outcomes[Outcome.COMPLETED]), (1, 1))

    async def test_many(self) -> None:
        """Forty visitors at once each hear their own words: no two frames are mixed, no two visitors."""
        server = await self.v1_server()
        target, _ = await self.target()
        client = await self.go_client(server, target)
        visitors = [await self.connect(client.remote) for _ in range(40)]
        for number, visitor in enumerate(visitors):
            visitor.transport.write(b"visitor %d" % number)
        for number, visitor in enumerate(visitors):
            words = b"visitor %d" % number
            await self.until(lambda v=visitor, w=words: v.received == w, f"the echo of {number}")
        self.assertEqual(len(client.control.of("open_data_channel")), 40)

    async def test_pong(self) -> None:
        """A ping is answered with its own time."""
        client = await self.go_client(await self.v1_server())
        client.control.say(type="ping", time=1795415747)
        await self.until(lambda: client.control.of("pong"), "a pong")
        self.assertEqual(client.control.of("pong"), [{"type": "pong", "time": 1795415747}])

    async def test_half_close_of_visitor(self) -> None:
        """A visitor who has ended his direction still gets the whole answer."""
        server = await self.v1_server()
        client = await self.go_client(server, auto=False)
        visitor = await self.connect(client.remote)
        visitor.transport.write(b"question")
        visitor.transport.loseWriteConnection()
        await self.asked(client)
        leg = await self.leg_with_half_close(client)
        await self.until(lambda: leg.eof and leg.received == b"question", "the question and its end")
        leg.transport.write(b"a" * 100_000)
        leg.transport.loseConnection()
        await self.until(lambda: visitor.ended, "the end")
        self.assertEqual((len(visitor.received), visitor.was_reset), (100_000, False))

    async def test_half_close_of_target(self) -> None:
        """A target that has ended its direction still gets what the visitor says."""
        server = await self.v1_server()
        client = await self.go_client(server, auto=False)
        visitor = HalfOpen()
        await self.join(visitor, client.remote)
        await self.asked(client)
        leg = await self.leg_with_half_close(client)
        leg.transport.write(b"that is all")
        leg.transport.loseWriteConnection()
        await self.until(lambda: visitor.eof, "the end of the target's direction")
        self.assertEqual(visitor.received, b"that is all")
        visitor.transport.write(b"b" * 100_000)
        visitor.transport.loseConnection()
        await self.until(lambda: len(leg.received) == 100_000 and leg.eof, "the rest")
        await self.said("ended: completed, 100000 bytes up, 11 down")

    async def test_stopped_reader(self) -> None:
        """A visitor who does not read stops the Go client; what it has to send does not pile up here."""
        server = await self.v1_server()
        client = await self.go_client(server, auto=False)
        visitor = await self.connect(client.remote)
        visitor.transport.pauseProducing()
        await self.asked(client)
        leg = await self.leg_with_half_close(client)
        leg.transport.write(b"x" * MUCH)
        (joint,) = next(iter(server.hub.v1._present))._streams  # type: ignore[union-attr]
        seen: list[int] = []

        def still() -> bool:
            seen.append(unsent_bytes(leg.transport))
            return len(seen) > 60 and len(set(seen[-60:])) == 1

        await self.until(still, "the leg stands still")
        self.assertGreater(seen[-1], 0)
        self.assertLess(unsent_bytes(joint._near.transport), 1 << 20)
        leg.transport.loseWriteConnection()
        taken: list[int] = []
        visitor.dataReceived = lambda data: taken.append(len(data))  # type: ignore[method-assign]
        visitor.transport.resumeProducing()
        await self.until(lambda: sum(taken) == MUCH, "all of it")
