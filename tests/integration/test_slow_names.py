"""A client that has slow names looked up, over real connections: everybody else goes on as if it were not there."""

from __future__ import annotations

import socket
import threading
from typing import Any

from twisted.internet._resolver import GAIResolver
from twisted.internet.defer import Deferred

from gotunnel.config.identitychange import added, revoked
from gotunnel.config.identityfile import FileIdentity
from gotunnel.config.model import ForwardConfig
from gotunnel.net.lookups import SHARE
from gotunnel.net.resolve import resolve
from gotunnel.wire.handshake import derive_key

from .base import TOKEN, IntegrationTestCase, reactor

MANY = 200
AT_ONCE = 5.0
"""Seconds that nothing here may take: half of what a dial may. Less would tell of this machine, not of the code."""


class SlowNamesTests(IntegrationTestCase):
    """Names below slow.example are looked up for as long as the test runs."""

    def setUp(self) -> None:
        super().setUp()
        self.released = threading.Event()
        self.began: list[str] = []
        self.patch(socket, "getaddrinfo", self.look)
        before = reactor.installNameResolver(GAIResolver(reactor, getaddrinfo=self.look))
        self.addCleanup(reactor.installNameResolver, before)

    def look(self, host: str, port: Any, *args: Any, **more: Any) -> list[tuple[Any, ...]]:
        """Be getaddrinfo, in a thread."""
        if host.endswith(".slow.example"):
            self.began.append(host)
            self.released.wait(60)
            raise socket.gaierror(socket.EAI_AGAIN, "no answer")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port or 0))]

    async def within(self, done: Deferred[Any], what: str) -> Any:
        """Wait for something that is not to wait."""
        done.addTimeout(AT_ONCE, reactor, lambda result, seconds: self.fail(f"{what} waits for the slow names"))
        return await done

    async def test_nobody_else_waits(self) -> None:
        """Two hundred slow names of one client are under way. A forward of another client by name is served at once;
        a client is added to the clients file, as for one that joins, and another one revoked; and the server's own
        look-ups find a thread. What the slow client has under way stays its share, also when it connects anew."""
        self.quick()
        target, _ = await self.target()
        server = await self.server(
            allow_dial=(f"good.example:{target}", f"127.0.0.0/8:{target}", "*.slow.example:443")
        )
        slow = await self.open_client(server, forwards=tuple(
            ForwardConfig.model_validate({
                "name": f"n{number}", "listen": "127.0.0.1:0", "dial": f"n{number}.slow.example:443",
            }) for number in range(MANY)
        ), name="slow")  # fmt: skip
        good = await self.open_client(server, forwards=(
            ForwardConfig.model_validate({"name": "out", "listen": "127.0.0.1:0", "dial": f"good.example:{target}"}),
        ), name="good")  # fmt: skip
        self.addCleanup(self.released.set)
        await self.until(lambda: slow.link.session and good.link.session, "both sessions")
        for number in range(MANY):
            await self.connect(slow.links.forwards.address(f"n{number}").port)  # type: ignore[union-attr]
        await self.until(lambda: server.hub.live == MANY, "all are being looked up, or wait for that")

        port = good.links.forwards.address("out").port  # type: ignore[union-attr]
        await self.within(Deferred.fromCoroutine(self.echoes(port)), "another client's forward")
        new = FileIdentity(name="new", keys=(derive_key(TOKEN, "new"),))
        await self.within(Deferred.fromCoroutine(server.hub.change_clients(added(new))), "a client that joins")
        self.assertTrue(server.hub.knows("new"))
        await self.within(Deferred.fromCoroutine(server.hub.change_clients(revoked("new"))), "a revocation")
        self.assertEqual(await self.within(resolve(reactor, "own.example", 80, 10), "the server"), ["127.0.0.1"])
        self.assertEqual(len(self.began), SHARE)

        first = slow.link.session
        assert first is not None
        first.control.transport.abortConnection()
        await self.until(lambda: slow.link.session not in (None, first), "another session")
        await self.connect(slow.links.forwards.address("n7").port)  # type: ignore[union-attr]
        await self.until(lambda: server.hub.visitors_total > MANY + 1, "one more")
        self.assertEqual(len(self.began), SHARE)
