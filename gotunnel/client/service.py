"""The client as a Twisted service: builds the parts and wires them. No logic of its own."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred

from gotunnel.client.identity import ClientIdentity
from gotunnel.client.link import Link
from gotunnel.client.memory import VersionMemory
from gotunnel.config.model import ClientConfig
from gotunnel.core.usage import Usage
from gotunnel.errors import ConfigError, Problem
from gotunnel.interfaces import IRelay
from gotunnel.logs import Logger
from gotunnel.net.choice import choose_relay
from gotunnel.net.descriptors import Descriptors
from gotunnel.net.dialer import ServerPath

if TYPE_CHECKING:
    from gotunnel.client.v1.links import V1Links

__all__ = ["ClientService", "make_client"]


class ClientService(Service):
    """Owns the link and the relay; lives as long as the process, or as long as a test wants it."""

    log = Logger()

    def __init__(self, config: ClientConfig, reactor: Any, versions: VersionMemory) -> None:
        self._config = config
        self._relay: IRelay
        self._identity: ClientIdentity | None = None
        self.usage = Usage()
        self.began = reactor.seconds()
        self.link: Link | V1Links
        self.descriptors = descriptors = Descriptors(reactor)
        path = ServerPath(reactor, config.server_addr, None, descriptors=descriptors)
        if config.v1:
            # Loaded by clients of a Go server, and by no others.
            from gotunnel.client.v1.links import V1Links
            from gotunnel.net.raw import RawRelay

            raw = RawRelay(reactor, config.dial_timeout, descriptors)
            self._relay, self.link = raw, V1Links(config, reactor, raw, path, self.usage)
            return
        self._relay = choose_relay(config.relay, reactor, config.dial_timeout, descriptors)
        if config.tls.mode != "off":
            self._identity = ClientIdentity(config, reactor, legs=self._relay.own_tls)
            tls = self._identity.tls
            path = ServerPath(reactor, config.server_addr, tls.creator, tls.legs, descriptors)
            self._identity.changed = lambda tls: path.use(tls.creator, tls.legs)
        # Random per process: it tells a restart from two clients that share one name.
        instance = secrets.token_bytes(16)
        self.link = Link(
            config, reactor, self._relay, path, instance, lambda: versions.note(config.server_addr), self.usage
        )

    def startService(self) -> None:
        """Connect, now and for ever."""
        super().startService()
        if self._identity is not None:
            self._identity.start()
        self.link.start()

    @property
    def links(self) -> tuple[Link | V1Links, ...]:
        """One for each server."""
        return (self.link,)

    @property
    def config(self) -> ClientConfig:
        """What it was made of."""
        return self._config

    @property
    def relay(self) -> IRelay:
        """What moves its bytes."""
        return self._relay

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
    """Build a client. `state_dir` is for what must outlive the process: which servers speak version 2.

    Raises TlsFilesError, and ConfigError for version 1 with a server that is known to speak version 2.
    """
    versions = VersionMemory(state_dir)
    if config.v1 and versions.knows(config.server_addr):
        what = f"version 2 has worked with {config.server_addr}, and version 1 would put the token in clear again"
        cure = f"remove v1, or, if that server really is a Go one again, the file {versions.marker(config.server_addr)}"
        raise ConfigError([Problem("configuration", None, "client.v1", what, cure)])
    return ClientService(config, reactor, versions)
