"""All mappings of a client at one Go server: a link for each, and what they share. The counterpart of `client.link` for
version 1."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, gatherResults

from gotunnel.client.checks import check_for
from gotunnel.client.health import Monitor
from gotunnel.client.published import Published
from gotunnel.client.v1.link import V1Link
from gotunnel.config.model import ClientConfig
from gotunnel.core.downs import Downs
from gotunnel.core.usage import Usage
from gotunnel.logs import Logger
from gotunnel.net.dialer import ServerPath
from gotunnel.net.patience import Draining, Patience
from gotunnel.net.plugged import Carried
from gotunnel.net.raw import RawRelay

__all__ = ["V1Links"]

LAST_WORDS = 3.0
"""Seconds for resets to reach the server after visitors were cut off."""


class V1Links:
    """All links of one client, from `start` to the end of `drain`."""

    log = Logger()

    def __init__(self, config: ClientConfig, clock: Any, relay: RawRelay, path: ServerPath, usage: Usage) -> None:
        self.usage = usage
        self.address = path.address
        self.published = Published(config.mappings, path.address, lambda: None)  # each link retries by itself
        self._clock = clock
        self._patience = Patience(clock)
        self._draining = Draining(self._patience, self._drain)
        self._server = str(path.address)
        self._links = {
            mapping.name: V1Link(config, clock, relay, path, self.published, mapping, self._patience.look, usage)
            for mapping in config.mappings
        }
        self.downs = Downs(self._mapping_changed)
        self.published.off = self.downs.off
        self._health = Monitor(
            clock, config.mappings, lambda mapping: check_for(clock, mapping), self.downs.target_changed
        )

    def start(self) -> None:
        """Start to connect, and to check the targets."""
        self.log.warn(
            "the server {server} is spoken to in version 1: the token and all traffic of visitors cross the "
            "network in clear; move it to version 2, and then remove client.v1",
            server=self._server,
        )
        self._health.start()
        for link in self._links.values():
            link.start()

    @property
    def links(self) -> tuple[V1Link, ...]:
        """The links, one for each mapping."""
        return tuple(self._links.values())

    @property
    def streams(self) -> int:
        """Visitors that are being served."""
        return sum(link.streams for link in self._links.values())

    def carried(self) -> Carried:
        """The visitors being served, and their bytes so far."""
        for link in self.links:
            for session in link.sessions:
                for joint, stream in session.served:
                    yield stream, joint.carried

    @property
    def draining(self) -> bool:
        """Whether it is drained and will not connect again."""
        return self._draining.begun

    def drain(self, seconds: float) -> Deferred[int]:
        """Ask the server to let nobody in, let visitors finish for up to `seconds`, reset the rest, and disconnect for
        good. Fires with the number of visitors reset, when every connection has closed, at most LAST_WORDS seconds
        after the reset. Called again, it can only shorten the time."""
        return self._draining.begin(seconds)

    async def _drain(self, seconds: float) -> int:
        self._health.stop()
        for link in self._links.values():
            link.drain()
        if self.streams:
            self.log.info(
                "{count} visitors are being served; they have {seconds:g} s to finish",
                count=self.streams, seconds=seconds,
            )  # fmt: skip
        await self._patience.until(lambda: not self.streams)
        cut = self.streams
        if cut:
            self.log.warn("{count} visitors were disconnected: their time was over", count=cut)
        await gatherResults([Deferred.fromCoroutine(link.close()) for link in self._links.values()])
        await Patience(self._clock).until(lambda: all(link.gone for link in self._links.values()), LAST_WORDS)
        return cut

    def _mapping_changed(self, name: str, up: bool, reason: str) -> None:
        self.published.set_down(name, None if up else reason)
        self._links[name].target(up)
