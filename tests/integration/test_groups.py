"""Two clients that publish one port as a group, over real connections: nobody is lost who can be served, and no byte of
his is."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

from twisted.internet.defer import Deferred

from gotunnel.address import HostPort
from gotunnel.client.service import ClientService
from gotunnel.config.model import ForwardConfig
from gotunnel.errors import DialFailed
from gotunnel.server import published
from gotunnel.server.portkinds import port_for
from gotunnel.server.service import ServerService
from gotunnel.wire.legstate import State
from gotunnel.wire.messages import MappingRequest
from tests.integration.base import Echo, IntegrationTestCase, Peer
from tests.ports import free_port

NOTHING = 9
"""A port of 127.0.0.1 where nobody listens."""


class Last(Peer):
    """A service that answers when its visitor has said all."""

    def dataReceived(self, data: bytes) -> None:
        super().dataReceived(data)
        if data.endswith(b"."):
            self.transport.write(b"answer to " + self.received)
            self.transport.loseConnection()


class GroupTests(IntegrationTestCase):
    """The fast relay, where it runs."""

    async def members(self, *targets: int, **config: Any) -> tuple[ServerService, list[ClientService], int]:
        """Start a server and a client for each target, all in one group; return them and the port."""
        self.quick()
        server = await self.server(**{"allow_groups": ("api",), **config})
        clients: list[ClientService] = []
        port: Any = 0
        for number, target in enumerate(targets):
            mapping = self.mapping(target, remote=0, group="api")
            clients.append(await self.open_client(server, mapping, name=f"client-{number}"))
            port = self.port_of(clients[0])
            self.assertEqual(self.port_of(clients[-1]), port)
        return server, clients, port

    async def ask(self, port: int, words: bytes = b"me.") -> bytes:
        """Visit, say this, and return the answer, whose end is clean."""
        visitor = await self.connect(port)
        visitor.transport.write(words)
        await self.until(lambda: visitor.ended, "the end")
        self.assertFalse(visitor.was_reset, visitor.received)
        return visitor.received

    async def test_evenly(self) -> None:
        """Visitors come to both targets, and who stays counts."""
        targets = [await self.target() for _ in range(2)]
        server, _, port = await self.members(*(number for number, _ in targets))
        for count in range(6):
            await self.echoes(port, b"%d" % count)
        self.assertEqual([len(made) for _, made in targets], [3, 3])
        self.assertEqual([server.hub.peers[f"client-{n}"].visitors for n in range(2)], [3, 3])

    async def test_refused(self) -> None:
        """While one target is refused every visitor is served by the other, with every byte that he had sent before."""
        number, made = await self.target(Last)
        server, _, port = await self.members(NOTHING, number)
        content = os.urandom(1 << 20).replace(b".", b"!") + b"."
        for _ in range(3):
            self.assertEqual(await self.ask(port, content), b"answer to " + content)
            roster = server.hub.groups._groups["api"].roster
            roster.forgive(next(iter(roster)))  # it is tried first again
        self.assertEqual([len(each.received) for each in made], [len(content)] * 3)
        await self.said("moves from client client-0 to client-1: refused")
        await self.said("of web of client client-1 (group api) ended: completed", 3)

    async def test_plain_legs(self) -> None:
        """Outside of gotunnel's TLS, too, a visitor goes on from a target that refuses, with all his bytes."""
        self.quick()
        number, _ = await self.target(Last)
        server = await self.server(allow_groups=("api",), allow_plain_legs=True)
        for name, target in (("one", NOTHING), ("two", number)):
            mapping = self.mapping(target, remote=0, group="api", encrypt=False)
            client = await self.open_client(server, mapping, name=name)
        content = b"x" * 3_000_000 + b"."
        for _ in range(2):
            self.assertEqual(await self.ask(self.port_of(client), content), b"answer to " + content)
        await self.said("moves from client one to two: refused")
        self.assertTrue(all(leg.plain for each in server.hub.left for leg in each._legs if leg.opens))

    async def test_one_member_by_name(self) -> None:
        """What reaches a member through the server, by its client's name, reaches that one, and is no visitor of the
        group."""
        targets = [await self.target() for _ in range(2)]
        self.quick()
        server = await self.server(allow_groups=("api",), allow_dial=("mapping:*/*",))
        for name, (target, _) in zip(("one", "two"), targets, strict=True):
            mapping = self.mapping(target, remote=0, group="api", clients=["asker"])
            await self.open_client(server, mapping, name=name)
        words = {"name": "to-two", "listen": "127.0.0.1:0", "dial": "mapping:two/web"}
        asker = await self.open_client(server, name="asker", forwards=(ForwardConfig.model_validate(words),))
        await self.said("forward to-two open")
        address = asker.links.forwards.address("to-two")
        assert isinstance(address, HostPort)
        for _ in range(3):
            await self.echoes(address.port)
        self.assertEqual([len(made) for _, made in targets], [0, 3])

    async def test_target_speaks_first(self) -> None:
        """A greeting reaches a visitor who waits for it."""

        class Greeting(Echo):
            def connectionMade(self) -> None:
                self.transport.write(b"220 ready")

        number, _ = await self.target(Greeting)
        _, _, port = await self.members(number)
        visitor = await self.connect(port)
        await self.until(lambda: visitor.received == b"220 ready", "the greeting")

    async def test_all_refused(self) -> None:
        """When all targets are refused the visitor is reset at once, and it is one visitor."""
        server, _, port = await self.members(NOTHING, NOTHING, NOTHING)
        visitor = await self.connect(port)
        await self.until(lambda: visitor.was_reset, "the reset")
        await self.said("ended: refused")
        self.assertEqual(([o.value for o in server.hub.outcomes.elements()], server.hub.live), (["refused"], 0))

    async def test_gone_while_dialling(self) -> None:
        """A client that vanishes while it dials loses nobody: the next one gets him, and the first target no byte."""
        number, made = await self.target(Last)
        server, clients, port = await self.members(number, number)
        dialling: list[Deferred[Any]] = []

        def dial(target: Any, timeout: float) -> Deferred[Any]:
            dialling.append(Deferred())
            return dialling[-1]

        for client in clients:
            self.patch(client.link._relay, "dial", dial)
        visitor = await self.connect(port)
        visitor.transport.write(b"me.")
        await self.until(lambda: dialling, "the dial")
        first = next(n for n in range(2) if server.hub.peers[f"client-{n}"].visitors)
        clients[1 - first].link._relay.__dict__.pop("dial")
        await self.stop(clients[first])
        await self.until(lambda: visitor.ended, "the end")
        self.assertEqual((visitor.received, visitor.was_reset), (b"answer to me.", False))
        self.assertEqual(len(made), 1)

    async def test_visitor_leaves_while_held(self) -> None:
        """A visitor who leaves while his target is dialled is gone from all counts."""
        number, _ = await self.target(Last)
        server, clients, port = await self.members(number)
        never: Deferred[Any] = Deferred(lambda _: None)
        self.patch(clients[0].link._relay, "dial", lambda target, timeout: never)
        visitor = await self.connect(port)
        await self.until(lambda: server.hub.peers["client-0"].session.streams, "the OPEN")  # type: ignore[union-attr]
        visitor.hang_up()
        session = server.hub.peers["client-0"].session
        (leg,) = session.streams  # type: ignore[union-attr]
        await self.until(lambda: leg.state is State.DIALLING_RST, "that he is gone is seen")
        never.errback(DialFailed("timeout", "no answer"))
        await self.said("ended: visitor_left")
        self.assertEqual((server.hub.live, server.hub.peers["client-0"].visitors), (0, 0))

    async def test_not_allowed(self) -> None:
        """A client without the right to the group is told so, and by its own log what to do."""
        self.quick()
        number, _ = await self.target()
        server = await self.server()
        self.client(server, self.mapping(number, group="api"))
        await self.said("acl_denied: the group api is not allowed (allow_groups); allowed: none; have the server allow")

    async def test_older_server(self) -> None:
        """On a server that knows no groups the first client has the port alone; both are told why, and the second
        what its refusal means."""
        self.quick()
        number, _ = await self.target()
        server = await self.server()
        server.hub.caps = tuple(cap for cap in server.hub.caps if cap != "groups")
        port = free_port(self)
        def without(hub: Any, peer: Any, request: MappingRequest, bind: str, plain: bool) -> Any:
            return port_for(hub, peer, replace(request, group=None), bind, plain)

        self.patch(published, "port_for", without)  # an older server ignores the field
        await self.open_client(server, self.mapping(number, remote=port, group="api"), name="one")
        self.client(server, self.mapping(number, remote=port, group="api"), name="two")
        await self.said("requests its port for itself alone: the server's version does not support groups", 2)
        await self.said("port_in_use: another mapping holds port")
        await self.said("the server's version does not support groups, and gives the port to one client; upgrade it")
        await self.echoes(port)


class PortableGroupTests(GroupTests):
    """The portable relay."""

    relay = "portable"
