"""A stranger at the control port, in memory: he is answered or not, and is gone when his time is over. The first byte
is the size of the pieces in which his bytes come; if it is odd he says hello first."""

from __future__ import annotations

from gotunnel.wire.handshake import ClientHandshake
from tests.server.world import TOKEN, World

__all__ = ["attempt"]

HELLO = ClientHandshake("edge", TOKEN, b"one", "test").hello()


def attempt(data: bytes) -> None:
    world = World()
    transport = world.connect()
    first, data = data[0] if data else 1, data[1:]
    if first % 2:
        transport.say_json(HELLO)
    for start in range(0, len(data), first + 1):
        transport.say_bytes(data[start : start + first + 1])
    assert not world.hub.sessions, "a session without a proof"
    assert not world.relay.legs, "a leg without a proof"
    for seconds in (world.config.handshake_timeout, 2, 0):
        world.clock.advance(seconds)
    assert transport.lost and not world.reception.strangers, "he is still there"
    assert not world.clock.getDelayedCalls(), "a timer is left"
