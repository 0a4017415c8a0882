"""Sessions of version 1: whose port is it, and when does another connection get it?"""

from __future__ import annotations

import socket

from gotunnel.client.standing import Standing
from gotunnel.net.sockets import PathState
from gotunnel.server import keeping
from gotunnel.server.v1 import peers as v1_peers
from gotunnel.server.v1 import session as v1_session
from tests.v1.peers import GoClient
from tests.v1.stage import OK, ServerTestCase


class IdentityTests(ServerTestCase):
    """(v1, name, remote port), and nothing of version 2."""

    async def test_two_processes(self) -> None:
        """Two processes of one Go client, with one name and two ports, do not evict each other."""
        server = await self.v1_server()
        target, _ = await self.target()
        one, other = await self.go_client(server, target), await self.go_client(server, target)
        self.assertEqual(one.name, other.name)
        for client in (one, other, one):
            await self.echoes(client.remote)
            self.assertIsNone(client.control.ended)

    async def test_version_2_keeps_its_own(self) -> None:
        """A Go client with the name of a version 2 client takes nothing of it over: not its session, not its port, not
        even once that client is gone and within its time of grace."""
        server = await self.v1_server()
        target, _ = await self.target()
        client = await self.open_client(server, self.mapping(target))
        port = self.port_of(client)
        self.assertIn("port_in_use", await self.refusal(server, remote=port, name="edge"))
        await self.go_client(server, target, name="edge")
        await self.echoes(port)
        await self.stop(client)
        self.assertIn("port_in_use", await self.refusal(server, remote=port, name="edge"))

    async def test_version_1_keeps_its_own(self) -> None:
        """Nor the reverse."""
        self.quick()
        server = await self.v1_server()
        target, _ = await self.target()
        go = await self.go_client(server, target, name="edge")
        client = self.client(server, self.mapping(target, remote=go.remote))
        status = client.link.published.statuses["web"]
        await self.until(lambda: status.standing is Standing.REFUSED, "the refusal")
        self.assertIn("port_in_use", status.reason)
        await self.echoes(go.remote)
        go.control.transport.loseConnection()
        await self.said("edge (version 1) lost")
        await self.pause(0.2)
        self.assertIs(status.standing, Standing.REFUSED)

    async def test_strange_names(self) -> None:
        """Names that look like each other's claims stay apart; an empty one and a Chinese one are names."""
        server = await self.v1_server()
        target, _ = await self.target()
        clients = [
            await self.go_client(server, target, name=name)
            for name in ("", "控制节点", "a (version 1)", "a", "a (version 1) (version 1)")
        ]
        for client in clients:
            await self.echoes(client.remote)


