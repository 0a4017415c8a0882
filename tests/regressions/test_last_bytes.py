"""A visitor who takes his time over the last bytes of a stream that has ended on the target's side: whatever else ends
meanwhile, he gets them all, and a clean end."""

from __future__ import annotations

import hashlib
import socket
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread

from gotunnel.client.service import ClientService
from gotunnel.core.outcome import Outcome
from gotunnel.net import legbase, pathwatch
from gotunnel.net.sockets import held_by_kernel
from gotunnel.net.transports import raw_socket
from gotunnel.server.service import ServerService
from gotunnel.wire.legstate import State
from tests.e2e.test_last_bytes import fill
from tests.regressions.stage import RegressionTestCase

PATIENCE = 20.0


class LastBytesTests(RegressionTestCase):
    """On TLS legs of the fast relay. The looks at paused legs and the time that a leg has to close are a tenth of what
    they are, so that little time is long."""

    encrypt = True

    async def begin(self) -> None:
        """Start all; the visitor has ended his direction, the target has sent and ended its own, and waits."""
        self.patch(pathwatch, "INTERVAL", 0.2)
        self.patch(legbase, "END_TIMEOUT", 0.5)
        listening = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listening.close)
        self.it: ServerService = await self.server(drain_timeout=PATIENCE, allow_plain_legs=True)
        mapping = self.mapping(listening.getsockname()[1], encrypt=self.encrypt)
        self.edge: ClientService = await self.open_client(self.it, mapping, drain_timeout=PATIENCE)
        if not self.encrypt:
            look, _ = await deferToThread(listening.accept)  # the client's own, whether the target speaks TLS
            look.close()
        self.visitor = socket.create_connection(("127.0.0.1", self.port_of(self.edge)))
        self.addCleanup(self.visitor.close)
        self.visitor.shutdown(socket.SHUT_WR)
        target, _ = await deferToThread(listening.accept)
        self.addCleanup(target.close)
        self.sent = await deferToThread(fill, target)
        self.visitor.setblocking(False)
        self.digest = hashlib.sha256()

    def take(self, most: int) -> bool:
        """Let the visitor read so much, if it is there; False at a clean end."""
        try:
            data = self.visitor.recv(most)
        except BlockingIOError:
            return True
        self.digest.update(data)
        return bool(data)

    async def client_is_done(self) -> None:
        """The visitor reads just as much as it takes for the client, and its kernel, to have passed on all."""
        session: Any = self.edge.link.session
        # All legs, not the one that streams: where the kernel's buffers took everything, none does any more.
        legs = list(session.legs.legs)
        socks = [leg._sock if self.relay == "auto" else raw_socket(leg.transport) for leg in legs]
        while session.legs.streams or any(leg._unsent() for leg in legs) or any(map(held_by_kernel, socks)):
            self.assertTrue(self.take(1 << 16 if session.legs.streams else 1 << 12))
            await self.pause(0)
        self.assertEqual({leg.state for leg in session.legs.legs}, {State.IDLE})

    async def rest_is_there(self) -> None:
        """Somewhat later he reads on."""
        await self.pause(0.7)
        while self.take(1 << 20):
            await self.pause(0)
        self.assertEqual(self.digest.hexdigest(), self.sent)
        await self.until(lambda: not self.it.hub.live, "he is counted")
        self.assertEqual(self.it.hub.outcomes, {Outcome.COMPLETED: 1})

    async def test_control_breaks(self) -> None:
        """The control connection breaks and comes back."""
        await self.begin()
        await self.client_is_done()
        session: Any = self.edge.link.session
        session.control.transport.abortConnection()
        await self.rest_is_there()
        await self.until(lambda: self.settled(self.it, self.edge), "nothing is left of the old session")

    async def test_control_breaks_before(self) -> None:
        """The control connection breaks while the client still passes on."""
        await self.begin()
        session: Any = self.edge.link.session
        session.control.transport.abortConnection()
        while session.legs.streams:
            self.assertTrue(self.take(1 << 16))
            await self.pause(0)
        await self.rest_is_there()
        await self.until(lambda: self.settled(self.it, self.edge), "nothing is left of the old session")

    async def test_client_stops(self) -> None:
        """The client is told to stop."""
        await self.begin()
        await self.client_is_done()
        stopping = Deferred.fromCoroutine(self.stop(self.edge))
        await self.rest_is_there()
        await stopping

    async def test_server_stops(self) -> None:
        """The server is told to stop when the leg is free again, and only its visitor has not taken all."""
        await self.begin()
        while self.it.hub.live:
            self.assertTrue(self.take(1 << 13))
            await self.pause(0)
        stopping = Deferred.fromCoroutine(self.stop(self.it))
        await self.rest_is_there()
        await stopping


class PlainLastBytesTests(LastBytesTests):
    """On plain legs."""

    encrypt = False


class PortableLastBytesTests(LastBytesTests):
    """On TLS legs of the portable relay."""

    relay = "portable"
