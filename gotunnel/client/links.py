"""The links of a client to all its servers, and what they share. `servers` decides which links there are; each link
handles its own server."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred, gatherResults

from gotunnel.address import HostPort
from gotunnel.client.bringing import LegRoom
from gotunnel.client.forwards import Forwards
from gotunnel.client.health import Monitor
from gotunnel.client.identity import Towards
from gotunnel.client.link import Link
from gotunnel.client.nodes import OwnNodes
from gotunnel.client.plain import PlainForwards, PlainWatch
from gotunnel.client.probes import ask_for_tls, ask_through, check_for
from gotunnel.client.servers import Servers
from gotunnel.client.shared import Shared
from gotunnel.config.model import ClientConfig
from gotunnel.core.claims import Claims
from gotunnel.core.downs import Downs
from gotunnel.core.usage import Usage
from gotunnel.interfaces import IRelay
from gotunnel.logs import Logger
from gotunnel.net.dialer import ServerPath
from gotunnel.net.plugged import Carried
from gotunnel.net.quiet import nothing

if TYPE_CHECKING:
    from gotunnel.config.difference import Difference

__all__ = ["Links"]


class Links:
    """All links of one client, from `start` to the end of `drain`.

    `path_to(server, ip)` returns the path to a configured server, by one address of its name, or by any with None.
    `proved(server)` is called whenever a server has proved itself. `usage` collects the statistics.
    """

    log = Logger()

    def __init__(
        self,
        config: ClientConfig,
        clock: Any,
        relay: IRelay,
        path_to: Callable[[HostPort, str | None], ServerPath],
        instance: bytes,
        proved: Callable[[HostPort], None] = lambda _: None,
        usage: Usage | None = None,
    ) -> None:
        self.servers = Servers(clock, self._make)
        self.links = self.servers.links
        self._noticed: Callable[[], None] = nothing
        self.usage = Usage() if usage is None else usage
        self.forwards = Forwards(config.forwards, config.egress, clock, relay, self.usage)
        self._config = config
        self._clock = clock
        self._relay = relay
        self._path_to = path_to
        self._proved = proved
        self._shared = Shared(
            self.forwards, OwnNodes(config.nodes), instance, Claims(), LegRoom(), self._claim_dropped, self.usage
        )
        self.downs = Downs(self._mapping_changed)
        self._health = Monitor(
            clock, config.mappings, lambda mapping: check_for(clock, mapping), self.downs.target_changed
        )
        self._plain = PlainWatch(
            clock, config.mappings, lambda: [link.published for link in self.links],
            lambda target, begins: ask_for_tls(clock, target, begins),
        )  # fmt: skip
        self._plain_forwards = PlainForwards(
            clock, config.forwards, lambda: self.forwards.outside,
            lambda forward: ask_through(clock, relay, self.forwards, forward),
        )  # fmt: skip
        self.forwards.changed = self._plain_forwards.look
        self._draining = False
        self.servers.seek(config)

    def start(self) -> None:
        """Start to connect, and to check the targets."""
        self._health.start()
        self.forwards.start()
        self.servers.start()

    def tell(self, noticed: Callable[[], None]) -> None:
        """Call `noticed` from now on when a session or mapping may have changed, or a visitor has ended. It must not
        raise."""
        self._noticed = noticed
        for link in self.links:
            link.noticed = noticed

    @property
    def in_clear(self) -> dict[str, str]:
        """By name, the problems of mappings that travel outside TLS although their targets do not speak TLS."""
        return self._plain.in_clear

    @property
    def forwards_in_clear(self) -> dict[str, str]:
        """The same for forwards."""
        return self._plain_forwards.in_clear

    @property
    def draining(self) -> bool:
        """Whether it is drained and will not connect again."""
        return self._draining

    @property
    def streams(self) -> int:
        """Visitors that are being served."""
        return sum(link.streams for link in self.links)

    def carried(self) -> Carried:
        """The visitors being served, and their bytes so far."""
        for link in self.links:
            for session in link.sessions:
                for leg, stream in tuple(session.legs.streams.items()):
                    yield stream, leg.carried
                for leg, visitor in tuple(session.forward_legs.streams.items()):
                    yield visitor, leg.carried

    def drain(self, seconds: float) -> Deferred[int]:
        """Ask the servers to open nothing more, let visitors finish for up to `seconds`, reset the rest, and disconnect
        for good.

        Fires with the number of visitors reset, when every connection has closed; see `Link.drain`. Called again, it
        can only shorten the time.
        """
        if not self._draining:
            self._draining = True
            self._health.stop()
            self._plain.stop()
            self._plain_forwards.stop()
            self.servers.stop()
        return Deferred.fromCoroutine(self._drain(seconds))

    async def _drain(self, seconds: float) -> int:
        draining = [link.drain(seconds) for link in self.links]
        await self.forwards.stop()
        return sum(await gatherResults(draining))

    @property
    def streams_by_mapping(self) -> Counter[str]:
        """How many visitors each mapping has."""
        return sum((link.streams_by_mapping for link in self.links), Counter())

    @property
    def streams_by_forward(self) -> Counter[str]:
        """How many visitors each forward has."""
        return sum((link.streams_by_forward for link in self.links), Counter())

    async def apply(self, difference: Difference[ClientConfig]) -> None:
        """Apply a new configuration. When this first returns, everything except the ports of forwards has changed."""
        config = self._config = difference.config
        self._change_mappings(difference)
        if difference.touches("client.nodes"):
            self._shared.nodes.use(config.nodes)
        for link in self.links:
            link.apply(difference)
        if difference.touches("client.server_addr", "client.servers"):
            self.servers.change(config)
        if difference.touches("client.forwards", "client.egress"):
            await self.forwards.change(config.forwards, config.egress)
            self._plain_forwards.change(config.forwards)
            self._plain_forwards.look()
            for link in self.links:
                if link.session is not None and not self._draining:
                    link.session.forwards_changed()

    def _change_mappings(self, difference: Difference[ClientConfig]) -> None:
        change = difference.lists.get("client.mappings")
        if change is None:
            return
        mappings = difference.config.mappings
        found = [(link, link.published.change(mappings, change)) for link in self.links]
        for name in change.removed:
            self.downs.forget(name)
        self._plain.change(mappings)
        self._health.change(mappings)
        for link, (closed, wanted) in found:
            link.publish(closed, wanted, change.removed)

    def use(self, towards: Mapping[str, Towards]) -> None:
        """Use these settings, by the server's host, for new connections: certificate files have changed."""
        for link in self.links:
            found = towards.get(link.path.server.host)
            if found is not None:  # if it is None, the server was removed and the link is about to end
                link.path.use(found.creator, found.legs)

    def _make(self, server: HostPort, ip: str | None) -> Link:
        path = self._path_to(server, ip)
        link = Link(self._config, self._clock, self._relay, path, self._shared, partial(self._proved, server))
        link.published.off = self.downs.off
        for name, reason in self.downs.reasons():
            link.published.set_down(name, reason)
        look = self._plain.look if path.encrypted else nothing

        def changed() -> None:
            look()
            self._noticed()

        link.published.changed, link.noticed = changed, self._noticed
        return link

    # Called by one link for the others.

    def _claim_dropped(self) -> None:
        for link in self.links:
            link.wake()

    def _mapping_changed(self, name: str, up: bool, reason: str) -> None:
        for link in self.links:
            link.target_changed(name, up, reason)
