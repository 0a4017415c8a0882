"""All servers of a client: a link to each of them, and what the links share. What happens between the client and one
server is the link's business."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.interfaces import IDelayedCall

from gotunnel.address import HostPort, is_ip
from gotunnel.client.addresses import NameWatch
from gotunnel.client.bringing import LegRoom
from gotunnel.client.checks import check_for
from gotunnel.client.forwards import Forwards
from gotunnel.client.health import Monitor
from gotunnel.client.identity import Towards
from gotunnel.client.link import Link, Shared
from gotunnel.client.nodes import OwnNodes
from gotunnel.client.plain import PlainWatch
from gotunnel.client.tlsprobe import ask_for_tls
from gotunnel.config.model import ClientConfig
from gotunnel.core.claims import Claims
from gotunnel.interfaces import IRelay
from gotunnel.logs import Logger
from gotunnel.net.dialer import ServerPath

__all__ = ["Links"]

APART = 0.25
"""Seconds between the first attempts at two addresses of one name: if they lead to the same server, the later one is to
find that out before it has taken the session of the other."""


class Links:
    """One per client. Runs from `start` to the end of `drain`.

    `path_to(server, ip)` returns the way to a server of the file, by one address of its name or, with None, by any.
    `proved(server)` is called whenever one has proved itself.
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
    ) -> None:
        self.links: list[Link] = []
        self.forwards = Forwards(config.forwards, config.egress, clock, relay)
        self._config = config
        self._clock = clock
        self._relay = relay
        self._path_to = path_to
        self._proved = proved
        self._shared = Shared(self.forwards, OwnNodes(config.nodes), instance, Claims(), LegRoom(), self._claim_dropped)
        self._down: dict[str, str] = {}  # why, by mapping
        self._health = Monitor(clock, config.mappings, lambda mapping: check_for(clock, mapping), self._target_changed)
        self._plain = PlainWatch(
            clock, config.mappings, lambda: [link.published for link in self.links],
            lambda target: ask_for_tls(clock, target),
        )  # fmt: skip
        self._watches: list[NameWatch] = []
        self._named: dict[tuple[HostPort, str], Link] = {}
        self._starting: set[IDelayedCall] = set()
        self._began = False
        self._draining = False
        if config.server_addr is not None:
            self._make(config.server_addr, None)
            return
        for server in config.servers:
            if is_ip(server.host):
                self._make(server, None)
            else:
                self._watches.append(NameWatch(clock, server, partial(self._found, server)))

    def start(self) -> None:
        """Begin to connect, and to watch the targets."""
        self._began = True
        self._health.start()
        self.forwards.start()
        for link in self.links:
            link.start()
        for watch in self._watches:
            watch.start()

    @property
    def draining(self) -> bool:
        """Whether it is to connect no more."""
        return self._draining

    @property
    def streams(self) -> int:
        """Visitors that are being served."""
        return sum(link.streams for link in self.links)

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
            for watch in self._watches:
                watch.stop()
            for call in self._starting:
                call.cancel()
            self._starting.clear()
        return Deferred.fromCoroutine(self._drain(seconds))

    async def _drain(self, seconds: float) -> int:
        draining = [link.drain(seconds) for link in self.links]
        await self.forwards.stop()
        return sum(await gatherResults(draining))

    def use(self, towards: Mapping[str, Towards]) -> None:
        """Make connections with these from now on, by the host of the server: files have changed."""
        for link in self.links:
            found = towards[link.path.server.host]
            link.path.use(found.creator, found.legs)

    def _make(self, server: HostPort, ip: str | None) -> Link:
        path = self._path_to(server, ip)
        link = Link(self._config, self._clock, self._relay, path, self._shared, partial(self._proved, server))
        for name, reason in self._down.items():
            link.published.set_down(name, reason)
        if path.encrypted:
            link.published.changed = self._plain.look
        self.links.append(link)
        return link

    # Names with addresses that come and go.

    def _found(self, server: HostPort, ips: list[str]) -> None:
        for (named, ip), link in tuple(self._named.items()):
            if named == server and ip not in ips:
                link.retire()
        late = 0.0
        for ip in ips:
            known = self._named.get((server, ip))
            if known is not None:
                known.recall()
                continue
            link = self._named[server, ip] = self._make(server, ip)
            link.retired = partial(self._forget, server, ip)
            self._start_in(late, link)
            late += APART

    def _start_in(self, seconds: float, link: Link) -> None:
        if not seconds:
            link.start()
            return

        def start() -> None:
            self._starting.discard(call)
            link.start()

        call: IDelayedCall = self._clock.callLater(seconds, start)
        self._starting.add(call)

    def _forget(self, server: HostPort, ip: str) -> None:
        link = self._named.pop((server, ip))
        self.links.remove(link)

    # What one link tells the others.

    def _claim_dropped(self) -> None:
        for link in self.links:
            link.wake()

    def _target_changed(self, name: str, up: bool, reason: str) -> None:
        if up:
            self._down.pop(name, None)
        else:
            self._down[name] = reason
        for link in self.links:
            link.target_changed(name, up, reason)
