"""A client comes back, a hundred times in each of five ways, to a server that may not know yet that it was away: the
port is never bound anew, who waits is served, and what is left of the old session undoes nothing.

Several clients do so at once, so that a hundred rounds take less time than one after the other. Nothing is scaled: an
old session that is asked whether it lives has its time. How long the returns took, from the client's connection to its
open port and from the start of all, is written to `figures` in the folder of the test.
"""

from __future__ import annotations

import os
import signal
import statistics
from collections.abc import Awaitable, Callable
from typing import Any

from twisted.internet.defer import Deferred, gatherResults

from gotunnel.client.service import ClientService
from gotunnel.core.outcome import Outcome
from gotunnel.server.greeting import ServerGreeting
from gotunnel.server.peer import Peer as ServerPeer
from gotunnel.server.session import ServerSession
from tests.integration.base import Peer, reactor
from tests.regressions.forks import Forks
from tests.regressions.rounds import client_file
from tests.regressions.stage import Path, RegressionTestCase

ROUNDS = int(os.environ.get("TAKEOVER_ROUNDS", "100"))
"""Rounds of each way, all clients together."""
FEW, MANY = 4, 10
"""Clients at once: few where a return takes some milliseconds, many where an old session is waited for."""
BACK = 2.0
"""Seconds from the connection of a client that comes back to its open port, the question to its old session included,
for most of them; none of them takes WORST, its start included. Where more processes want to run than the machine has
processors, all takes as many times longer."""
WORST = 15.0


class _Lane:
    """One of the clients: what the server holds for its name, and the rounds that it goes through."""

    def __init__(self, case: RoundsTestCase, name: str, rounds: int) -> None:
        self.name = name
        self.rounds = rounds
        self.session: ServerSession
        self.inode = ""
        self._case = case

    @property
    def peer(self) -> ServerPeer:
        return self._case.it.hub.peers[self.name]

    @property
    def port(self) -> int:
        return self.peer.mappings["web"].port

    async def up(self, old: ServerSession | None = None) -> ServerSession:
        """Wait until a session other than `old` serves the client, and its port is open."""

        def there() -> bool:
            peer = self._case.it.hub.peers.get(self.name)
            return bool(peer and peer.session not in (None, old) and peer.published._named and peer.mappings)

        await self._case.until(there, "a session that has registered its port")
        session = self.peer.session
        assert session is not None
        self.session = session
        if old is None:
            self.inode = self._case.listener(self.port)
        return session

    async def waits(self) -> Peer:
        """A visitor comes while no leg is there."""
        visitor = await self._case.connect(self.port)
        visitor.transport.write(b"patience")
        return visitor

    def back(self, began: float) -> None:
        """The newcomer has the port; how long it took is kept."""
        now = reactor.seconds()
        self._case.took.append((now - self._case.came[self.name], now - began))
        self.check()

    def check(self) -> None:
        """The same socket listens, and the newcomer is the one that serves."""
        self._case.assertEqual(self._case.listener(self.port), self.inode)
        self._case.assertIs(self.peer.session, self.session)
        current = self._case.it.hub.sessions.current(self.name)
        assert current is not None
        self._case.assertIs(current.session, self.session)


