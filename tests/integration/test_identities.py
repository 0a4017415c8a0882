"""Identities that change under real connections, on both relays: who is cut, what goes on, and that nothing is left."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gotunnel.client import pace
from gotunnel.client.service import ClientService
from gotunnel.config.identityedit import edit_clients
from gotunnel.config.identityfile import FileIdentity
from gotunnel.server import clientlogin
from gotunnel.server.service import ServerService
from gotunnel.wire.handshake import derive_key

from .base import TOKEN, Peer
from .test_forwards import ForwardCase

SHARED = "c94e01b7d6f85a2338e07b1f6ad95c42"


class IdentityTests(ForwardCase):
    """`edge` stands in the clients file, with a mapping and a forward; `other` uses the shared token."""

    async def begin(self) -> tuple[ServerService, ClientService, ClientService]:
        """Start a server and both clients."""
        self.quick()
        self.patch(pace, "AUTH_PAUSE", 0.05)
        self.patch(clientlogin, "RETRY_AFTER_AUTH", 0.05)
        self.target_port, _ = await self.target()
        self.path = Path(self.mktemp()).absolute()
        self.entry()
        server = await self.server(token=SHARED, clients_file=self.path)
        edge = await self.connected(server, self.forward(f"127.0.0.1:{self.target_port}"), mappings=self.mappings())
        other = await self.open_client(server, self.mapping(self.target_port), name="other", token=SHARED)
        return server, edge, other

    def mappings(self) -> tuple[Any, ...]:
        """Return the two mappings of `edge`."""
        return self.mapping(self.target_port, "first"), self.mapping(self.target_port, "second")

    def entry(self, **more: Any) -> None:
        """The file says this of `edge`."""
        values = {"keys": (derive_key(TOKEN, "edge"),), "allow_dial": [f"127.0.0.1:{self.target_port}"], **more}
        edit_clients(self.path, lambda _: [FileIdentity(name="edge", **values)])

    async def cut(self, *visitors: Peer) -> None:
        """These visitors are reset."""
        for visitor in visitors:
            await self.until(lambda v=visitor: v.ended, "the visitor's end")  # type: ignore[misc]
            self.assertTrue(visitor.was_reset, visitor.ended)

    async def talks(self, visitor: Peer) -> None:
        """This one is served as before."""
        visitor.received = b""
        visitor.transport.write(b"still there")
        await self.until(lambda: visitor.received == b"still there" or visitor.ended, "the echo")
        self.assertEqual((visitor.received, visitor.ended), (b"still there", None))

    async def test_revoked(self) -> None:
        """Visitors of its mappings and of its forwards are reset, its ports are closed, nothing of it is left at the
        server; the other client and its visitor notice nothing. In the file again, it is back."""
        server, edge, other = await self.begin()
        kept = await self.echoes(self.port_of(other))
        gone = [
            await self.echoes(self.port_of(edge, "first")),
            await self.echoes(self.port_of(edge, "second")),
            await self.echoes(self.port(edge)),
        ]
        self.entry(keys=())
        await self.cut(*gone)
        await self.said("was disconnected (127.0.0.1:")
        await self.until(lambda: len(server.hub._present) == 1, "its session is gone")
        self.assertEqual(set(server.hub.peers), {"other"})
        self.assertEqual({legs.peer.name for legs in server.hub.streaming}, {"other"})
        self.assertEqual(server.hub.live, 1)
        await self.said("does not let this client in: auth_failed")
        await self.talks(kept)
        self.entry()
        await self.until(lambda: edge.link.session is not None and self.is_open(edge), "it is back")
        await self.echoes(self.port_of(edge, "first"))
        await self.echoes(self.port(edge))

    async def test_narrowed(self) -> None:
        """What may not be published or reached any more is cut; the other mapping, its visitor and its legs go on."""
        server, edge, other = await self.begin()
        first, second = self.port_of(edge, "first"), self.port_of(edge, "second")
        kept, bystander = await self.echoes(second), await self.echoes(self.port_of(other))
        gone = [await self.echoes(first), await self.echoes(self.port(edge))]
        listening = server.hub.peers["edge"].mappings["second"]._listening
        self.entry(allow_ports=[second], allow_dial=[])
        await self.cut(*gone)
        await self.said("lost: the other end says going_away: the rights of this client have changed")
        await self.until(lambda: edge.link.session is not None, "it has come back")
        await self.talks(kept)
        await self.talks(bystander)
        await self.until(lambda: "second" in server.hub.peers["edge"].mappings, "its mapping")
        self.assertIs(server.hub.peers["edge"].mappings["second"]._listening, listening)
        await self.echoes(second)
        await self.refused(edge, "not_allowed")

    async def test_rotation(self) -> None:
        """A second token disturbs nobody; when the first goes, whoever is on it is cut, and its ports wait for it."""
        server, edge, _ = await self.begin()
        first = self.port_of(edge, "first")
        visitor = await self.echoes(first)
        keys = (derive_key(TOKEN, "edge"), derive_key("5d0e9b7c13f84a62b5c8e1f0972d3a64", "edge"))
        self.entry(keys=keys)
        await self.said("has changed: 1 clients")
        await self.talks(visitor)
        listening = server.hub.peers["edge"].mappings["first"]._listening
        self.entry(keys=keys[1:])
        await self.cut(visitor)
        await self.stop(edge)
        self.assertIs(server.hub.peers["edge"].mappings["first"]._listening, listening)
        again = await self.open_client(
            server, self.mapping(self.target_port, "first", first), token="5d0e9b7c13f84a62b5c8e1f0972d3a64"
        )
        await self.echoes(self.port_of(again, "first"))


class PortableIdentityTests(IdentityTests):
    """The same on the portable relay."""

    relay = "portable"
