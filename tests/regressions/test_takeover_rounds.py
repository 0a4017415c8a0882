"""A client comes back, a hundred times in all, in four ways, to a server that may not know yet that it was away: the
port is never bound anew, who waits is served, and what is left of the old session undoes nothing.

Scale: the 2 s that an old session has to answer a ping are 0.1 s here (20 to 1), since most rounds wait for them.
"""

from __future__ import annotations

import os
import signal
from typing import Any

from twisted.internet.defer import Deferred

from gotunnel.core.outcome import Outcome
from gotunnel.server import greeting as server_greeting
from gotunnel.server.session import ServerSession
from tests.integration.base import Peer, reactor
from tests.regressions.forks import Forks
from tests.regressions.rounds import client_file
from tests.regressions.stage import Path, RegressionTestCase

ROUNDS = int(os.environ.get("TAKEOVER_ROUNDS", "25"))
"""Rounds of each way."""
BACK = 2.0
"""Seconds within which a client that comes back has its ports."""


class _RoundsTestCase(RegressionTestCase):
    """A server, an echo behind it, and a clock for each return."""

    async def begin(self) -> None:
        """Start the server and the target."""
        self.patch(server_greeting, "OLD_SESSION_ANSWERS", 0.1)
        self.quick(0.001, 0.01)
        self.service, _ = await self.target()
        self.it = await self.server()

    async def up(self, old: ServerSession | None = None) -> ServerSession:
        """Wait until a session other than `old` serves the client, and its port is open."""

        def there() -> bool:
            peer = self.it.hub.peers.get("edge")
            return bool(peer and peer.session not in (None, old) and peer.published._named and peer.mappings)

        await self.until(there, "a session that has registered its port")
        session = self.session(self.it)
        assert session is not None
        return session

    @property
    def port(self) -> int:
        return self.it.hub.peers["edge"].mappings["web"].port

    async def served(self, visitor: Peer, words: bytes = b"patience") -> None:
        """A visitor gets his words back."""
        await self.until(lambda: visitor.received.endswith(words) or visitor.ended, "the echo")
        self.assertTrue(visitor.received.endswith(words))

    async def says(self, visitor: Peer, words: bytes) -> None:
        """A visitor who streams says something and gets it back."""
        visitor.transport.write(words)
        await self.served(visitor, words)

    async def waits(self) -> Peer:
        """A visitor comes while no leg is there."""
        visitor = await self.connect(self.port)
        visitor.transport.write(b"patience")
        return visitor

    def check(self, session: ServerSession, inode: str, began: float) -> None:
        """The same socket listens, the newcomer is the one that serves, and it took no longer than it may."""
        self.assertLess(reactor.seconds() - began, BACK)
        self.assertEqual(self.listener(self.port), inode)
        self.assertIs(self.session(self.it), session)
        self.assertIs(self.it.hub.sessions.current("edge").session, session)  # type: ignore[union-attr]


