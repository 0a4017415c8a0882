"""Decides which servers a client has links to: those in its configuration, and all addresses of names with changing
addresses."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from twisted.internet.interfaces import IDelayedCall

from gotunnel.address import HostPort, is_ip
from gotunnel.client.addresses import NameWatch
from gotunnel.client.link import Link
from gotunnel.config.model import ClientConfig

__all__ = ["APART", "Servers"]

APART = 0.25
"""Seconds between the first attempts at two addresses of one name. If both lead to the same server, the later attempt
must notice before it takes over the other's session."""


class Servers:
    """The links of one client, from `start` to `stop`. `make(server, ip)` returns a new link to a configured server, by
    one address of its name, or by any address with None."""

    def __init__(self, clock: Any, make: Callable[[HostPort, str | None], Link]) -> None:
        self.links: list[Link] = []
        self._clock = clock
        self._make = make
        self._watches: dict[HostPort, NameWatch] = {}
        self._by_address: dict[tuple[HostPort, str | None], Link] = {}
        self._starting: set[IDelayedCall] = set()
        self._stopped = False

    def start(self) -> None:
        """Start to connect."""
        for link in self.links:
            link.start()
        for watch in self._watches.values():
            watch.start()

    def stop(self) -> None:
        """Stop lookups and first attempts. Existing links go on."""
        self._stopped = True
        for watch in self._watches.values():
            watch.stop()
        for call in self._starting:
            call.cancel()
        self._starting.clear()

    @property
    def nowhere(self) -> list[tuple[HostPort, str]]:
        """Servers whose names have not resolved yet, and why."""
        known = {server for server, _ in self._by_address}
        return [(server, watch.problem) for server, watch in self._watches.items() if server not in known]

    def change(self, config: ClientConfig) -> None:
        """Apply a new configuration: leave servers that were removed, connect to those that were added."""
        for (server, ip), link in tuple(self._by_address.items()):
            named = server in config.all_servers and (ip is None) == (
                config.server_addr is not None or is_ip(server.host)
            )
            if not named:
                link.leave()
        for server in tuple(self._watches):
            if config.server_addr is not None or server not in config.servers:
                self._watches.pop(server).stop()
        made, watches = self.seek(config)
        if not self._stopped:
            for link in made:
                link.start()
            for watch in watches:
                watch.start()

    def seek(self, config: ClientConfig) -> tuple[list[Link], list[NameWatch]]:
        """Make the missing links and watches for the configured servers; return them, to be started."""
        made: list[Link] = []
        watches: list[NameWatch] = []
        for server in config.all_servers:
            if config.server_addr is not None or is_ip(server.host):
                known = self._by_address.get((server, None))
                if known is None:
                    made.append(self._add(server, None))
                else:
                    known.recall()
            elif server not in self._watches:
                watch = self._watches[server] = NameWatch(self._clock, server, partial(self._found, server))
                watches.append(watch)
        return made, watches

    def _add(self, server: HostPort, ip: str | None) -> Link:
        link = self._make(server, ip)
        self.links.append(link)
        self._by_address[server, ip] = link
        link.retired = partial(self._forget, server, ip)
        return link

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
            self._start_in(late, self._add(server, ip))
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
                link.retired()  # the configuration or the name has changed meanwhile

        call: IDelayedCall = self._clock.callLater(seconds, start)
        self._starting.add(call)

    def _forget(self, server: HostPort, ip: str | None) -> None:
        self.links.remove(self._by_address.pop((server, ip)))