class RoundsTestCase(RegressionTestCase):
    """A server and an echo, and clients that come back."""

    timeout = 240

    async def begin(self) -> None:
        """Start the server and the target."""
        self.quick(0.001, 0.01)
        self.took: list[tuple[float, float]] = []
        self.came: dict[str, float] = {}
        establish = ServerGreeting._establish

        def established(greeting: ServerGreeting, handshake: Any, name: str, *more: Any) -> None:
            self.came[name] = greeting._door.since
            establish(greeting, handshake, name, *more)

        self.patch(ServerGreeting, "_establish", established)
        self.service, _ = await self.target()
        self.it = await self.server(handshake_timeout=10.0, leg_wait=30.0)  # nobody is turned away by a busy machine

    async def lanes(self, count: int, go: Callable[[_Lane], Awaitable[None]], outcomes: dict[Outcome, int]) -> None:
        """Let so many clients go through ROUNDS in all, and count how their visitors fared, a round each."""
        rounds = max(1, ROUNDS // count)
        lanes = [_Lane(self, f"edge{number}", rounds) for number in range(count)]
        await gatherResults([Deferred.fromCoroutine(go(lane)) for lane in lanes], consumeErrors=True)  # type: ignore[arg-type]
        await self.until(lambda: not self.it.hub.live, "all are over")
        self.assertEqual(self.it.hub.outcomes, {outcome: each * rounds * count for outcome, each in outcomes.items()})
        self.assertEqual(len(self.took), rounds * count)
        figures = [(max(each), statistics.median(each)) for each in zip(*self.took, strict=True)]
        lines = [f"{len(self.took)} returns: worst {worst:.3f} s, median {median:.3f} s\n" for worst, median in figures]
        (self.folder / "figures").write_text("".join(lines))
        (_, median), (worst, _) = figures
        crowded = max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))
        self.assertLess(median, BACK * crowded)
        self.assertLess(worst, WORST * crowded)

    async def served(self, visitor: Peer, words: bytes = b"patience") -> None:
        """A visitor gets his words back."""
        await self.until(lambda: visitor.received.endswith(words) or visitor.ended, "the echo")
        self.assertTrue(visitor.received.endswith(words))

    async def says(self, visitor: Peer, words: bytes) -> None:
        """A visitor who streams says something and gets it back."""
        visitor.transport.write(words)
        await self.served(visitor, words)


class ProcessTests(RoundsTestCase):
    """Clients are processes of their own."""

    async def begin(self) -> None:
        await super().begin()
        self.forks = Forks(self)

    def start(self, lane: _Lane, **keys: Any) -> int:
        """Start the lane's client."""
        return self.forks.start(client_file(self, self.it, self.service, name=lane.name, **keys))

    async def test_crash(self) -> None:
        """kill -9 and a new start: streams are reset, never ended in order; who waits is served by the successor."""
        await self.begin()
        await self.lanes(FEW, self.crash, {Outcome.LEG_LOST: 1, Outcome.COMPLETED: 1})

    async def crash(self, lane: _Lane) -> None:
        running = self.start(lane)
        session = await lane.up()
        for _ in range(lane.rounds):
            streaming = await self.echoes(lane.port)
            self.forks.kill(running)
            await self.until(lambda s=session: s.over, "the loss")  # type: ignore[misc]
            waiting = await lane.waits()
            began = reactor.seconds()
            running = self.start(lane)
            session = await lane.up(session)
            lane.back(began)
            await self.served(waiting)
            await self.until(lambda v=streaming: v.ended, "the reset")  # type: ignore[misc]
            self.assertTrue(streaming.was_reset)
            lane.check()
            waiting.transport.loseConnection()

    async def test_orderly_restart(self) -> None:
        """SIGTERM, and a new start at once: streams go on until they end, then the old process exits."""
        await self.begin()
        await self.lanes(FEW, self.restart, {Outcome.COMPLETED: 2})

    async def restart(self, lane: _Lane) -> None:
        running = self.start(lane, drain_timeout=20)
        session = await lane.up()
        for _ in range(lane.rounds):
            streaming = await self.echoes(lane.port)
            old, before = running, session
            os.kill(old, signal.SIGTERM)
            await self.until(lambda s=before: s.draining, "it drains")  # type: ignore[misc]
            waiting = await lane.waits()
            began = reactor.seconds()
            running = self.start(lane, drain_timeout=20)
            session = await lane.up(before)
            lane.back(began)
            await self.served(waiting)
            await self.says(streaming, b" still")
            for each in (streaming, waiting):
                each.transport.loseConnection()
            await self.until(lambda s=before: s not in self.it.hub.left, "the old one is gone")  # type: ignore[misc]
            await self.until(lambda o=old: not self.forks.runs(o), "it has exited")  # type: ignore[misc]
            self.forks.over(old)
            lane.check()

    async def test_beside_a_stopped_one(self) -> None:
        """The old process is stopped (SIGSTOP) and holds all its connections: it makes way for the new one. Awake again
        it still serves who streams on it, and takes nothing back."""
        await self.begin()
        await self.lanes(MANY, self.beside, {Outcome.LEG_LOST: 1, Outcome.COMPLETED: 1})

    async def beside(self, lane: _Lane) -> None:
        running = self.start(lane)
        session = await lane.up()
        for _ in range(lane.rounds):
            streaming = await self.echoes(lane.port)
            old, before = running, session
            os.kill(old, signal.SIGSTOP)
            began = reactor.seconds()
            running = self.start(lane)
            session = await lane.up(before)
            lane.back(began)
            waiting = await lane.waits()
            await self.served(waiting)
            self.assertIsNone(streaming.ended)
            os.kill(old, signal.SIGCONT)
            await self.says(streaming, b" still")
            self.forks.kill(old)
            lane.check()
            waiting.transport.loseConnection()
            await self.until(lambda v=streaming: v.ended, "the reset")  # type: ignore[misc]


