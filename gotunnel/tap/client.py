"""The client role for `twistd gotunnel-client` and `gotunnel-client`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.application.service import IService

from gotunnel.client.service import ClientService, make_client
from gotunnel.config.histories import check_histories
from gotunnel.config.load import load_client
from gotunnel.config.model import ClientConfig
from gotunnel.tap.role import Role, RoleOptions

__all__ = ["CLIENT", "Options", "makeService"]


def _load(path: str, state: Path) -> ClientConfig:
    config = load_client(path)
    check_histories(config, state, path)
    return config


def _watched(service: ClientService, config: ClientConfig, reactor: Any, state: Path) -> IService:
    from gotunnel.client.view import ClientView
    from gotunnel.tap.acts import client_acts
    from gotunnel.tap.admin import administered

    view = ClientView(service, reactor)
    return administered(service, view, client_acts(service, view), config, reactor, state)


CLIENT = Role("gotunnel-client", _load, make_client, _watched)


class Options(RoleOptions):
    """Options of `twistd gotunnel-client`."""

    role = CLIENT


def makeService(options: Options) -> IService:
    """Called by twistd and twist after the options are parsed."""
    from twisted.internet import reactor

    from gotunnel.tap.runnerlog import speaking  # not needed by a role in the foreground

    return speaking(CLIENT.service(options.prepared, reactor), options.parent, reactor)
