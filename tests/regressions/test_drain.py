"""A client or a server that stops while visitors keep coming, and its successor: no visitor who was accepted is lost in
between. What a stop does to those who are served is tested where both ends stop as processes."""

from __future__ import annotations

import os
import signal
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectError
from twisted.internet.error import ConnectionRefusedError as Refused

from gotunnel.address import HostPort
from gotunnel.core.outcome import Outcome
from gotunnel.errors import PortUnavailable
from gotunnel.server.service import ServerService
from tests.integration.base import Peer
from tests.ports import free_ports
from tests.regressions.forks import Forks
from tests.regressions.rounds import client_file
from tests.regressions.stage import Path, RegressionTestCase

WORD = b"word"


class ClientDrainTests(RegressionTestCase):
    """Visitors that are there at the wrong moment."""

    async def come(self, port: int, visitors: list[Peer], over: Any, least: int) -> None:
        """Let visitors come one after the other, each with a word that he gets back, until `over` says so."""
        while len(visitors) < least or not over():
            visitor = await self.connect(port)
            visitor.transport.write(WORD)
            visitors.append(visitor)
            await self.pause(0)
            self.leave(visitors)
        await self.until(lambda: all(each.received == WORD or each.ended for each in visitors), "all are served")
        self.leave(visitors)

    @staticmethod
    def leave(visitors: list[Peer]) -> None:
        """Those who have their word go."""
        for each in visitors:
            if each.received == WORD and each.ended is None:
                each.transport.loseConnection()

    async def test_open_in_flight(self) -> None:
        """An OPEN is on its way when the client is asked to stop, and arrives after the server has agreed: the client
        serves that visitor, although it had none when it was asked."""
        target, _ = await self.target()
        server = await self.server()
        path = Path(self, server.address.port)
        for _ in range(10):
            client = await self.open_client(path.port, self.mapping(target), drain_timeout=20.0)
            await self.until(lambda c=client: self.settled(server, c), "two idle legs")  # type: ignore[misc]
            path.delay_legs()
            session = self.session(server)
            assert session is not None
            visitor = await self.connect(self.port_of(client))
            visitor.transport.write(WORD)
            await self.until(lambda s=session: s.streams, "an OPEN")  # type: ignore[misc]
            stopping = Deferred.fromCoroutine(self.stop(client))
            await self.until(lambda s=session: s.draining or s.over, "it drains")  # type: ignore[misc]
            await self.pause(0.05)  # that long the OPEN is under way
            path.release()
            await self.until(lambda v=visitor: v.received == WORD or v.ended, "the echo")  # type: ignore[misc]
            self.assertEqual(visitor.received, WORD)
            visitor.transport.loseConnection()
            await stopping
        self.assertEqual(server.hub.outcomes, {Outcome.COMPLETED: 10})

    async def test_successor(self) -> None:
        """Ten times over, a client stops while visitors come as fast as they can and its successor takes over: each of
        them is served, by the one or by the other, and the port is bound once."""
        target, _ = await self.target()
        server = await self.server()
        client = await self.open_client(server, self.mapping(target), drain_timeout=20.0)
        port = self.port_of(client)
        inode = self.listener(port)
        for _ in range(10):
            old, visitors = client, list[Peer]()
            stopping = Deferred.fromCoroutine(self.stop(old))
            client = successor = self.client(server, self.mapping(target), drain_timeout=20.0)
            await self.come(port, visitors, lambda s=successor: self.is_open(s), 30)  # type: ignore[misc]
            await stopping
            self.assertEqual([each.received for each in visitors if each.received != WORD], [])
            self.assertEqual(self.listener(port), inode)
        await self.until(lambda: not server.hub.live, "all are over")
        self.assertEqual(set(server.hub.outcomes), {Outcome.COMPLETED})

    async def test_successor_of_a_process(self) -> None:
        """Five times the same with clients of their own processes, by SIGTERM, which each exits after."""
        target, _ = await self.target()
        server = await self.server()
        forks = Forks(self)
        file = client_file(self, server, target, drain_timeout=20)
        running = forks.start(file)
        await self.until(lambda: self.session(server) and server.hub.peers["edge"].mappings, "its port is open")
        port = server.hub.peers["edge"].mappings["web"].port
        inode = self.listener(port)
        for _ in range(5):
            old, session, visitors = running, self.session(server), list[Peer]()
            assert session is not None
            os.kill(old, signal.SIGTERM)
            await self.until(lambda s=session: s.draining or s.over, "it drains")  # type: ignore[misc]
            running = forks.start(file)
            await self.come(
                port, visitors,
                lambda s=session, o=old: self.session(server) not in (None, s) and not forks.runs(o),  # type: ignore[misc]
                30,
            )  # fmt: skip
            forks.over(old)
            self.assertEqual([each.received for each in visitors if each.received != WORD], [])
            self.assertEqual(self.listener(port), inode)
        self.assertEqual(set(server.hub.outcomes), {Outcome.COMPLETED})


