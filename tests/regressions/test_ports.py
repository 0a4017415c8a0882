"""A port and the client behind it: whatever happens to the one, the other follows."""

from __future__ import annotations

from twisted.internet.error import ConnectionRefusedError as Refused

from gotunnel.client import legs as client_legs
from gotunnel.client import pace
from gotunnel.config.model import TlsClientConfig, TlsServerConfig
from gotunnel.core.outcome import Outcome
from gotunnel.server import claim, keeping
from tests.integration.base import reactor
from tests.ports import free_port
from tests.processes import FULL_TIME
from tests.regressions.stage import Path, RegressionTestCase


class AgainTests(RegressionTestCase):
    """Clients that come again."""

    async def test_works_later(self) -> None:
        """A client that comes back without having gone has a port that works 0.1, 1 and 5 s later too, and with
        TEST_FULL_TIME=1 after 40 s, when its old session would long have been given up."""
        self.quick()
        target, _ = await self.target()
        server = await self.server()
        path = Path(self, server.address.port)
        client = await self.open_client(path.port, self.mapping(target))
        inode, first = self.listener(self.port_of(client)), self.session(server)
        assert first is not None
        path.reset(path.of(first), server=False)
        await self.until(lambda: self.session(server) not in (None, first) and self.is_open(client), "it is back")
        began = reactor.seconds()
        for seconds in (0.1, 1.0, 5.0, 40.0) if FULL_TIME else (0.1, 1.0, 5.0):
            await self.until(lambda s=seconds: reactor.seconds() >= began + s, "the time", 60.0)  # type: ignore[misc]
            await self.echoes(self.port_of(client))
            self.assertEqual(self.listener(self.port_of(client)), inode)

    async def test_while_visitors_wait(self) -> None:
        """Twenty visitors wait when a client comes back: each is served by it, within 2 s."""
        self.quick()
        target, _ = await self.target()
        server = await self.server()
        client = self.client(server, self.mapping(target))
        bring = client_legs.ClientLegs.bring
        self.patch(client_legs.ClientLegs, "bring", lambda legs, plain, count: None)
        await self.until(lambda: self.is_open(client), "its port is open")
        visitors = [await self.connect(self.port_of(client)) for _ in range(20)]
        for number, visitor in enumerate(visitors):
            visitor.transport.write(b"%d" % number)
        await self.until(lambda: server.hub.live == 20, "all wait")
        self.patch(client_legs.ClientLegs, "bring", bring)
        began, session = reactor.seconds(), client.link.session
        assert session is not None
        session.control.transport.abortConnection()
        await self.until(lambda: all(each.received or each.ended for each in visitors), "all are served")
        self.assertLess(reactor.seconds() - began, 2.0)
        self.assertEqual([each.received for each in visitors], [b"%d" % number for number in range(20)])

    async def test_silent_client(self) -> None:
        """A client that falls silent: its port closes when its time of grace (0.3 s here for 30 s) is over. When it
        comes back there is one listener again, and it is served."""
        self.patch(keeping, "GRACE", 0.3)
        target, _ = await self.target()
        server = await self.server(heartbeat=0.2, heartbeat_timeout=0.8)
        path = Path(self, server.address.port)
        client = await self.open_client(path.port, self.mapping(target, remote=free_port(self)))
        port = self.port_of(client)
        path.close()
        for number in range(len(path.ends)):
            path.hole(number)
        await self.until(lambda: not self.listeners(port), "its port is closed")
        self.assertTrue(await self.refused(port))
        self.assertEqual(len(server.hub.peers), 0)
        path.open()
        await self.until(lambda: self.session(server) and self.listeners(port), "it is back")
        self.listener(port)
        await self.echoes(port)

    async def test_two_hundred_cycles(self) -> None:
        """200 clients come, register, and go; afterwards this process holds what it held, and does nothing."""
        self.patch(keeping, "GRACE", 0.01)
        target, _ = await self.target()
        server = await self.server(tls=TlsServerConfig(mode="off"))
        kept = await self.open_client(
            server, self.mapping(target), name="kept", tls=TlsClientConfig(mode="off")
        )

        def quiet() -> bool:
            return list(server.hub.peers) == ["kept"] and len(server.hub._present) == 1 and not server.hub.live

        await self.until(lambda: quiet() and self.figures(server).legs == 2, "one client")
        before = self.figures(server)
        for _ in range(200):
            client = await self.open_client(server, self.mapping(target), tls=TlsClientConfig(mode="off"))
            await self.stop(client)
        await self.as_before(server, before, quiet)
        self.assertLess(await self.idle_cpu(3.0), 0.01)
        await self.echoes(self.port_of(kept))
        self.assertEqual(server.hub.outcomes[Outcome.NO_LEG], 0)

    async def refused(self, port: int) -> bool:
        """Whether nobody listens there."""
        try:
            await self.connect(port)
        except Refused:
            return True
        return False


class OneNameTests(RegressionTestCase):
    """Two running clients with one name."""

    async def test_no_flapping(self) -> None:
        """The second tries twenty times (at once here, not after five seconds), is refused each time, and both logs say
        so; the first keeps session, listener and streams."""
        self.quick(0.02, 0.1)
        self.patch(pace, "AUTH_PAUSE", 0.05)
        self.patch(claim, "RETRY_AFTER_RIVAL", 0.05)
        target, _ = await self.target()
        server = await self.server()
        first = await self.open_client(server, self.mapping(target))
        port = self.port_of(first)
        streaming, inode, session = await self.echoes(port), self.listener(port), self.session(server)
        second = self.client(server, self.mapping(target))
        await self.said("does not let this client in: name_in_use", 20)
        await self.said("another running client calls itself edge", 20)
        self.assertIsNone(second.link.session)
        self.assertIs(self.session(server), session)
        self.assertEqual(self.listener(port), inode)
        self.assertEqual([line for line in self.lines() if " lost" in line or "replacing an older" in line], [])
        streaming.transport.write(b" again")
        await self.until(lambda: streaming.received == b"hello again" or streaming.ended, "the echo")
        self.assertIsNone(streaming.ended)
        await self.echoes(port)
