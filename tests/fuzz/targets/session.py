"""An authenticated client, in memory, that says any bytes: its session goes on or is closed with an error, and the next
client is served."""

from __future__ import annotations

from gotunnel.wire.messages import Error, MappingRequest
from tests.server.world import World

__all__ = ["attempt"]


def attempt(data: bytes) -> None:
    world = World()
    client = world.login("rude")
    client.register(MappingRequest("web", 8080))
    client.transport.say_bytes(data)
    world.clock.pump([0.0, 0.0, 1.0])
    for message in client.heard():
        assert not isinstance(message, Error) or client.transport.gone, "an error, and it goes on"
    for port in world.relay.ports:
        assert 1024 <= port.port <= 65535 and port.port != 17000, f"port {port.port}"
    world.login("good", host="192.0.2.9").publish(50001)
