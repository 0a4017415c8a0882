"""The server role for `twistd gotunnel-server` and `gotunnel-server`: binds the control port before anything else."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from twisted.application.service import IService

from gotunnel.config.identityfile import CLIENTS_FILE
from gotunnel.config.load import load_server
from gotunnel.config.model import ServerConfig
from gotunnel.server.credentials import filed_clients
from gotunnel.server.service import bind_control, make_server
from gotunnel.tap.role import Role, RoleOptions

__all__ = ["SERVER", "Options", "makeService"]


def _make(config: ServerConfig, reactor: Any, state: Path) -> IService:
    # Bound here, so that a port in use is told while somebody still looks, and before privileges are given up.
    listening = bind_control(config)
    try:
        return make_server(config, reactor, state, listening)
    except BaseException:
        listening.close()
        raise


def _load(path: str, state: Path) -> ServerConfig:
    config = load_server(path, clients_elsewhere=os.path.exists(state / CLIENTS_FILE))
    filed_clients(config, state)  # refuses it now, when somebody looks
    return config


SERVER = Role("gotunnel-server", _load, _make)


class Options(RoleOptions):
    """Options of `twistd gotunnel-server`."""

    role = SERVER


def makeService(options: Options) -> IService:
    """Called by twistd and twist after the options are parsed."""
    from twisted.internet import reactor

    return SERVER.service(options.prepared, reactor)