class PathTests(RoundsTestCase):
    """Clients and server are in this process, and the path between them fails."""

    async def dies_at_last(self, lane: _Lane, path: Path, number: int, old: ServerSession) -> None:
        """What is left of an old control connection goes, and with it nothing else. The server may have ended it: two
        seconds after it was replaced it does."""
        path.reset(number)
        await self.until(lambda: old not in self.it.hub.connected, "its end")
        lane.check()
        self.assertFalse(lane.session.over)

    async def test_other_address(self) -> None:
        """The client's end of the control connection is reset, as by a NAT that forgets, and it dials again while the
        server still holds the old one. Streams go on."""
        await self.begin()
        await self.lanes(FEW, self.other_address, {Outcome.COMPLETED: 2})

    async def other_address(self, lane: _Lane) -> None:
        path = Path(self, self.it.address.port)
        client = await self.open_client(path.port, self.mapping(self.service), name=lane.name)
        session = await lane.up()
        for number in range(lane.rounds):
            streaming = await self.echoes(lane.port)
            before, began = session, reactor.seconds()
            control = path.of(before)
            path.reset(control, server=False)
            await self.until(lambda s=before: not any(p.idle for p in s._pools.values()), "no idle leg")  # type: ignore[misc]
            waiting = await lane.waits()
            session = await lane.up(before)
            lane.back(began)
            await self.served(waiting)
            await self.says(streaming, b"word %d" % number)
            await self.dies_at_last(lane, path, control, before)
            for each in (streaming, waiting):
                each.transport.loseConnection()
            await self.until(lambda: not lane.peer.visitors, "both are over")
        await self.stop(client)

    async def test_half_open(self) -> None:
        """The old client's control connection is a black hole: another process has its place as soon as it has not
        answered; streams on the old one go on, and its end, much later, is nobody's loss."""
        await self.begin()
        await self.lanes(MANY, self.half_open, {Outcome.COMPLETED: 2})

    async def half_open(self, lane: _Lane) -> None:
        path = Path(self, self.it.address.port)

        def start() -> ClientService:
            return self.client(path.port, self.mapping(self.service), name=lane.name)

        client = start()
        session = await lane.up()
        for _ in range(lane.rounds):
            streaming = await self.echoes(lane.port)
            before, old, began = session, client, reactor.seconds()
            control = path.of(before)
            path.hole(control)
            client = start()
            session = await lane.up(before)
            lane.back(began)
            waiting = await lane.waits()
            await self.served(waiting)
            await self.says(streaming, b" still")
            for each in (streaming, waiting):
                each.transport.loseConnection()
            await self.until(lambda: not lane.peer.visitors, "both are over")
            stopping = Deferred.fromCoroutine(self.stop(old))
            await self.dies_at_last(lane, path, control, before)
            await stopping
            lane.check()
