"""All servers of a client: a link to each of them, and what the links share. What happens between the client and one
server is the link's business."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.interfaces import IDelayedCall

from gotunnel.address import HostPort, is_ip
from gotunnel.client.addresses import NameWatch
from gotunnel.client.bringing import LegRoom
from gotunnel.client.forwards import Forwards
from gotunnel.client.health import Monitor
from gotunnel.client.identity import Towards
from gotunnel.client.link import Link
from gotunnel.client.nodes import OwnNodes
from gotunnel.client.plain import PlainForwards, PlainWatch
from gotunnel.client.probes import ask_for_tls, ask_through, check_for
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

APART = 0.25
"""Seconds between the first attempts at two addresses of one name: if they lead to the same server, the later one is to
find that out before it has taken the session of the other."""


class Links:
    """One per client. Runs from `start` to the end of `drain`.

    `path_to(server, ip)` returns the way to a server of the file, by one address of its name or, with None, by any.
    `proved(server)` is called whenever one has proved itself; `usage` adds up what is done.
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
        self.links: list[Link] = []
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
        self._watches: dict[HostPort, NameWatch] = {}
        self._by_address: dict[tuple[HostPort, str | None], Link] = {}
        self._starting: set[IDelayedCall] = set()
        self._draining = False
        self._seek(config)

    def start(self) -> None:
        """Begin to connect, and to watch the targets."""
        self._health.start()
        self.forwards.start()
        for link in self.links:
            link.start()
        for watch in self._watches.values():
            watch.start()

    def tell(self, noticed: Callable[[], None]) -> None:
        """Call this from now on when something may be otherwise with a session, a mapping or a visitor. It may not
        raise."""
        self._noticed = noticed
        for link in self.links:
            link.noticed = noticed

    @property
    def draining(self) -> bool:
        """Whether it is to connect no more."""
        return self._draining

    @property
    def streams(self) -> int:
        """Visitors that are being served."""
        return sum(link.streams for link in self.links)

    def carried(self) -> Carried:
        """Visitors who are served, and their bytes so far."""
        for link in self.links:
            for session in link.sessions:
                for leg, stream in tuple(session.legs.streams.items()):
                    yield stream, leg.carried
                for leg, visitor in tuple(session.forward_legs.streams.items()):
                    yield visitor, leg.carried

    @property
    def nowhere(self) -> list[tuple[HostPort, str]]:
        """Servers whose names have led to no address yet, and why."""
        known = {server for server, _ in self._by_address}
        return [(server, watch.problem) for server, watch in self._watches.items() if server not in known]

    def drain(self, seconds: float) -> Deferred[int]:
        """Ask the servers to open nothing more, let visitors finish for up to `seconds`, reset those that are left, and
        disconnect for good.

        Fires with how many were reset, when every connection is gone, as `Link.drain` says. Called again, it can only
        shorten the time.
        """
        if not self._draining:
            self._draining = True
            self._health.stop()
            self._plain.stop()
            self._plain_forwards.stop()
            for watch in self._watches.values():
                watch.stop()
            for call in self._starting:
                call.cancel()
            self._starting.clear()
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
        """Go on with what the file says now; all but the ports of forwards has changed when this returns for the first
        time."""
        config = self._config = difference.config
        self._change_mappings(difference)
        if difference.touches("client.nodes"):
            self._shared.nodes.use(config.nodes)
        for link in self.links:
            link.apply(difference)
        if difference.touches("client.server_addr", "client.servers"):
            self._change_servers(config)
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

    def _change_servers(self, config: ClientConfig) -> None:
        """Leave those that are named no more, and connect to those that are new."""
        for (server, ip), link in tuple(self._by_address.items()):
            named = server in config.all_servers and (ip is None) == (
                config.server_addr is not None or is_ip(server.host)
            )
            if not named:
                link.leave()
        for server in tuple(self._watches):
            if config.server_addr is not None or server not in config.servers:
                self._watches.pop(server).stop()
        made, watches = self._seek(config)
        if not self._draining:
            for link in made:
                link.start()
            for watch in watches:
                watch.start()

    def use(self, towards: Mapping[str, Towards]) -> None:
        """Make connections with these from now on, by the host of the server: files have changed."""
        for link in self.links:
            found = towards.get(link.path.server.host)
            if found is not None:  # else the file names it no more, and it is about to be left
                link.path.use(found.creator, found.legs)

    def _seek(self, config: ClientConfig) -> tuple[list[Link], list[NameWatch]]:
        """Make what is not there yet for the servers of the file; return it, to be started."""
        made: list[Link] = []
        watches: list[NameWatch] = []
        for server in config.all_servers:
            if config.server_addr is not None or is_ip(server.host):
                known = self._by_address.get((server, None))
                if known is None:
                    made.append(self._make(server, None))
                else:
                    known.recall()
            elif server not in self._watches:
                watch = self._watches[server] = NameWatch(self._clock, server, partial(self._found, server))
                watches.append(watch)
        return made, watches

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
        self.links.append(link)
        self._by_address[server, ip] = link
        link.retired = partial(self._forget, server, ip)
        return link

    # Names with addresses that come and go.

    def _found(self, server: HostPort, ips: list[str]) -> None:
        for (named, ip), link in tuple(self._by_address.items()):
            if named == server and ip is not None and ip not in ips:
                link.retire()
        late = 0.0
        for ip in ips:
            known = self._by_address.get((server, ip))
            if known is not None:
                known.recall()
                continue
            self._start_in(late, self._make(server, ip))
            late += APART

    def _start_in(self, seconds: float, link: Link) -> None:
        if not seconds:
            link.start()
            return

        def start() -> None:
            self._starting.discard(call)
            if link.wanted:
                link.start()
            else:
                link.retired()  # the file, or the name, led elsewhere meanwhile

        call: IDelayedCall = self._clock.callLater(seconds, start)
        self._starting.add(call)

    def _forget(self, server: HostPort, ip: str | None) -> None:
        self.links.remove(self._by_address.pop((server, ip)))

    # What one link tells the others.

    def _claim_dropped(self) -> None:
        for link in self.links:
            link.wake()

    def _mapping_changed(self, name: str, up: bool, reason: str) -> None:
        for link in self.links:
            link.target_changed(name, up, reason)
