"""A client that stops while visitors keep coming, and its successor: no visitor is lost in between. What a stop does to
those who are served is tested where both ends stop as processes."""

from __future__ import annotations

import os
import signal
from typing import Any

from twisted.internet.defer import Deferred

from gotunnel.core.outcome import Outcome
from tests.integration.base import Peer
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
