"""Lets an operator close the port of one mapping to new visitors, and open it again.

A mapping stays switched off until it is switched on or the process ends, even if the client reconnects, registers it
again, or the configuration is reloaded. To close a mapping for good, change the client's rights.
"""

from __future__ import annotations

from gotunnel.core.view import SWITCHED_OFF
from gotunnel.errors import GotunnelError, Sentence
from gotunnel.logs import Logger
from gotunnel.server.hub import Hub
from gotunnel.server.peer import Peer

__all__ = ["NotOne", "switch_mapping"]

log = Logger(namespace="gotunnel.server.switching")


class NotOne(GotunnelError):
    """No mapping has this name, several have it, or the server cannot switch it on."""


async def switch_mapping(hub: Hub, client: str | None, name: str, *, off: bool) -> str:
    """Switch a mapping of a client off or on; return its client. Without `client`, the name must be unique.

    Raises NotOne, or PortUnavailable if another program has taken its port meanwhile; it then stays off.
    """
    owner, peer = _found(hub, client, name)
    new = hub.switched(owner, name, off) if peer is None else await peer.published.switch(name, off)
    if new:
        log.warn(
            "an operator has switched mapping {mapping} of client {client} {state}",
            mapping=name, client=owner, state="off" if off else "on",
        )  # fmt: skip
    mapping = None if peer is None else peer.mappings.get(name)
    if not off and mapping is not None and mapping.suspended == SWITCHED_OFF:
        raise NotOne(Sentence(
            "mapping {name} stays off: its client {owner} has switched it off; switch it on there",
            name=name, owner=owner,
        ))
    return owner


def _found(hub: Hub, client: str | None, name: str) -> tuple[str, Peer | None]:
    held: dict[str, Peer | None] = {owner: None for owner, mapping in hub.switched_off if mapping == name}
    held.update({peer.name: peer for peer in hub.holders if name in peer.published.asked_for})
    if client is not None:
        if client not in held:
            raise NotOne(Sentence(
                "no client {client} has a mapping {name} here; gotunnel status lists those that are",
                client=client, name=name,
            ))
        return client, held[client]
    if not held:
        raise NotOne(Sentence(
            "there is no mapping {name} here; gotunnel status lists those that are", name=name
        ))
    if len(held) > 1:
        raise NotOne(Sentence(
            "several clients have a mapping {name}; say whose: {held}",
            name=name, held=', '.join(sorted(held)[:5]),
        ))
    return next(iter(held.items()))
