"""The stage of tests with a Go client on our server."""

from __future__ import annotations

from typing import Any

from gotunnel.config.model import V1ServerConfig
from gotunnel.server import greeting
from gotunnel.server.service import ServerService
from tests.v1.peers import V1_TOKEN, GoClient, GoTestCase, HalfOpen, Wire, framed

__all__ = ["OK", "ServerTestCase"]

OK = {"type": "register_resp", "status": "ok"}


class ServerTestCase(GoTestCase):
    """A test of a server that lets Go clients in."""

    def setUp(self) -> None:
        super().setUp()
        self.patch(greeting, "V1_PAUSE", 0.01)

    async def v1_server(self, **config: Any) -> ServerService:
        """Start one; `v1` adds to that section."""
        section = {"enabled": True, "token": V1_TOKEN, **config.pop("v1", {})}
        return await self.server(v1=V1ServerConfig(**section), **config)

    async def refused(self, wire: Wire) -> str:
        """Wait until a connection is refused in the words of version 1, and closed; return the reason."""
        await self.until(lambda: wire.ended, "the close")
        self.assertEqual([m["type"] for m in wire.heard], ["register_resp"])
        self.assertEqual(wire.heard[0]["status"], "fail")
        self.assertFalse(wire.was_reset)
        return str(wire.heard[0]["reason"])

    async def refusal(self, server: ServerService, **more: Any) -> str:
        """Register in vain; return the reason."""
        client = GoClient(self, server.address.port, more.pop("remote", None) or self.free_port())
        await client.register(**more)
        return await self.refused(client.control)

    async def asked(self, client: GoClient, times: int = 1) -> None:
        """Wait until the client was asked for so many legs in all."""
        await self.until(
            lambda: len(client.control.of("open_data_channel")) == times, f"{times} open_data_channel"
        )

    async def leg_with_half_close(self, client: GoClient) -> HalfOpen:
        """Bring a leg that is granted; its end can be seen without being an end of both directions."""
        leg = HalfOpen()
        await self.join(leg, client.server)
        fields = {"local_port": client.local, "remote_port": client.remote, "token": V1_TOKEN, "name": client.name}
        leg.transport.write(framed(type="data_channel", **fields))
        answer = framed(**OK)
        await self.until(lambda: leg.received.startswith(answer), "ok")
        leg.received = leg.received[len(answer) :]
        return leg
