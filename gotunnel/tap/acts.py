"""What an operator can do to one role and not to the other: who is to go."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gotunnel.admin.face import Acts, Refused
from gotunnel.tap.admin import only, text

if TYPE_CHECKING:
    from gotunnel.client.view import ClientView
    from gotunnel.server.service import ServerService
    from gotunnel.server.view import ServerView

__all__ = ["client_acts", "server_acts"]


def server_acts(service: ServerService, view: ServerView) -> Acts:
    """Return those of a server: `kick` takes a `client`, or the `stream` of a visitor."""
    from gotunnel.server.kicking import kick_client

    def kick(wish: dict[str, Any]) -> dict[str, Any]:
        only(wish, "client", "stream")
        client, stream = text(wish, "client"), text(wish, "stream")
        if (client is None) == (stream is None):
            raise Refused("name a client, or the stream of one visitor")
        if stream is not None:
            return _stream(stream, view.streams.kick(stream))
        cut = kick_client(service.hub, str(client))
        if cut is None:
            raise Refused(f"no client {client} is connected; gotunnel status lists those that are", 404)
        return {"client": client, "cut": cut}

    return {"kick": kick}


def client_acts(view: ClientView) -> Acts:
    """Return those of a client: `kick` takes a `server` (all of them, without), or the `stream` of a visitor."""
    from gotunnel.client.view import kick_stream, reconnect

    def kick(wish: dict[str, Any]) -> dict[str, Any]:
        server, stream = text(wish, "server"), text(wish, "stream")
        if "client" in wish:
            raise Refused("this is a client: it can leave its server and come back (server), or reset a stream")
        only(wish, "server", "stream")
        if stream is not None:
            return _stream(stream, kick_stream(view, stream))
        cut = reconnect(view, server)
        if cut is None:
            raise Refused("it is not connected" if server is None else f"it is not connected to {server}", 404)
        return {"server": server, "cut": cut}

    return {"kick": kick}


def _stream(conn: str, found: bool) -> dict[str, Any]:
    if not found:
        raise Refused(f"no visitor has the id {conn}; gotunnel status --streams lists those that are here", 404)
    return {"stream": conn, "cut": 1}
