"""The server role for `twistd gotunnel-server` and `gotunnel-server`: binds the control port before anything else, or
takes up the one that systemd hands over."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

from twisted.application.service import IService

from gotunnel.address import HostPort
from gotunnel.config.identityfile import CLIENTS_FILE
from gotunnel.config.load import load_server
from gotunnel.config.model import ServerConfig
from gotunnel.logs import Logger
from gotunnel.net.systemd import handed_over
from gotunnel.server.credentials import filed_clients
from gotunnel.server.service import ServerService, bind_control, make_server
from gotunnel.tap.role import Role, RoleOptions

__all__ = ["SERVER", "Options", "makeService"]

log = Logger()


def _make(config: ServerConfig, reactor: Any, state: Path) -> ServerService:
    # Bound here, so that a port in use is told while somebody still looks, and before privileges are given up.
    listening = handed_over()
    if listening is None:
        listening = bind_control(config)
    else:
        _compare(config, listening)
    try:
        return make_server(config, reactor, state, listening)
    except BaseException:
        listening.close()
        raise


def _compare(config: ServerConfig, listening: socket.socket) -> None:
    host, port = listening.getsockname()[:2]
    taken = HostPort(host, port)
    if taken != config.addr:
        log.warn(
            "the control port comes from systemd: {taken}, and server.addr says {addr}: make them the same "
            "(mappings without an address of their own listen where server.addr says)",
            taken=str(taken), addr=str(config.addr),
        )  # fmt: skip


def _load(path: str, state: Path) -> ServerConfig:
    config = load_server(path, clients_elsewhere=os.path.exists(state / CLIENTS_FILE))
    filed_clients(config, state)  # refuses it now, when somebody looks
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

    from gotunnel.tap.runnerlog import speaking  # a role in the foreground has no use for it

    return speaking(SERVER.service(options.prepared, reactor), options.parent, reactor)
