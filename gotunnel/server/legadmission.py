"""Checks whether a leg belongs to a session, and hands it to the right end of that session.

The greeting reports refusals.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gotunnel.errors import AuthRejected, RemoteProtocolError
from gotunnel.net.tls import ServerTls
from gotunnel.server.session import ServerSession
from gotunnel.wire.handshake import NO_BINDING, leg_client_mac, leg_server_mac, same
from gotunnel.wire.legstate import End
from gotunnel.wire.messages import Leg, LegOk

if TYPE_CHECKING:
    from gotunnel.server.hub import Hub

__all__ = ["admitted", "spend", "take"]


def admitted(hub: Hub, tls: ServerTls | None, leg: Leg) -> tuple[ServerSession, LegOk]:
    """Return the session whose key the leg proves, and the answer that proves it in turn.

    `tls` are the TLS settings of the connection, None without TLS. Raises AuthRejected (no_session) or
    RemoteProtocolError (tls_required, auth_failed).
    """
    if hub.tls is not None and tls is None and not hub.plain_legs:
        raise RemoteProtocolError("this server wants legs inside TLS", "tls_required")
    record = hub.sessions.by_sid(leg.sid)
    if record is None or record.session.over:
        raise AuthRejected("no_session", "the session of this leg is over")
    session = record.session
    binding = NO_BINDING if tls is None else tls.leg_binding
    if not same(leg.mac, leg_client_mac(session.ks, leg.sid, leg.seq, leg.purpose, binding)):
        raise RemoteProtocolError("the leg does not belong to its session", "auth_failed")
    return session, LegOk(leg_server_mac(session.ks, leg.sid, leg.seq, leg.purpose, binding))


def spend(session: ServerSession, leg: Leg) -> None:
    """Use up the leg's number, and check the session's limit on legs.

    Raises RemoteProtocolError (auth_failed) for a number that was used before, AuthRejected (limit) at the limit.
    """
    if not session.seqs.accept(leg.seq):
        raise RemoteProtocolError("this leg was seen before", "auth_failed")
    if not session.room_for_leg:
        raise AuthRejected("limit", "this client has as many legs as it may")


def take(hub: Hub, session: ServerSession, leg: Leg, transport: Any, *, plain: bool) -> None:
    """Hand the connection, on which the answer has been sent, to the session's opening or dialling end."""
    reverse = leg.purpose == "reverse"
    end, owner = (End.OPENER, session) if reverse else (End.DIALLER, session.forward)
    try:
        taken = hub.relay.leg(transport, b"", end, owner, plain)
    except RemoteProtocolError:
        transport.abortConnection()  # it broke while we answered, so there is nobody to send a refusal to
        return
    taken.tag = leg.seq
    if reverse:
        session.leg_arrived(taken)
    else:
        session.forward.add(taken)