class TakeoverTests(ServerTestCase):
    """G1 to G3 of the original: a client that comes back found its port dead for ever, or the server with it."""

    async def test_living_one_stays(self) -> None:
        """While the old connection lives, the same (name, port) is refused with port_in_use, again and again, and the
        old one is served on."""
        server = await self.v1_server()
        target, _ = await self.target()
        client = await self.go_client(server, target)
        for _ in range(5):
            rival = GoClient(self, client.server, client.remote)
            await rival.register()
            self.assertIn("port_in_use", await self.refused(rival.control))
            await self.echoes(client.remote)
        self.assertIsNone(client.control.ended)
        await self.said("another client of version 1 calls itself go-edge (version 1)", 5)

    async def test_back_after_crash(self) -> None:
        """A client that died and is back gets its port at once, without re-binding; fifty times."""
        server = await self.v1_server()
        target, _ = await self.target()
        client = await self.go_client(server, target)
        for _ in range(50):
            client.die()
            again = GoClient(self, client.server, client.remote, target)
            self.assertEqual(await again.register(), OK)
            client = again
            visitor = await self.echoes(client.remote)
            visitor.transport.abortConnection()
        self.assertEqual(sum("open at" in line for line in self.lines()), 1)

    async def test_waiting_visitors_pass_over(self) -> None:
        """Twenty visitors who wait when the client dies are served by the one that comes back."""
        server = await self.v1_server()
        target, _ = await self.target()
        client = await self.go_client(server, target, auto=False)
        visitors = [await self.connect(client.remote) for _ in range(20)]
        for number, visitor in enumerate(visitors):
            visitor.transport.write(b"%d" % number)
        await self.asked(client, 20)
        client.die()
        await self.said("lost (")
        late = await self.connect(client.remote)
        late.transport.write(b"late")
        again = GoClient(self, client.server, client.remote, client.local)
        self.assertEqual(await again.register(), OK)
        for number, visitor in enumerate(visitors):
            await self.until(lambda v=visitor, n=number: v.received == b"%d" % n, f"the echo of {number}")
        await self.until(lambda: late.received == b"late", "the echo of who came in between")
        self.assertEqual(len(again.control.of("open_data_channel")), 21)

    async def test_half_open(self) -> None:
        """Where the old connection is half-open, since a machine lost its power, a pong that nobody acknowledges within
        2 s tells, and the client gets its port."""
        self.assertEqual(v1_peers.OLD_SESSION_ANSWERS, 2.0)
        self.patch(v1_peers, "OLD_SESSION_ANSWERS", 0.3)
        server = await self.v1_server()
        target, _ = await self.target()
        client = await self.go_client(server, target)
        self.patch(v1_session, "path_state", lambda sock: PathState(1, 500, False))
        again = GoClient(self, client.server, client.remote, target)
        self.assertEqual(await again.register(), OK)
        await self.said("its client did not answer, and came back on another connection")
        await self.echoes(client.remote)
        await self.until(lambda: client.control.ended, "the end of the old connection")

    async def test_two_come_back(self) -> None:
        """Of two that come at once for the port of a dead one, one gets it and the other is refused."""
        self.patch(v1_peers, "OLD_SESSION_ANSWERS", 0.2)
        server = await self.v1_server()
        target, _ = await self.target()
        client = await self.go_client(server, target)
        states = iter([PathState(1, 500, False)] * 100)
        first_look = v1_session.path_state
        old = next(iter(server.hub.v1._present))  # type: ignore[union-attr]
        handle = old._control.transport.getHandle()  # type: ignore[union-attr]
        self.patch(
            v1_session, "path_state", lambda sock: next(states) if sock is handle else first_look(sock)
        )
        rivals = [GoClient(self, client.server, client.remote, target) for _ in range(2)]
        for rival in rivals:
            self.background(rival.register())
        await self.until(lambda: all(hasattr(r, "control") and r.control.heard for r in rivals), "both answers")
        self.assertEqual(sorted(r.control.heard[0]["status"] for r in rivals), ["fail", "ok"])
        await self.echoes(client.remote)

    async def test_gone_while_it_is_decided(self) -> None:
        """A rival that leaves before it is known whether the old one lives changes nothing."""
        self.patch(v1_peers, "OLD_SESSION_ANSWERS", 0.3)
        server = await self.v1_server()
        client = await self.go_client(server)
        self.patch(v1_session, "path_state", lambda sock: PathState(1, 500, False))
        rival = GoClient(self, client.server, client.remote)
        self.background(rival.register())
        await self.until(lambda: hasattr(rival, "control"), "the rival's connection")
        await self.pause(0.1)
        rival.control.transport.abortConnection()
        await self.until(lambda: client.control.ended, "the end of the old one, which did not answer")
        await self.until(lambda: not server.hub.v1.left, "nothing is left")  # type: ignore[union-attr]

    async def test_grace(self) -> None:
        """A port is closed when its client has not come back within the time of grace, and free for others then."""
        self.assertEqual(keeping.GRACE, 30.0)
        self.patch(keeping, "GRACE", 0.2)
        server = await self.v1_server()
        client = await self.go_client(server)
        client.control.transport.loseConnection()
        await self.until(lambda: self.nobody_listens(client.remote), "the port is closed")
        other = GoClient(self, client.server, client.remote, name="another")
        self.assertEqual(await other.register(), OK)

    async def test_down_and_back(self) -> None:
        """A client whose target was down and who comes back has an open port: it says anew what is down."""
        server = await self.v1_server()
        target, _ = await self.target()
        client = await self.go_client(server, target)
        client.control.say(type="offline_port", port=client.remote)
        await self.until(lambda: self.nobody_listens(client.remote), "the port is closed")
        client.control.transport.loseConnection()
        await self.said("lost (")
        again = GoClient(self, client.server, client.remote, target)
        self.assertEqual(await again.register(), OK)
        await self.echoes(client.remote)

    async def test_taken_while_down(self) -> None:
        """If another program has taken the port by then, it is told so."""
        server = await self.v1_server()
        client = await self.go_client(server)
        client.control.say(type="offline_port", port=client.remote)
        await self.until(lambda: self.nobody_listens(client.remote), "the port is closed")
        client.control.transport.loseConnection()
        await self.said("lost (")
        with socket.create_server(("127.0.0.1", client.remote)):
            again = GoClient(self, client.server, client.remote)
            await again.register()
            self.assertIn("port_in_use", await self.refused(again.control))

    async def test_nothing_piles_up(self) -> None:
        """G6 and G17: two hundred clients that register and leave cost nothing afterwards."""
        self.patch(keeping, "GRACE", 0.01)
        server = await self.v1_server()
        port = self.free_port()
        for number in range(200):
            client = GoClient(self, server.address.port, port, name=f"go-{number % 3}")
            if (await client.register()) == OK:
                client.control.transport.abortConnection()
            await self.until(lambda: not server.hub.v1._peers, "it is forgotten")  # type: ignore[union-attr]
        self.assertFalse(server.hub.v1._present or server.hub.v1._current)  # type: ignore[union-attr]
        self.assertTrue(self.nobody_listens(port))