class ProcessTests(_RoundsTestCase):
    """Clients are processes of their own."""

    async def start(self, **keys: Any) -> int:
        """Start the first of them."""
        await self.begin()
        self.forks = Forks(self)
        self.file = client_file(self, self.it, self.service, **keys)
        return self.forks.start(self.file)

    async def test_crash(self) -> None:
        """kill -9 and a new start: streams are reset, never ended in order; who waits is served by the successor."""
        running = await self.start()
        session = await self.up()
        inode = self.listener(self.port)
        for _ in range(ROUNDS):
            streaming = await self.echoes(self.port)
            self.forks.kill(running)
            await self.until(lambda s=session: s.over, "the loss")  # type: ignore[misc]
            waiting = await self.waits()
            began = reactor.seconds()
            running = self.forks.start(self.file)
            session = await self.up(session)
            await self.served(waiting)
            self.check(session, inode, began)
            await self.until(lambda v=streaming: v.ended, "the reset")  # type: ignore[misc]
            self.assertTrue(streaming.was_reset)
            waiting.transport.loseConnection()
        await self.until(lambda: not self.it.hub.live, "all are over")
        self.assertEqual(self.it.hub.outcomes, {Outcome.LEG_LOST: ROUNDS, Outcome.COMPLETED: ROUNDS})

    async def test_orderly_restart(self) -> None:
        """SIGTERM, and a new start at once: streams go on until they end, then the old process exits."""
        running = await self.start(drain_timeout=20)
        session = await self.up()
        inode = self.listener(self.port)
        for _ in range(ROUNDS):
            streaming = await self.echoes(self.port)
            old, before = running, session
            os.kill(old, signal.SIGTERM)
            await self.until(lambda s=before: s.draining, "it drains")  # type: ignore[misc]
            waiting = await self.waits()
            began = reactor.seconds()
            running = self.forks.start(self.file)
            session = await self.up(before)
            await self.served(waiting)
            self.check(session, inode, began)
            await self.says(streaming, b" still")
            for each in (streaming, waiting):
                each.transport.loseConnection()
            await self.until(lambda s=before: s not in self.it.hub._present, "the old one is gone")  # type: ignore[misc]
            self.check(session, inode, reactor.seconds())
            await self.until(lambda o=old: not self.forks.runs(o), "it has exited")  # type: ignore[misc]
            self.forks.over(old)
        await self.until(lambda: not self.it.hub.live, "all are over")
        self.assertEqual(self.it.hub.outcomes, {Outcome.COMPLETED: 2 * ROUNDS})

    async def test_beside_a_stopped_one(self) -> None:
        """The old process is stopped (SIGSTOP) and holds all its connections: it makes way for the new one. Awake again
        it still serves who streams on it, and takes nothing back."""
        running = await self.start()
        session = await self.up()
        inode = self.listener(self.port)
        for number in range(ROUNDS):
            streaming = await self.echoes(self.port)
            old, before = running, session
            lines = len(self.log)
            os.kill(old, signal.SIGSTOP)
            began = reactor.seconds()
            running = self.forks.start(self.file)
            session = await self.up(before)
            waiting = await self.waits()
            await self.served(waiting)
            self.check(session, inode, began)
            self.assertIsNone(streaming.ended)
            os.kill(old, signal.SIGCONT)
            await self.says(streaming, b" still")
            if number % 20 == 0:
                await self.said("another running client calls itself edge", skip=lines)
            self.forks.kill(old)
            self.check(session, inode, reactor.seconds())
            waiting.transport.loseConnection()
            await self.until(lambda v=streaming: v.ended, "the reset")  # type: ignore[misc]
        await self.until(lambda: not self.it.hub.live, "all are over")
        self.assertEqual(self.it.hub.outcomes, {Outcome.LEG_LOST: ROUNDS, Outcome.COMPLETED: ROUNDS})


class PathTests(_RoundsTestCase):
    """Client and server are in this process, and the path between them fails."""

    async def begin(self) -> None:
        await super().begin()
        self.path = Path(self, self.it.address.port)

    async def dies_at_last(self, old: ServerSession, session: ServerSession, inode: str) -> None:
        """What is left of an old control connection goes, and with it nothing else."""
        self.path.reset(self.path.of(old))
        await self.until(lambda: old not in self.it.hub._live, "its end")
        self.check(session, inode, reactor.seconds())
        self.assertFalse(session.over)

    async def test_other_address(self) -> None:
        """The client's end of the control connection is reset, as by a NAT that forgets, and it dials again while the
        server still holds the old one. Streams go on."""
        await self.begin()
        client = await self.open_client(self.path.port, self.mapping(self.service))
        session = await self.up()
        inode = self.listener(self.port)
        streaming = await self.echoes(self.port)
        for number in range(ROUNDS):
            await self.until(lambda: self.it.hub.live == 1, "the last round's visitor is over")
            before, began = session, reactor.seconds()
            self.path.reset(self.path.of(before), server=False)
            await self.until(lambda s=before: not any(p.idle for p in s._pools.values()), "no idle leg")  # type: ignore[misc]
            waiting = await self.waits()
            session = await self.up(before)
            await self.served(waiting)
            self.check(session, inode, began)
            await self.says(streaming, b"word %d" % number)
            await self.dies_at_last(before, session, inode)
            waiting.transport.loseConnection()
        streaming.transport.loseConnection()
        await self.until(lambda: not self.it.hub.live, "all are over")
        self.assertEqual(self.it.hub.outcomes, {Outcome.COMPLETED: ROUNDS + 1})
        await self.stop(client)

    async def test_half_open(self) -> None:
        """The old client's control connection is a black hole: another process has its place as soon as it has not
        answered; streams on the old one go on, and its end, much later, is nobody's loss."""
        await self.begin()
        client = await self.open_client(self.path.port, self.mapping(self.service))
        session = await self.up()
        inode = self.listener(self.port)
        for _ in range(ROUNDS):
            streaming = await self.echoes(self.port)
            before, old, began = session, client, reactor.seconds()
            self.path.hole(self.path.of(before))
            client = self.client(self.path.port, self.mapping(self.service))
            session = await self.up(before)
            waiting = await self.waits()
            await self.served(waiting)
            self.check(session, inode, began)
            await self.says(streaming, b" still")
            for each in (streaming, waiting):
                each.transport.loseConnection()
            await self.until(lambda: not self.it.hub.live, "both are over")
            stopping = Deferred.fromCoroutine(self.stop(old))
            await self.dies_at_last(before, session, inode)
            await stopping
            self.check(session, inode, reactor.seconds())
        self.assertEqual(self.it.hub.outcomes, {Outcome.COMPLETED: 2 * ROUNDS})
