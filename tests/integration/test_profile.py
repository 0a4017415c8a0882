"""`profile: kubernetes`, on real connections: how soon a silent leg is given up, at each end by its own file."""

from __future__ import annotations

import socket
from typing import Any

from gotunnel.net.pathwatch import NODES
from gotunnel.net.sockets import KEEPALIVE_IDLE
from gotunnel.net.transports import raw_socket
from tests.integration.base import IntegrationTestCase


class ProfileTests(IntegrationTestCase):
    """The fast relay."""

    @staticmethod
    def idle(leg: Any) -> int:
        """Return after how many seconds keepalive asks on a leg."""
        sock = leg._sock if hasattr(leg, "_sock") else raw_socket(leg.transport)
        found: int = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE)
        return found

    async def idles(self, *, encrypt: bool = True, **profiles: str) -> tuple[int, int]:
        """Return that of the server's end and of the client's, with these profiles."""
        target, _ = await self.target()
        server = await self.server(profile=profiles.get("server", "default"), allow_plain_legs=True)
        mapping = self.mapping(target, encrypt=encrypt)
        client = await self.open_client(server, mapping, profile=profiles.get("client", "default"))
        await self.echoes(self.port_of(client))
        (theirs,) = server.hub.peers["edge"].session.streams
        assert client.link.session is not None
        (ours,) = client.link.session.legs.streams
        return self.idle(theirs), self.idle(ours)

    async def test_each_end(self) -> None:
        """Whoever has the profile looks sooner, whatever the other one has; inside of TLS and outside."""
        usual, nodes = KEEPALIVE_IDLE, NODES.keepalive[0]
        self.assertEqual(await self.idles(), (usual, usual))
        self.assertEqual(await self.idles(server="kubernetes"), (nodes, usual))
        self.assertEqual(await self.idles(client="kubernetes"), (usual, nodes))
        both = {"client": "kubernetes", "server": "kubernetes"}
        self.assertEqual(await self.idles(encrypt=False, **both), (nodes, nodes))

    async def test_reload(self) -> None:
        """A profile that is added while it runs counts for legs to come."""
        server = await self.server()
        client = await self.open_client(server, self.mapping(1))
        for service in (server, client):
            await service._apply(service._settings.model_copy(update={"profile": "kubernetes"}))
            times = service.relay._watch.times if service.relay.name == "portable" else service.relay._tools.watch.times
            self.assertEqual(times, NODES)


class PortableProfileTests(ProfileTests):
    """The portable one."""

    relay = "portable"
