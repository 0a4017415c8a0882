"""Traffic through a tunnel, its mappings, and what happens when one end goes away."""

from __future__ import annotations

import hashlib
import os
from typing import Any

from pydantic import SecretStr
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory

from gotunnel.address import HostPort
from gotunnel.client import legs as client_legs
from gotunnel.client.service import ClientService
from gotunnel.client.standing import Standing
from gotunnel.client.view import ClientView
from gotunnel.config.model import ServerConfig, TlsClientConfig, TlsServerConfig
from gotunnel.core.outcome import Outcome
from gotunnel.server import claim as server_claim
from gotunnel.server import keeping
from gotunnel.server.service import ServerService, make_server
from gotunnel.server.view import ServerView
from tests.integration.base import TOKEN, IntegrationTestCase, Peer, reactor
from tests.ports import free_port

OFF: dict[str, Any] = {"tls": TlsServerConfig(mode="off")}
CLIENT_OFF: dict[str, Any] = {"tls": TlsClientConfig(mode="off")}


class TrafficTests(IntegrationTestCase):
    """Bytes."""

    def seen_encrypted(self, server: ServerService, *clients: ClientService) -> list[dict[str, bool | None]]:
        """Return what the server and each client tell an operator of each mapping or forward: is it inside TLS?"""
        views = [ServerView(server), *(ClientView(client, reactor) for client in clients)]
        return [{each.name: each.encrypted for each in view.mappings()} for view in views]

    async def test_tls(self) -> None:
        """The default: TLS with the server's own certificate."""
        target, _ = await self.target()
        server = await self.server()
        client = await self.open_client(server, self.mapping(target))
        await self.echoes(self.port_of(client))

    async def test_without_tls(self) -> None:
        """TLS off at both ends; both logs say what that means."""
        target, _ = await self.target()
        server = await self.server(**OFF)
        client = await self.open_client(server, self.mapping(target), **CLIENT_OFF)
        await self.echoes(self.port_of(client))
        await self.said("without TLS: anybody on the path can read and change everything")
        self.assertEqual(self.seen_encrypted(server, client), [{"web": False}] * 2)

    async def test_plain_legs(self) -> None:
        """`encrypt: false` travels outside TLS where the server allows it, one visitor after the other on a leg; what
        is not `encrypt: false` stays inside."""
        target, _ = await self.target()
        server = await self.server(allow_plain_legs=True)
        client = await self.open_client(
            server, self.mapping(target, "open", encrypt=False), self.mapping(target, "sealed")
        )
        self.assertEqual(self.seen_encrypted(server, client), [{"open": False, "sealed": True}] * 2)
        for name, plain in (("open", True), ("sealed", False)):
            for _ in range(3):
                visitor = await self.echoes(self.port_of(client, name))
                (session,) = server.hub.streaming
                self.assertEqual([leg.plain for leg in session.streams], [plain])
                visitor.transport.loseConnection()
                await self.until(lambda: not server.hub.live, "the visitor is over")
        self.assertEqual(server.hub.outcomes, {Outcome.COMPLETED: 6})

    async def test_plain_legs_not_allowed(self) -> None:
        """Elsewhere it travels inside TLS, and the server says why; of a server that is away nobody knows."""
        target, _ = await self.target()
        server = await self.server()
        client = await self.open_client(server, self.mapping(target, encrypt=False))
        self.assertEqual(self.seen_encrypted(server, client), [{"web": True}] * 2)
        await self.echoes(self.port_of(client))
        (session,) = server.hub.streaming
        self.assertEqual([leg.plain for leg in session.streams], [False])
        await self.said("encrypt: false, which this server does not allow")
        await self.stop(server)
        await self.until(lambda: client.link.session is None, "the client has noticed")
        self.assertEqual(self.seen_encrypted(server, client)[1], {"web": None})

    async def test_many(self) -> None:
        """60 visitors at once, each with 100 kB of his own, byte-exact."""
        target, _ = await self.target()
        client = await self.open_client(await self.server(), self.mapping(target))
        words = [os.urandom(100_000) for _ in range(60)]
        visitors = [await self.connect(self.port_of(client)) for _ in words]
        for visitor, data in zip(visitors, words, strict=True):
            visitor.transport.write(data)
        await self.until(lambda: all(len(v.received) == 100_000 or v.ended for v in visitors), "all echoes")
        self.assertEqual(
            [hashlib.sha256(v.received).digest() for v in visitors], [hashlib.sha256(w).digest() for w in words]
        )

    async def test_refused_target(self) -> None:
        """A target that refuses resets its visitor within a second."""
        free, _ = await self.target()
        server = await self.server()
        client = await self.open_client(server, self.mapping(1, "closed"), self.mapping(free))
        began = reactor.seconds()
        visitor = await self.connect(self.port_of(client, "closed"))
        await self.until(lambda: visitor.ended, "the reset")
        self.assertTrue(visitor.was_reset)
        self.assertLess(reactor.seconds() - began, 1.0)
        await self.until(lambda: not server.hub.live, "it is counted")
        self.assertEqual(server.hub.outcomes, {Outcome.REFUSED: 1})
        await self.echoes(self.port_of(client))

    async def test_no_leg(self) -> None:
        """A visitor for whom no leg comes is closed after leg_wait, and counted."""
        self.patch(client_legs.ClientLegs, "bring", lambda legs, plain, count: None)
        target, made = await self.target()
        server = await self.server(leg_wait=0.3)
        client = await self.open_client(server, self.mapping(target))
        visitor = await self.connect(self.port_of(client))
        await self.until(lambda: visitor.ended, "the close")
        self.assertTrue(visitor.was_reset)
        self.assertEqual((server.hub.outcomes, made), ({Outcome.NO_LEG: 1}, []))


