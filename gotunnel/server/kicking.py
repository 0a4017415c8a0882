"""Ends the sessions of a client on behalf of an operator.

To lock a client out, change its identity instead (`gotunnel client revoke`).
"""

from __future__ import annotations

from gotunnel.core.outcome import Outcome
from gotunnel.logs import Logger
from gotunnel.server.hub import Hub
from gotunnel.wire.messages import Error

__all__ = ["kick_client"]

log = Logger(namespace="gotunnel.server.kicking")

WORDS = "an operator has ended this session"


def kick_client(hub: Hub, client: str) -> int | None:
    """End the sessions of a client and reset its visitors; return how many there were, or None if it is not connected.

    The client may reconnect, and usually does at once: its ports are kept for the time of grace.
    """
    cut = 0
    found = [session for session in hub.left if session.peer.name == client]
    for session in found:
        cut += len(session.streams) + len(session.forward.streams)
        session.drop_legs()
        session.close(Error("going_away", WORDS), WORDS)
    old = [] if hub.v1 is None else [each for each in hub.v1.present if client in (each.peer.name, each.peer.client)]
    for each in old:
        cut += len(each.served)
        each.reset_streams(Outcome.STOPPED)
        each.close(None, WORDS)
    if not found and not old:
        return None
    log.warn("an operator has ended the session of client {client}, with {count} visitors", client=client, count=cut)
    return cut
