"""The acts that only one of the two roles has: ending sessions and visitors, and switching mappings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred

from gotunnel.admin.face import Acts, Refused
from gotunnel.core.view import SWITCHED_OFF_AT_SERVER
from gotunnel.errors import PortUnavailable, Sentence
from gotunnel.tap.admin import only, text

if TYPE_CHECKING:
    from gotunnel.client.service import ClientService
    from gotunnel.client.view import ClientView
    from gotunnel.server.service import ServerService
    from gotunnel.server.view import ServerView

__all__ = ["client_acts", "server_acts"]


def server_acts(service: ServerService, view: ServerView) -> Acts:
    """Return a server's acts. `kick` takes a `client`, or the `stream` of a visitor. `mapping` takes its `name`, `on`,
    and the `client` if several clients have a mapping of that name."""
    from gotunnel.server.kicking import kick_client
    from gotunnel.server.switching import NotOne, switch_mapping

    def kick(wish: dict[str, Any]) -> dict[str, Any]:
        only(wish, "client", "stream")
        client, stream = text(wish, "client"), text(wish, "stream")
        if (client is None) == (stream is None):
            raise Refused("name a client, or the stream of one visitor")
        if stream is not None:
            return _stream(stream, view.streams.kick(stream))
        cut = kick_client(service.hub, str(client))
        if cut is None:
            raise Refused(Sentence(
                "no client {client} is connected; gotunnel status lists those that are", client=client
            ), 404)
        return {"client": client, "cut": cut}

    async def switch(name: str, client: str | None, on: bool) -> dict[str, Any]:
        try:
            owner = await switch_mapping(service.hub, client, name, off=not on)
        except NotOne as refused:
            raise Refused(str(refused), 404) from None
        except PortUnavailable as refused:
            raise Refused(Sentence(
                "mapping {name} stays off: {reason}", name=name, reason=refused.reason
            ), 409) from None
        return {"mapping": name, "client": owner, "on": on}

    def mapping(wish: dict[str, Any]) -> Deferred[dict[str, Any]]:
        name, on = _switch(wish)
        return Deferred.fromCoroutine(switch(name, text(wish, "client"), on))

    return {"kick": kick, "mapping": mapping}


def client_acts(service: ClientService, view: ClientView) -> Acts:
    """Return a client's acts. `kick` takes a `server` (without it, all servers), or the `stream` of a visitor.
    `mapping` takes its `name` and `on`."""
    from gotunnel.client.switching import switch_mapping
    from gotunnel.client.view import reconnect

    def kick(wish: dict[str, Any]) -> dict[str, Any]:
        server, stream = text(wish, "server"), text(wish, "stream")
        if "client" in wish:
            raise Refused("this is a client: it can end its session with a server (server) or reset a stream")
        only(wish, "server", "stream")
        if stream is not None:
            return _stream(stream, view.kick(stream))
        cut = reconnect(view, server)
        if cut is None:
            what = "it is not connected"
            raise Refused(what if server is None else Sentence("it is not connected to {server}", server=server), 404)
        return {"server": server, "cut": cut}

    def mapping(wish: dict[str, Any]) -> dict[str, Any]:
        name, on = _switch(wish)
        if text(wish, "client") not in (None, view.name):
            raise Refused(Sentence("this is the client {view}", view=view.name))
        if not switch_mapping(service, name, off=not on):
            raise Refused(Sentence(
                "this client has no mapping {name}; gotunnel status lists those that it has", name=name
            ), 404)
        there = [each.server for each in view.mappings() if each.name == name and each.reason == SWITCHED_OFF_AT_SERVER]
        if on and there:
            raise Refused(Sentence(
                "mapping {name} stays off: the server {server} has switched it off; switch it on there",
                name=name, server=", ".join(server or "" for server in there),
            ), 409)
        return {"mapping": name, "client": view.name, "on": on}

    return {"kick": kick, "mapping": mapping}


def _switch(wish: dict[str, Any]) -> tuple[str, bool]:
    only(wish, "name", "client", "on")
    name, on = text(wish, "name"), wish.get("on")
    if name is None or not isinstance(on, bool):
        raise Refused('name a mapping, and say "on": true or false')
    return name, on


def _stream(conn: str, found: bool) -> dict[str, Any]:
    if not found:
        raise Refused(Sentence(
            "no visitor has the id {conn}; gotunnel status --streams lists those that are here", conn=conn
        ), 404)
    return {"stream": conn, "cut": 1}