class PortableTrafficTests(TrafficTests):
    """The same on the relay that runs everywhere."""

    relay = "portable"


class MappingTests(IntegrationTestCase):
    """Real ports."""

    async def test_port_in_use(self) -> None:
        """A port that another program holds is refused for that mapping alone, and taken once it is free."""
        self.quick()
        target, _ = await self.target()
        other = reactor.listenTCP(0, _silent(), interface="127.0.0.1")
        number = other.getHost().port
        client = self.client(
            await self.server(), self.mapping(target, "held", number), self.mapping(target, "free")
        )
        statuses = client.link.published.statuses
        await self.until(lambda: statuses["held"].standing is Standing.REFUSED, "the refusal")
        self.assertTrue(statuses["held"].reason.startswith("port_in_use: "))
        await self.until(lambda: statuses["free"].standing is Standing.OPEN, "the other one is open")
        await self.echoes(self.port_of(client, "free"))
        await other.stopListening()
        await self.until(lambda: self.is_open(client), "it is taken")
        await self.echoes(number)

    async def test_refusals(self) -> None:
        """Another client's port, the control port, and what is not allowed."""
        target, _ = await self.target()
        server = await self.server(allow_ports=("20000-60999",))
        mine = await self.open_client(server, self.mapping(target))
        other = self.client(
            server,
            self.mapping(target, "theirs", self.port_of(mine)),
            self.mapping(target, "control", server.address.port),
            self.mapping(target, "denied", 61000),
            name="other",
        )
        statuses = other.link.published.statuses
        await self.until(lambda: all(s.reason for s in statuses.values()), "three answers")
        self.assertEqual(
            [status.reason.partition(":")[0] for status in statuses.values()],
            ["port_in_use", "reserved", "acl_denied"],
        )
        await self.echoes(self.port_of(mine))

    async def test_bind(self) -> None:
        """A mapping listens on its address only."""
        target, _ = await self.target()
        client = await self.open_client(await self.server(), self.mapping(target, remote="127.0.0.2:0"))
        port = self.port_of(client)
        refused = await _fails(self.connect(port))
        self.assertIn("refused", refused)

    async def test_names(self) -> None:
        """Every name a mapping may have survives the way, and is logged as one line."""
        target, _ = await self.target()
        client = await self.open_client(await self.server(), self.mapping(target, '{a.b!r} %s "q" \\n [31m'))
        await self.echoes(self.port_of(client, '{a.b!r} %s "q" \\n [31m'))


