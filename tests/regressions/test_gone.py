"""Visitors who have closed while their target has nothing to say: the half-closed pair that is left is not for ever.

A visitor who ends his direction and waits for an answer looks the same as one who has closed: both have sent FIN. But
the kernel of one who has closed forgets him after a while (tcp_fin_timeout, 60 s; TCP_LINGER2 makes it 1 s here), and
answers the next keepalive (15 s; 1 s here) with a reset.
"""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet.interfaces import IHalfCloseableProtocol
from zope.interface import implementer

from gotunnel.core.outcome import Outcome
from gotunnel.net import sockets
from tests.integration.base import Peer
from tests.regressions.stage import RegressionTestCase

GONE = 100


@implementer(IHalfCloseableProtocol)
class _Silent(Peer):
    """A target that takes no end of stream for a reason to end."""

    def readConnectionLost(self) -> None:
        """The visitor says nothing more."""

    def writeConnectionLost(self) -> None:
        """Neither do we."""


class GoneTests(RegressionTestCase):
    """On the fast relay."""

    async def test_closed_and_forgotten(self) -> None:
        """A hundred visitors close; each is found out, and his target is reset. One who has only ended his direction is
        not touched: what his target says later reaches him."""
        self.patch(sockets, "KEEPALIVE_IDLE", 1)
        self.patch(sockets, "KEEPALIVE_INTERVAL", 1)
        self.addCleanup(self.pause, 0.05)  # in which the targets, hung up at the end, are gone
        target, made = await self.target(_Silent)
        server = await self.server()
        client = await self.open_client(server, self.mapping(target))
        waits = await self.connect(self.port_of(client))
        await self.until(lambda: len(made) == 1, "his target")
        transport: Any = waits.transport
        transport.getHandle().shutdown(socket.SHUT_WR)
        for _ in range(GONE):
            visitor = socket.socket()
            visitor.setsockopt(socket.IPPROTO_TCP, socket.TCP_LINGER2, 1)
            visitor.connect(("127.0.0.1", self.port_of(client)))
            visitor.close()
        await self.until(lambda: server.hub.visitors_total == GONE + 1, "all have come")
        await self.until(lambda: server.hub.live == 1, "all are found out")
        await self.until(lambda: client.link.streams == 1, "their targets are left")
        self.assertNotIn(Outcome.COMPLETED, server.hub.outcomes)
        self.assertIsNone(waits.ended)
        made[0].transport.write(b"at last")
        await self.until(lambda: waits.received == b"at last" or waits.ended, "the answer")
        self.assertEqual(waits.received, b"at last")


class PortableGoneTests(GoneTests):
    """On the portable one."""

    relay = "portable"
