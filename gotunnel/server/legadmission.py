"""Whether a leg belongs to a session, and which end of it takes the leg. What is said of a refusal is for the
greeting."""

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
    """Return the session whose key the leg proves, and the answer that proves it in turn. `tls` is what the connection
    runs in.

    Raises AuthRejected (no_session) and RemoteProtocolError (tls_required, auth_failed).
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
    """Use up the leg's number, and a place among the session's legs. Raises RemoteProtocolError (auth_failed) for a
    number that was seen before, AuthRejected (limit) when there is no place."""
    if not session.seqs.accept(leg.seq):
        raise RemoteProtocolError("this leg was seen before", "auth_failed")
    if not session.room_for_leg:
        raise AuthRejected("limit", "this client has as many legs as it may")


def take(hub: Hub, session: ServerSession, leg: Leg, transport: Any, *, plain: bool) -> None:
    """Hand the connection, which has heard the answer, to the session's opening or dialling end."""
    reverse = leg.purpose == "reverse"
    end, owner = (End.OPENER, session) if reverse else (End.DIALLER, session.forward)
    try:
        taken = hub.relay.leg(transport, b"", end, owner, plain)
    except RemoteProtocolError:
        transport.abortConnection()  # it broke under our answer: nobody is there to be refused
        return
    taken.tag = leg.seq
    if reverse:
        session.leg_arrived(taken)
    else:
        session.forward.add(taken)
