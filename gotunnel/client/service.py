"""The client as a Twisted service: builds the parts and wires them. No logic of its own."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred

from gotunnel.client.identity import ClientIdentity
from gotunnel.client.link import Link
from gotunnel.config.model import ClientConfig
from gotunnel.logs import Logger
from gotunnel.net.choice import choose_relay
from gotunnel.net.descriptors import Descriptors
from gotunnel.net.dialer import ServerPath

__all__ = ["ClientService", "make_client"]


class ClientService(Service):
    """Owns the link and the relay; lives as long as the process, or as long as a test wants it."""

    log = Logger()

    def __init__(self, config: ClientConfig, reactor: Any) -> None:
        self._config = config
        descriptors = Descriptors(reactor)
        self._relay = choose_relay(config.relay, reactor, config.dial_timeout, descriptors)
        self._identity: ClientIdentity | None = None
        path = ServerPath(reactor, config.server_addr, None, descriptors=descriptors)
        if config.tls.mode != "off":
            self._identity = ClientIdentity(config, reactor, legs=self._relay.own_tls)
            tls = self._identity.tls
            path = ServerPath(reactor, config.server_addr, tls.creator, tls.legs, descriptors)
            self._identity.changed = lambda tls: path.use(tls.creator, tls.legs)
        # Random per process: it tells a restart from two clients that share one name.
        self.link = Link(config, reactor, self._relay, path, secrets.token_bytes(16))

    def startService(self) -> None:
        """Connect, now and for ever."""
        super().startService()
        if self._identity is not None:
            self._identity.start()
        self.link.start()

    @property
    def draining(self) -> bool:
        """Whether no visitor is served any more but those who were there."""
        return self.link.draining

    def drain(self, seconds: float) -> Deferred[int]:
        """Let visitors go: the server opens nothing more and keeps the ports for a successor, who may start at once;
        visitors have up to `seconds` to finish, then they are reset, and the server is left.

        Fires with how many were reset. The process goes on and serves nobody. Called again, it can only shorten the
        time.
        """
        return self.link.drain(seconds)

    def stopService(self) -> Deferred[None]:
        """Drain; fires when the last visitor is gone or was cut, and the server is left."""
        super().stopService()
        if self._identity is not None:
            self._identity.stop()
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        await self.drain(self._config.drain_timeout)
        self._relay.stop()
        self.log.info("client stopped")


def make_client(config: ClientConfig, reactor: Any, state_dir: Path) -> ClientService:
    """Build a client. `state_dir` is for what must outlive the process; today a client keeps nothing there.

    Raises TlsFilesError.
    """
    return ClientService(config, reactor)
