"""Connections that this process makes through a tunnel: to what stands behind the server, or behind another client."""

from __future__ import annotations

from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.defer import CancelledError
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IHalfCloseableProtocol, ITCPTransport
from zope.interface import implementer
from zope.interface.verify import verifyObject

from gotunnel.api import ConfigError, DialFailed, TunnelClientEndpoint
from gotunnel.core.outcome import Outcome
from tests.api.base import ApiTestCase, Service
from tests.integration.base import TOKEN, Echo, Peer

RIGHTS: dict[str, Any] = {"clients": ({"name": "here", "token": TOKEN[::-1], "allow_dial": ["127.0.0.0/8:1-65535"]},)}


class DialTests(ApiTestCase):
    """On the relay that is chosen by itself, and once on the portable one."""

    async def dialler(self, make: Any = Echo, **options: Any) -> tuple[Any, int, list[Any]]:
        """Return a tunnel that may dial, and a target."""
        target, made = await self.target(make)
        self.hub = (server := await self.server(**RIGHTS)).hub
        return self.tunnel(server, name="here", token=TOKEN[::-1], **options), target, made

    async def test_bytes(self) -> None:
        """It is connected when the target has answered; addresses, bytes, and the session ends behind the last."""
        tunnel, target, made = await self.dialler()
        factory = Service(Peer)
        endpoint = TunnelClientEndpoint(tunnel, f"127.0.0.1:{target}")
        one, two = await endpoint.connect(factory), await endpoint.connect(factory)
        verifyObject(ITCPTransport, one.transport)
        self.assertEqual(one.transport.getPeer(), IPv4Address("TCP", "127.0.0.1", target))
        self.assertEqual(factory.started, 2)
        data = bytes(range(256)) * 4000
        one.transport.write(data)
        await self.until(lambda: one.received == data, "the echo")
        two.transport.loseConnection()
        await self.until(lambda: made[1].ended, "the end")
        self.assertTrue(made[1].ended.check(ConnectionDone))
        self.assertTrue(tunnel.connected)
        made[0].transport.write(b"last words")
        made[0].transport.loseConnection()
        await self.until(lambda: one.ended, "the end")
        self.assertEqual(one.received, data + b"last words")
        self.assertTrue(one.ended.check(ConnectionDone))
        await self.until(lambda: not tunnel.connected and factory.started == 0, "the end of the session")
        self.assertEqual(self.hub.outcomes, {Outcome.COMPLETED: 2})

    async def test_kept_no_longer_than_the_session(self) -> None:
        """A session that is ended from outside is not kept for the next use, and leaves no timer behind."""
        tunnel, target, _ = await self.dialler()
        await tunnel.dial(f"127.0.0.1:{target}", Service(Peer), keep=3600.0)
        session = tunnel._session
        await session.end()
        await self.until(lambda: session._holds == 0, "the end of the connection")
        self.assertIsNone(session._kept)

    async def test_half_close(self) -> None:
        """Who ends his direction has the answer yet."""
        tunnel, target, _ = await self.dialler(Answering)
        protocol = await tunnel.dial(f"127.0.0.1:{target}", Service(Asking))
        protocol.transport.write(b"x" * 100_000)
        protocol.transport.loseWriteConnection()
        await self.until(lambda: protocol.ended, "the answer")
        self.assertEqual(protocol.received, b"100000 bytes")

    async def test_resets(self) -> None:
        """A reset reaches the other end, in both directions."""
        tunnel, target, made = await self.dialler(relay="portable")
        one = await tunnel.dial(f"127.0.0.1:{target}", Service(Peer), keep=5.0)
        one.transport.abortConnection()
        await self.until(lambda: made and made[0].ended and one.ended, "the reset")
        self.assertTrue(made[0].was_reset)
        self.assertTrue(one.ended.check(ConnectionAborted))
        two = await tunnel.dial(f"127.0.0.1:{target}", Service(Peer))
        two.transport.write(b"x")
        await self.until(lambda: two.received, "the echo")
        made[1].transport.abortConnection()
        await self.until(lambda: two.ended, "the reset")
        self.assertTrue(two.ended.check(ConnectionLost))

    async def test_refused(self) -> None:
        """What does not answer, what is not allowed and what nobody has: DialFailed, with what mends it."""
        tunnel, _, _ = await self.dialler()
        factory = Service(Peer)
        for where, code, words in (
            ("127.0.0.1:1", "refused", "127.0.0.1:1: connection refused"),
            ("192.0.2.1:1", "not_allowed", "name it in allow_dial of this client"),
            ("mapping:other/web", "not_allowed", "name it in allow_dial of this client"),
        ):
            with self.assertRaises(DialFailed) as caught:
                await tunnel.dial(where, factory)
            self.assertEqual(caught.exception.code, code)
            self.assertIn(words, str(caught.exception))
        with self.assertRaises(ConfigError) as wrong:
            await tunnel.dial("no port", factory)
        self.assertIn("gotunnel: dial: ", str(wrong.exception))
        self.assertEqual((factory.started, factory.made), (0, []))
        await self.until(lambda: tunnel._session._service is None, "nothing is left")

    async def test_no_protocol(self) -> None:
        """A factory that builds none, or fails, resets the target and fails the call."""
        tunnel, target, made = await self.dialler()
        with self.assertRaises(RuntimeError):
            await tunnel.dial(f"127.0.0.1:{target}", Service(_fail))
        await self.until(lambda: made and made[0].ended, "the reset")
        self.assertTrue(made[0].was_reset)
        await self.until(lambda: tunnel._session._service is None, "nothing is left")

    async def test_cancelled(self) -> None:
        """Cancelled on the way, or late, it leaves nothing."""
        tunnel, target, made = await self.dialler()
        factory = Service(Peer)
        async with tunnel:
            dialling = tunnel.dial(f"127.0.0.1:{target}", factory)
            dialling.cancel()
            with self.assertRaises(CancelledError):
                await dialling
            dialling = tunnel.dial(f"127.0.0.1:{target}", factory, timeout=0.0001)
            with self.assertRaises(DialFailed) as caught:
                await dialling
            self.assertEqual(caught.exception.code, "timeout")
            await self.until(lambda: all(each.ended for each in made), "the targets are free")
            self.assertEqual((factory.made, factory.started), ([], 0))
        self.assertFalse(tunnel.connected)


@implementer(IHalfCloseableProtocol)
class Answering(Peer):
    """Answers with the length of what came, once that has ended."""

    def readConnectionLost(self) -> None:
        self.transport.write(f"{len(self.received)} bytes".encode())
        self.transport.loseConnection()

    def writeConnectionLost(self) -> None:
        """Nothing follows from it."""


@implementer(IHalfCloseableProtocol)
class Asking(Peer):
    """Closes when the answer has ended."""

    def readConnectionLost(self) -> None:
        self.transport.loseConnection()

    def writeConnectionLost(self) -> None:
        """It waits for the answer."""


def _fail() -> Peer:
    raise RuntimeError("broken")
