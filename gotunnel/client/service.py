"""The client as a Twisted service: builds the parts and connects them to each other."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred

from gotunnel.address import HostPort
from gotunnel.client.identity import ClientIdentity
from gotunnel.client.link import Link
from gotunnel.client.links import Links
from gotunnel.client.memory import VersionMemory
from gotunnel.client.probes import check_for
from gotunnel.config.model import ClientConfig
from gotunnel.core.accounts import MOST
from gotunnel.core.usage import Usage
from gotunnel.errors import ConfigError, Problem, Sentence
from gotunnel.interfaces import IRelay
from gotunnel.logs import Logger
from gotunnel.net.choice import choose_relay
from gotunnel.net.crowdlines import CrowdLines
from gotunnel.net.descriptors import Descriptors
from gotunnel.net.dialer import ServerPath
from gotunnel.net.pathwatch import leg_times
from gotunnel.net.plugged import made, observers_prepared, tried
from gotunnel.net.reloading import Reloadable

if TYPE_CHECKING:
    from gotunnel.client.v1.links import V1Links
    from gotunnel.config.difference import Difference

__all__ = ["ClientService", "check_version", "make_client"]


V1_KEYS = (
    "client.drain_timeout", "client.log_lang", "client.log_level", "client.observers", "client.usage.enabled",
    "client.usage.file", "client.usage.keep",
)  # fmt: skip
"""Keys that can change while a client speaks version 1, where each mapping has a connection of its own."""


class ClientService(Reloadable):
    """Owns the links and the relay. Lives as long as the process, or as long as a test needs it."""

    log = Logger()

    def __init__(self, config: ClientConfig, reactor: Any, versions: VersionMemory) -> None:
        super().__init__(config, reactor)
        self.descriptors = Descriptors(reactor)
        self._relay: IRelay
        self._identity: ClientIdentity | None = None
        self._transport = None if config.transport is None else made("transport", config.transport, reactor)
        self.usage = Usage(most_of_client=MOST)  # the names come from the client's own file
        self._crowd_lines = CrowdLines(reactor, self.usage.crowds)
        self.began = reactor.seconds()
        self.links: Links | V1Links
        observe = self._observers(config)
        if config.v1:
            # Imported late: only clients of a Go server need these.
            from gotunnel.client.v1.links import V1Links
            from gotunnel.net.raw import RawRelay

            raw = RawRelay(reactor, config.dial_timeout, self.descriptors)
            path = self._path_to(config.all_servers[0], None)
            self._relay, self.links = raw, V1Links(config, reactor, raw, path, self.usage)
            observe()
            return
        self._relay = choose_relay(config.relay, reactor, config.dial_timeout, self.descriptors)
        self._relay.time_legs(leg_times(config.profile))
        if config.tls.mode != "off":
            self._identity = ClientIdentity(config, reactor, legs=self._relay.own_tls)
        # Random per process: it distinguishes a restart from two clients with one name.
        instance = secrets.token_bytes(16)
        self.links = links = Links(
            config, reactor, self._relay, self._path_to, instance, versions.note, self.usage
        )
        if self._identity is not None:
            self._identity.changed = lambda tls: links.use(tls.towards)
        observe()

    def _observers(self, config: ClientConfig) -> Callable[[], None]:
        return observers_prepared(self.usage, config.observers, self._reactor, "client", lambda: self.links.carried())

    def _path_to(self, server: HostPort, ip: str | None) -> ServerPath:
        if self._identity is None:
            creator, legs = None, None
        else:
            towards = self._identity.tls.towards[server.host]
            creator, legs = towards.creator, towards.legs
        return ServerPath(self._reactor, server, creator, legs, self.descriptors, ip, self._transport)

    @property
    def link(self) -> Link | V1Links:
        """The link to the server, or to the first of several that is not about to be left."""
        if not isinstance(self.links, Links):
            return self.links
        return next((link for link in self.links.links if link.wanted), self.links.links[0])

    def startService(self) -> None:
        """Connect, and stay connected."""
        super().startService()
        if self._identity is not None:
            self._identity.start()
        self.links.start()

    @property
    def each_link(self) -> tuple[Link | V1Links, ...]:
        """The links to all servers."""
        return tuple(self.links.links) if isinstance(self.links, Links) else (self.links,)

    @property
    def config(self) -> ClientConfig:
        """The configuration in force."""
        return self._settings

    @property
    def relay(self) -> IRelay:
        """The relay that moves its bytes."""
        return self._relay

    @property
    def draining(self) -> bool:
        """Whether new visitors are no longer served."""
        return self.links.draining

    def drain(self, seconds: float) -> Deferred[int]:
        """Drain: the server opens nothing more and keeps the ports for a successor, which may start at once. Visitors
        have up to `seconds` to finish; then they are reset, and the client disconnects.

        Fires with the number of visitors reset. The process keeps running and serves nobody. Called again, it can only
        shorten the time.
        """
        return self.links.drain(seconds)

    async def _apply(self, config: ClientConfig) -> tuple[Difference[ClientConfig], list[str]]:
        # Imported late: it costs an idle process memory, and only a reload needs it.
        from gotunnel.config.changes import key_lines
        from gotunnel.config.difference import difference

        links = self.links
        tried("transport", [self._settings.transport], [config.transport], self._reactor)
        if not isinstance(links, Links):
            found = difference("client", self._settings, config, V1_KEYS)
            self._observers(found.config)()
            return found, key_lines(found)
        found = difference("client", self._settings, config)
        use_tls = self._prepared(found)
        observe = self._observers(found.config)
        lines = self._words(found, links)
        if use_tls is not None:
            use_tls()
        self._relay.time_legs(leg_times(found.config.profile))
        observe()
        await links.apply(found)
        return found, lines

    def _prepared(self, found: Difference[ClientConfig]) -> Callable[[], None] | None:
        """Load all files that the new configuration names. Raises TlsFilesError."""
        for mapping in found.config.mappings if found.touches("client.mappings") else ():
            if mapping.health is not None:
                check_for(self._reactor, mapping)
        if self._identity is None or not found.touches("client.tls", "client.server_addr", "client.servers"):
            return None
        return self._identity.prepared(found.config)

    @staticmethod
    def _words(found: Difference[ClientConfig], links: Links) -> list[str]:
        from gotunnel.config.changes import key_lines, list_line

        streams = {"client.mappings": links.streams_by_mapping}  # a removed forward's visitors are not cut off
        lines = [
            list_line(key.removeprefix("client."), change, streams.get(key, links.streams_by_forward), key in streams)
            for key, change in found.lists.items()
            if change
        ]
        return lines + key_lines(found)

    def stopService(self) -> Deferred[None]:
        """Drain. Fires when all visitors have finished or were reset, and the client has disconnected."""
        super().stopService()
        if self._identity is not None:
            self._identity.stop()
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        await self.drain(self._settings.drain_timeout)
        self._relay.stop()
        self._crowd_lines.stop()
        if self.usage.observers is not None:
            self.usage.observers.stop()
        self.log.info("client stopped")


def make_client(config: ClientConfig, reactor: Any, state_dir: Path) -> ClientService:
    """Build a client. `state_dir` is for what must outlive the process: which servers speak version 2.

    Raises TlsFilesError, and ConfigError for version 1 with a server that is known to speak version 2.
    """
    versions = VersionMemory(state_dir)
    check_version(config, versions)
    return ClientService(config, reactor, versions)


def check_version(config: ClientConfig, versions: VersionMemory) -> None:
    """Raise ConfigError for version 1 with a server that is known to speak version 2."""
    server = config.all_servers[0]
    if config.v1 and versions.knows(server):
        what = Sentence(
            "version 2 has worked with {server}, and version 1 would send the token in clear again",
            server=server,
        )
        cure = Sentence(
            "remove v1, or, if that server really is a Go one again, the file {server}",
            server=versions.marker(server),
        )
        raise ConfigError([Problem("configuration", None, "client.v1", what, cure)])
