"""Decides what the first frame of version 1 leads to: a session, a leg or a refusal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gotunnel.errors import RemoteProtocolError
from gotunnel.server.v1.peers import V1Peers, V1Refused
from gotunnel.server.v1.session import V1Leg, V1Session
from gotunnel.wire.v1 import DataChannel, Register, decode_object

if TYPE_CHECKING:
    from gotunnel.server.reception import Door

__all__ = ["admit"]


async def admit(peers: V1Peers, found: dict[str, object], door: Door, *, encrypted: bool) -> V1Session | V1Leg:
    """Return the object that takes over the connection after `ok` is sent. Raises V1Refused."""
    if encrypted:
        raise V1Refused("v1_tls", "version 1 does not run inside TLS")
    try:
        message = decode_object(found)
    except RemoteProtocolError as breach:
        raise V1Refused(breach.code, breach.reason) from None
    assert isinstance(message, (Register, DataChannel))  # nothing else is among FIRST_TYPES
    # So that parallel guesses gain nothing over sequential ones. But a client that shares its address with a guesser
    # must not lose its visitors.
    if door.refused and not (isinstance(message, DataChannel) and peers.awaits(message, door.host)):
        door.turned_down()
        raise V1Refused("penalty", "too many failed logins came from this address; try again later")
    peers.check_token(message.token)
    door.proved()
    if isinstance(message, Register):
        return await peers.register(message, door.host, door.address)
    return peers.leg(message, door.host)