class ServerDrainTests(RegressionTestCase):
    """A server that is drained, while its successor takes over its ports."""

    async def come(self, port: int) -> None:
        """Let visitors come until the test says so, each with a word that he gets back. One who is refused tries again;
        one who was still in the kernel's queue when the port closed was never accepted."""
        while self.coming:
            try:
                visitor = await self.connect(port)
            except ConnectError:
                await self.pause(0.005)
                continue
            visitor.transport.write(WORD)
            await self.until(lambda v=visitor: v.received == WORD or v.ended, "the echo")  # type: ignore[misc]
            visitor.hang_up() if visitor.ended else visitor.transport.loseConnection()
            self.turns += 1

    async def successor(self, control: int) -> ServerService:
        """Start one as soon as the control port is free."""
        while True:
            try:
                return await self.server(addr=HostPort("127.0.0.1", control))
            except PortUnavailable:
                await self.pause(0.005)

    async def test_restart_under_load(self) -> None:
        """Five times over: eight visitors at a time come without end, and one streams over the whole of it. The old
        server fires when he is done, with nobody cut; nobody who was accepted by either is lost; the client is with the
        new one while he still streams on the old one."""
        target, _ = await self.target()
        control, public = free_ports(self, 2)
        servers = [await self.server(addr=HostPort("127.0.0.1", control))]
        client = await self.open_client(servers[0], self.mapping(target, remote=public))
        self.coming, self.turns = True, 0
        crowd = [Deferred.fromCoroutine(self.come(public)) for _ in range(8)]
        for number in range(5):
            streaming = await self.echoes(public)
            drained: list[int] = []
            servers[-1].drain(20.0).addCallback(drained.append)
            servers.append(await self.successor(control))
            await self.until(lambda: servers[-1].hub.outcomes[Outcome.COMPLETED] >= 20, "the successor serves")
            streaming.transport.write(b" still")
            await self.until(lambda s=streaming: s.received == b"hello still" or s.ended, "the echo")  # type: ignore[misc]
            self.assertIsNone(streaming.ended, number)
            self.assertEqual((drained, servers[-2].draining), ([], True))
            self.assertEqual(servers[-2].hub.connected, ())
            streaming.transport.loseConnection()
            await self.until(lambda d=drained: d, "the old one is done")  # type: ignore[misc]
            self.assertEqual(drained, [0])
            await self.stop(servers[-2])
        self.coming = False
        for each in crowd:
            await each
        await self.until(lambda: not servers[-1].hub.live, "all are over")
        for server in servers:
            self.assertEqual(server.hub.outcomes, {Outcome.COMPLETED: server.hub.visitors_total})
        self.assertGreaterEqual(self.turns, 100)
        self.assertTrue(self.is_open(client))

    async def test_cut(self) -> None:
        """At the deadline who still streams is reset, and counted; asking again cannot put it off. The process goes on:
        nobody is let in, at either port."""
        target, _ = await self.target()
        server = await self.server(drain_timeout=20.0)
        client = await self.open_client(server, self.mapping(target))
        port = self.port_of(client)
        streaming = [await self.echoes(port) for _ in range(3)]
        streaming[0].transport.loseConnection()
        first = server.drain(60.0)
        second = server.drain(0.3)
        third = server.drain(60.0)
        self.assertEqual([await first, await second, await third, await server.drain(1)], [2, 2, 2, 2])
        await self.until(lambda: all(each.ended for each in streaming), "they are reset")
        self.assertEqual([each.was_reset for each in streaming], [False, True, True])
        self.assertTrue(server.running)
        for closed in (port, server.address.port):
            await self.assertFailure(Deferred.fromCoroutine(self.connect(closed)), Refused)

    async def test_client_is_drained(self) -> None:
        """The same from the other end: the client leaves, its port stays for a successor, and its process goes on."""
        target, _ = await self.target()
        server = await self.server()
        client = await self.open_client(server, self.mapping(target))
        port, inode = self.port_of(client), self.listener(self.port_of(client))
        streaming = await self.echoes(port)
        self.assertEqual(await client.drain(0.3), 1)
        await self.until(lambda: streaming.ended, "the reset")
        self.assertTrue(client.draining and client.running)
        self.assertIsNone(self.session(server))
        waiting = await self.connect(port)
        waiting.transport.write(WORD)
        await self.open_client(server, self.mapping(target))
        await self.until(lambda: waiting.received == WORD or waiting.ended, "the successor serves")
        self.assertEqual((waiting.received, self.listener(port)), (WORD, inode))
