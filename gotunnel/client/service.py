"""The client as a Twisted service: builds the parts and wires them. No logic of its own."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred

from gotunnel.address import HostPort
from gotunnel.client.identity import ClientIdentity
from gotunnel.client.link import Link
from gotunnel.client.links import Links
from gotunnel.client.memory import VersionMemory
from gotunnel.config.model import ClientConfig
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
    """Owns the links and the relay; lives as long as the process, or as long as a test wants it."""

    log = Logger()

    def __init__(self, config: ClientConfig, reactor: Any, versions: VersionMemory) -> None:
        self._config = config
        self._reactor = reactor
        self._descriptors = Descriptors(reactor)
        self._relay: IRelay
        self._identity: ClientIdentity | None = None
        self.links: Links | V1Links
        if config.v1:
            # Loaded by clients of a Go server, and by no others.
            from gotunnel.client.v1.links import V1Links
            from gotunnel.net.raw import RawRelay

            raw = RawRelay(reactor, config.dial_timeout, self._descriptors)
            self._relay, self.links = raw, V1Links(config, reactor, raw, self._path_to(config.all_servers[0], None))
            return
        self._relay = choose_relay(config.relay, reactor, config.dial_timeout, self._descriptors)
        if config.tls.mode != "off":
            self._identity = ClientIdentity(config, reactor, legs=self._relay.own_tls)
        # Random per process: it tells a restart from two clients that share one name.
        instance = secrets.token_bytes(16)
        self.links = links = Links(config, reactor, self._relay, self._path_to, instance, versions.note)
        if self._identity is not None:
            self._identity.changed = lambda tls: links.use(tls.towards)

    def _path_to(self, server: HostPort, ip: str | None) -> ServerPath:
        if self._identity is None:
            return ServerPath(self._reactor, server, None, descriptors=self._descriptors, ip=ip)
        towards = self._identity.tls.towards[server.host]
        return ServerPath(self._reactor, server, towards.creator, towards.legs, self._descriptors, ip)

    @property
    def link(self) -> Link | V1Links:
        """The link to the server, or to the first of several that is there."""
        return self.links.links[0] if isinstance(self.links, Links) else self.links

    def startService(self) -> None:
        """Connect, now and for ever."""
        super().startService()
        if self._identity is not None:
            self._identity.start()
        self.links.start()

    @property
    def draining(self) -> bool:
        """Whether no visitor is served any more but those who were there."""
        return self.links.draining

    def drain(self, seconds: float) -> Deferred[int]:
        """Let visitors go: the server opens nothing more and keeps the ports for a successor, who may start at once;
        visitors have up to `seconds` to finish, then they are reset, and the servers are left.

        Fires with how many were reset. The process goes on and serves nobody. Called again, it can only shorten the
        time.
        """
        return self.links.drain(seconds)

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
    server = config.all_servers[0]
    if config.v1 and versions.knows(server):
        what = f"version 2 has worked with {server}, and version 1 would put the token in clear again"
        cure = f"remove v1, or, if that server really is a Go one again, the file {versions.marker(server)}"
        raise ConfigError([Problem("configuration", None, "client.v1", what, cure)])
    return ClientService(config, reactor, versions)
