"""Our client, in memory, and a server that holds the token and says any bytes: nothing is dialled. The first byte
chooses between the control connection and the body of an OPEN."""

from __future__ import annotations

from tests.client.world import World

__all__ = ["attempt"]


def attempt(data: bytes) -> None:
    world = World()
    server = world.connected(legs=5)
    server.grant()
    if data[:1] >= b"\x80":
        (leg,) = server.legs()
        leg.receive_open(data[1:])
    else:
        server.transport.say_bytes(data[1:])
    named = [target for target, _ in world.relay.dials if str(target) != "127.0.0.1:8000"]
    assert not named, f"dialled {named}"
    if server.transport.gone:
        world.clock.pump([1.0] * 90)
        assert any(attempt[0] for attempt in world.path.attempts), "it does not come back"
