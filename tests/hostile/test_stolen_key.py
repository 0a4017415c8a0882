"""What the threat model says of a server's private key that was stolen, and of the token that was not: somebody in the
middle is at neither end of a control connection, and at both of a leg."""

from __future__ import annotations

import shutil
from typing import Any

from twisted.internet.defer import maybeDeferred

from gotunnel.net.greeting import ControlGreeting
from gotunnel.net.tls import own_server_tls
from tests.integration.base import TOKEN, IntegrationTestCase
from tests.integration.test_hostile import Middle


class StolenKeyTests(IntegrationTestCase):
    """He shows the server's own certificate, and can."""

    async def middle(self, port: int) -> Middle:
        """Sit there, with the server's key, until the end of the test."""
        (own,) = self.folder.glob("state*/server.pem")
        place = self.folder / "stolen"
        place.mkdir()
        shutil.copy(own, place)
        middle = Middle(port, own_server_tls(place))

        async def end() -> None:
            await maybeDeferred(middle.listening.stopListening)

        self.addCleanup(end)
        return middle

    async def test_control(self) -> None:
        """The two TLS sessions differ, and both ends refuse."""
        self.quick()
        server = await self.server()
        middle = await self.middle(server.address.port)
        client = self.client(middle.port, self.mapping(1))
        await self.said("does not let this client in: auth_failed")
        self.assertIsNone(client.link.session)
        self.assertNotIn(TOKEN.encode(), middle.seen)

    async def test_legs(self) -> None:
        """A leg is bound to the certificate, which is the right one: he reads what it carries. So the documents say."""
        target, _ = await self.target()
        server = await self.server()
        middle = await self.middle(server.address.port)
        original = ControlGreeting.connectionMade

        def then_legs(greeting: Any) -> None:
            original(greeting)
            path = client.link.path
            path.address = type(path.address)("127.0.0.1", middle.port)

        self.patch(ControlGreeting, "connectionMade", then_legs)
        client = self.client(server, self.mapping(target))
        await self.until(lambda: self.is_open(client), "the control connection works")
        await self.echoes(self.port_of(client), b"a visitor's secret")
        self.assertIn(b"a visitor's secret", middle.seen)
        self.assertNotIn(TOKEN.encode(), middle.seen)
