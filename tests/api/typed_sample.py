"""A program that uses the library, for mypy: `make check` reads it with all else, and nothing runs it. A type that is
lost, or a mistake that is not seen any more, is an error there."""

from __future__ import annotations

from twisted.internet.interfaces import IListeningPort, IProtocol
from twisted.internet.protocol import DatagramProtocol, Factory, Protocol
from typing_extensions import assert_type

from gotunnel.address import HostPort
from gotunnel.api import Background, Event, PublicPort, Tunnel, TunnelServerEndpoint, expose


def heard(event: Event) -> None:
    """Hear an event."""


async def main() -> None:
    """Use most of it."""
    async with expose(8000, server="server.example") as exposed:
        assert_type(exposed, PublicPort)
        assert_type(exposed.address, HostPort | None)
    tunnel = Tunnel("server.example", timeout=3.0)
    stop = tunnel.observe(heard)
    port = await tunnel.expose(Factory.forProtocol(Protocol), 8080)
    assert_type(port, PublicPort)
    listening: IListeningPort = port
    assert_type(await tunnel.expose(DatagramProtocol(), 53, idle=5.0), PublicPort)
    await tunnel.dial("10.0.0.7:5432", Factory.forProtocol(Protocol))
    assert_type(await tunnel.dial("unix:/run/x", Factory.forProtocol(Protocol)), IProtocol)
    assert_type(await TunnelServerEndpoint(tunnel, 8080).listen(Factory.forProtocol(Protocol)), IListeningPort)
    stop()
    listening.stopListening()
    tunnel.expose(object())  # type: ignore[arg-type]
    expose(object())  # type: ignore[arg-type]
    with Background("server.example") as background:
        assert_type(background.expose(8000).port, int)
