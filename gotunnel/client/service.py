"""The client as a Twisted service: builds the parts and wires them. No logic of its own."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred

from gotunnel.client.link import Link
from gotunnel.config.model import ClientConfig
from gotunnel.logs import Logger
from gotunnel.net.choice import choose_relay
from gotunnel.net.dialer import ServerPath
from gotunnel.net.legtls import client_leg_tls
from gotunnel.net.tls import client_creator

__all__ = ["ClientService", "make_client"]


class ClientService(Service):
    """Owns the link and the relay; lives as long as the process, or as long as a test wants it."""

    log = Logger()

    def __init__(self, config: ClientConfig, reactor: Any) -> None:
        tls = config.tls
        self._config = config
        self._relay = choose_relay(config.relay, reactor, config.dial_timeout)
        creator, legs = None, None
        if tls.mode != "off":
            name = tls.server_name or config.server_addr.host
            creator = client_creator(tls.ca, name)
            legs = client_leg_tls(tls.ca, name) if self._relay.own_tls else None
        path = ServerPath(reactor, config.server_addr, creator, legs)
        # Random per process: it tells a restart from two clients that share one name.
        self.link = Link(config, reactor, self._relay, path, secrets.token_bytes(16))

    def startService(self) -> None:
        """Connect, now and for ever."""
        super().startService()
        self.link.start()

    def stopService(self) -> Deferred[None]:
        """Drain; fires when the last visitor is gone or was cut, and the server is left."""
        super().stopService()
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        await self.link.stop(self._config.drain_timeout)
        self._relay.stop()
        self.log.info("client stopped")


def make_client(config: ClientConfig, reactor: Any, state_dir: Path) -> ClientService:
    """Build a client. `state_dir` is for what must outlive the process; today a client keeps nothing there.

    Raises TlsFilesError.
    """
    return ClientService(config, reactor)