class AwayTests(IntegrationTestCase):
    """One end goes away, and comes back."""

    async def test_streams_live_on(self) -> None:
        """When the control connection breaks, a visitor notices nothing; the client comes back to the same listener."""
        self.quick()
        target, _ = await self.target()
        server = await self.server()
        client = await self.open_client(server, self.mapping(target))
        visitor = await self.echoes(self.port_of(client))
        listener = server.hub.peers["edge"].mappings["web"]._listening
        first = client.link.session
        assert first is not None
        first.control.transport.abortConnection()
        await self.until(lambda: client.link.session not in (None, first) and self.is_open(client), "a new session")
        self.assertIs(server.hub.peers["edge"].mappings["web"]._listening, listener)
        visitor.transport.write(b" again")
        await self.until(lambda: visitor.received == b"hello again" or visitor.ended, "the old stream's echo")
        await self.echoes(listener.getHost().port)
        visitor.transport.loseConnection()
        await self.until(lambda: server.hub.outcomes[Outcome.COMPLETED] == 1, "a clean end")

    async def test_takeover_by_another_process(self) -> None:
        """A client that was killed and started again takes over, since the old one is silent; streams live on, and a
        visitor who waits is served by the new one."""
        self.patch(server_claim, "time_to_answer", lambda *_: 0.2)
        target, _ = await self.target()
        server = await self.server()
        old = await self.open_client(server, self.mapping(target, remote=0))
        port = self.port_of(old)
        streaming = await self.echoes(port)
        old_session = old.link.session
        assert old_session is not None
        old_session.control.transport.pauseProducing()  # as good as stopped: it reads nothing any more
        record = server.hub.sessions.current("edge")
        assert record is not None
        for leg in record.session.open_no_more() or ():
            leg.close()
        record.session.draining = True  # so that the next visitor has to wait
        waiting = await self.connect(port)
        waiting.transport.write(b"patience")
        new = await self.open_client(server, self.mapping(target, remote=0))
        self.assertEqual(self.port_of(new), port)
        await self.until(lambda: waiting.received == b"patience", "the waiting visitor is served")
        streaming.transport.write(b" still")
        await self.until(lambda: streaming.received == b"hello still", "the old stream lives")
        old_session.control.transport.resumeProducing()
        await self.stop(old)

    async def test_two_running_clients(self) -> None:
        """Two clients with one name: the second is refused while the first answers, and both logs say so."""
        target, _ = await self.target()
        server = await self.server()
        first = await self.open_client(server, self.mapping(target))
        second = self.client(server, self.mapping(target))
        await self.said("does not let this client in: name_in_use")
        await self.said("another running client calls itself edge")
        self.assertIsNone(second.link.session)
        await self.echoes(self.port_of(first))

    async def test_grace(self) -> None:
        """A listener outlives its session for a while, and then it is gone."""
        self.patch(keeping, "GRACE", 0.4)
        target, _ = await self.target()
        server = await self.server()
        client = await self.open_client(server, self.mapping(target))
        port = self.port_of(client)
        await self.stop(client)
        await self.until(lambda: not server.hub.sessions.by_sid(b"") and "edge" in server.hub.peers, "the loss")
        visitor = await self.connect(port)
        self.assertIsNone(visitor.ended)
        await self.until(lambda: "edge" not in server.hub.peers, "the end of grace", 3)
        self.assertIn("refused", await _fails(self.connect(port)))
        await self.until(lambda: visitor.ended, "its visitor is turned away")

    async def test_server_comes_back(self) -> None:
        """A client waits for its server, for as long as it takes: also if there is none when it starts."""
        self.quick()
        target, _ = await self.target()
        port = free_port(self)
        client = self.client(port, self.mapping(target))
        await self.said("connection refused", 3)
        server = await self.server(addr=HostPort("127.0.0.1", port))
        await self.until(lambda: self.is_open(client), "it is there")
        await self.echoes(self.port_of(client))
        await self.stop(server)
        self.assertIsNone((await _next_turn(self, client)).link.session)
        await self.server(addr=HostPort("127.0.0.1", port))
        await self.until(lambda: client.link.session is not None and self.is_open(client), "it is back")
        await self.echoes(self.port_of(client))


class StopTests(IntegrationTestCase):
    """Either end stops while somebody is served."""

    async def both(self, drain: float) -> tuple[Any, Any, Peer]:
        """Start both, with a visitor."""
        target, _ = await self.target()
        server = await self.server(drain_timeout=drain)
        client = await self.open_client(server, self.mapping(target), drain_timeout=drain)
        return server, client, await self.echoes(self.port_of(client))

    async def test_cut(self) -> None:
        """At drain_timeout a visitor is reset, not ended cleanly; whoever stops."""
        for which in (0, 1):
            found = await self.both(0.3)
            began = reactor.seconds()
            await self.stop(found[which])
            took = reactor.seconds() - began
            await self.until(lambda v=found[2]: v.ended, "the end")  # type: ignore[misc]
            self.assertTrue(found[2].was_reset)
            self.assertGreaterEqual(took, 0.29)
            self.assertLess(took, 3.0)
            await self.stop(found[1])
            await self.stop(found[0])

    async def test_finishes(self) -> None:
        """A visitor who finishes in time ends cleanly, and the stop does not wait longer."""
        for which in (0, 1):
            found = await self.both(20.0)
            began = reactor.seconds()
            stopping = Deferred.fromCoroutine(self.stop(found[which]))
            await self.pause(0.1)
            found[2].transport.write(b" more")
            await self.until(lambda v=found[2]: v.received == b"hello more", "it still works")  # type: ignore[misc]
            found[2].transport.loseConnection()
            await stopping
            self.assertFalse(found[2].was_reset)
            self.assertLess(reactor.seconds() - began, 5.0)
            await self.stop(found[1])
            await self.stop(found[0])

    async def test_never_started(self) -> None:
        """A server that was made and never started lets go of its port."""
        before = self.descriptors()
        config = ServerConfig(addr=HostPort("127.0.0.1", 0), token=SecretStr(TOKEN))
        service = make_server(config, reactor, self.folder)
        await service.stopService()
        self.assertEqual(self.descriptors(), before)


async def _next_turn(case: IntegrationTestCase, client: Any) -> Any:
    await case.until(lambda: client.link.session is None, "the loss is noticed")
    return client


async def _fails(connecting: Any) -> str:
    try:
        await connecting
    except Exception as error:  # noqa: BLE001 - that is what is asked for
        return str(error)
    return "it did not fail"


def _silent() -> Any:
    factory = Factory.forProtocol(Peer)
    factory.noisy = False
    return factory
