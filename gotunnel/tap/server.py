"""The server role for `twistd gotunnel-server` and `gotunnel-server`. Binds the control port before anything else, or
uses the sockets that systemd passes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from twisted.application.service import IService

from gotunnel.config.histories import check_histories
from gotunnel.config.identityfile import CLIENTS_FILE
from gotunnel.config.load import load_server
from gotunnel.config.model import ServerConfig
from gotunnel.net.systemd import handed_over
from gotunnel.server.credentials import filed_clients
from gotunnel.server.service import ServerService, bind_control, make_server
from gotunnel.tap.role import Role, RoleOptions

__all__ = ["SERVER", "Options", "makeService"]


def _make(config: ServerConfig, reactor: Any, state: Path) -> ServerService:
    # Bound here, so that a port in use is reported while the user still looks, and before privileges are dropped.
    handed = handed_over()
    listening = None if handed else bind_control(config)
    try:
        return make_server(config, reactor, state, listening, handed)
    except BaseException:
        for each in (listening, *(each.socket for each in handed)):
            if each is not None:
                each.close()
        raise


def _load(path: str, state: Path) -> ServerConfig:
    config = load_server(path, clients_elsewhere=os.path.exists(state / CLIENTS_FILE))
    filed_clients(config, state)  # refuses a bad clients file now, while the user looks
    check_histories(config, state, path)
    return config


def _watched(service: ServerService, config: ServerConfig, reactor: Any, state: Path) -> IService:
    from gotunnel.server.view import ServerView
    from gotunnel.tap.acts import server_acts
    from gotunnel.tap.admin import administered

    view = ServerView(service)
    return administered(service, view, server_acts(service, view), config, reactor, state)


SERVER = Role("gotunnel-server", _load, _make, _watched)


class Options(RoleOptions):
    """Options of `twistd gotunnel-server`."""

    role = SERVER


def makeService(options: Options) -> IService:
    """Called by twistd and twist after the options are parsed."""
    from twisted.internet import reactor

    from gotunnel.tap.runnerlog import speaking  # not needed by a role in the foreground

    return speaking(SERVER.service(options.prepared, reactor), options.parent, reactor)
