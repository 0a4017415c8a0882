"""Visitors that come at once after a while in which nobody came: who kept legs for them makes none for them."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import ensureDeferred, gatherResults

from gotunnel.net.lobby import Lobby
from gotunnel.server.service import ServerService

from .base import Peer
from .test_reload import ReloadCase

CROWD = 24


class BurstTests(ReloadCase):
    """Legs that are there before they are needed."""

    async def crowd(self, port: int) -> None:
        """So many come at once, have their answer, and leave."""
        visitors: list[Peer] = await gatherResults(
            [ensureDeferred(self.echoes(port)) for _ in range(CROWD)], consumeErrors=True
        )
        for visitor in visitors:
            visitor.transport.loseConnection()

    @staticmethod
    def idle(server: ServerService, *, plain: bool = False) -> int:
        """How many legs of the only client wait."""
        (session,) = server.hub._present
        return session._pools[plain].idle

    async def have(self, server: ServerService, count: int, **kind: Any) -> None:
        """Wait until so many do."""
        await self.until(lambda: self.idle(server, **kind) == count, f"{count} idle legs")

    async def test_kept(self) -> None:
        """With as many idle legs as visitors nobody waits for a new one, in the next crowd neither."""
        target, _ = await self.target()
        waited: list[object] = []
        self.patch(Lobby, "wait", lambda lobby, visitor: waited.append(visitor))
        server = await self.server(idle_legs=CROWD)
        client = await self.open_client(server, self.mapping(target))
        await self.have(server, CROWD)
        for _ in range(2):
            await self.crowd(self.port_of(client))
            await self.until(lambda: not server.hub.usage.live, "all have left")
        self.assertEqual((server.hub.visitors_total, waited), (2 * CROWD, []))

    async def test_second_crowd(self) -> None:
        """With two of them the first crowd pays for its legs, and one that comes soon after it for none."""
        target, _ = await self.target()
        server = await self.server()
        client = await self.open_client(server, self.mapping(target))
        await self.have(server, 2)
        await self.crowd(self.port_of(client))
        await self.until(lambda: not server.hub.usage.live, "all have left")
        made = server.hub.usage.legs_created
        self.assertGreaterEqual(made, CROWD)
        await self.crowd(self.port_of(client))
        self.assertLessEqual(server.hub.usage.legs_created - made, CROWD // 2)

    async def test_plain(self) -> None:
        """No plain leg is kept until a visitor has come for one."""
        target, _ = await self.target()
        server = await self.server(idle_legs=3, allow_plain_legs=True)
        client = await self.open_client(server, self.mapping(target, encrypt=False))
        await self.have(server, 3)
        self.assertEqual(self.idle(server, plain=True), 0)
        await self.echoes(self.port_of(client))
        await self.have(server, 3, plain=True)
        await self.reload(server, idle_legs=8)
        await self.have(server, 8, plain=True)
        await self.have(server, 8)

    async def test_forwards(self) -> None:
        """A client keeps as many for its forwards, and another number from a reload on."""
        target, _ = await self.target()
        server = await self.server(allow_dial=(f"127.0.0.1:{target}",))
        client = await self.connected(server, self.forward(f"127.0.0.1:{target}"), idle_legs=3)
        assert client.link.session is not None
        legs = client.link.session.forward_legs
        await self.until(lambda: legs.legs_held == 3, "three legs")
        await self.reload(client, idle_legs=8)
        await self.until(lambda: legs.legs_held == 8, "eight legs")

    async def test_no_forwards(self) -> None:
        """One without forwards keeps none, also after a reload."""
        target, _ = await self.target()
        client = await self.open_client(await self.server(), self.mapping(target), idle_legs=3)
        assert client.link.session is not None
        await self.reload(client, idle_legs=4)
        legs = client.link.session.forward_legs
        self.assertEqual((legs.legs_held, legs.legs_expected), (0, 0))
