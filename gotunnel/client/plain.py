"""Watches mappings and forwards with `encrypt: false`: logs which ones they are, and warns if a target does not speak
TLS itself, since everybody on the path can then read the traffic. It changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from twisted.internet.defer import Deferred

from gotunnel.address import Address, InProcess
from gotunnel.client.published import Published
from gotunnel.client.standing import Standing
from gotunnel.client.tlswatch import AGAIN, TlsWatch
from gotunnel.config.model import ForwardConfig, MappingConfig
from gotunnel.wire.proxyheader import proxy_header_of_nobody

__all__ = ["AGAIN", "PlainForwards", "PlainWatch"]


class PlainWatch(TlsWatch):
    """The watch for mappings; one per client. `links()` returns the client's mappings as published at each server.
    `ask(target, begins)` returns a Deferred like `tlsprobe.ask_for_tls`.

    Whether the server lets them travel outside TLS is not known before the first visitor. A target without TLS should
    not have `encrypt: false` in any case.
    """

    def __init__(
        self,
        clock: Any,
        mappings: Iterable[MappingConfig],
        links: Callable[[], Iterable[Published]],
        ask: Callable[[Address, bytes], Deferred[str | None]],
    ) -> None:
        super().__init__(clock)
        self._links = links
        self._ask = ask
        self._configs: dict[str, MappingConfig] = {}
        self.change(mappings)

    def change(self, mappings: Iterable[MappingConfig]) -> None:
        """Watch these mappings from now on."""
        plain = [each for each in mappings if not each.encrypt and not isinstance(each.local, InProcess)]
        self._configs = {config.name: config for config in plain}
        self.watch({name: (config.local, config.proxy_protocol) for name, config in self._configs.items()})

    def ask(self, name: str) -> Deferred[str | None]:
        """See TlsWatch."""
        config = self._configs[name]
        version = config.proxy_protocol
        return self._ask(config.local, b"" if version == "off" else proxy_header_of_nobody(version))

    def is_open(self, name: str) -> bool:
        """See TlsWatch."""
        return any(link.statuses[name].standing is Standing.OPEN for link in self._links())

    def is_down(self, name: str) -> bool:
        """See TlsWatch."""
        return any(link.statuses[name].down is not None for link in self._links())

    def say_which(self, names: list[str]) -> None:
        """See TlsWatch."""
        self.log.info(
            "outside gotunnel's TLS, if the server allows it (encrypt: false): {mappings}", mappings=", ".join(names)
        )
        self._warn_of_kubelets({name: self._configs[name].local for name in names})

    def say_in_clear(self, name: str, verdict: str) -> None:
        """See TlsWatch."""
        self.log.warn(
            "mapping {mapping} has encrypt: false, but its target {target} does not speak TLS: {verdict}; if the "
            "server allows it, anybody on the path can read and change the traffic: remove encrypt: false",
            mapping=name, target=str(self._configs[name].local), verdict=verdict,
        )  # fmt: skip

    def say_well(self, name: str) -> None:
        """See TlsWatch."""
        self.log.info(
            "target {target} of mapping {mapping} speaks TLS now", mapping=name, target=str(self._configs[name].local)
        )


class PlainForwards(TlsWatch):
    """The watch for forwards; one per client. Their targets are behind the server: `ask(forward)` sends a visitor of
    our own there. `outside()` returns whether visitors travel outside TLS, which the connected servers decide."""

    def __init__(
        self,
        clock: Any,
        forwards: Iterable[ForwardConfig],
        outside: Callable[[], bool],
        ask: Callable[[ForwardConfig], Deferred[str | None]],
    ) -> None:
        super().__init__(clock)
        self._outside = outside
        self._ask = ask
        self._configs: dict[str, ForwardConfig] = {}
        self.change(forwards)

    def change(self, forwards: Iterable[ForwardConfig]) -> None:
        """Watch these forwards from now on."""
        self._configs = {config.name: config for config in forwards if not config.encrypt}
        self.watch({name: (config.dial, config.proxy_protocol) for name, config in self._configs.items()})

    def ask(self, name: str) -> Deferred[str | None]:
        """See TlsWatch."""
        return self._ask(self._configs[name])

    def is_open(self, name: str) -> bool:
        """See TlsWatch."""
        return self._outside()

    def is_down(self, name: str) -> bool:
        """See TlsWatch. Nothing reports that a target behind the server is down."""
        return False

    def say_which(self, names: list[str]) -> None:
        """See TlsWatch."""
        self.log.info("forwards outside gotunnel's TLS (encrypt: false): {forwards}", forwards=", ".join(names))
        self._warn_of_kubelets({name: self._configs[name].dial for name in names})

    def say_in_clear(self, name: str, verdict: str) -> None:
        """See TlsWatch."""
        self.log.warn(
            "forward {forward} has encrypt: false, but its target {target} does not speak TLS: {verdict}; anybody "
            "on the path can read and change the traffic: remove encrypt: false",
            forward=name, target=str(self._configs[name].dial), verdict=verdict,
        )  # fmt: skip

    def say_well(self, name: str) -> None:
        """See TlsWatch."""
        self.log.info(
            "target {target} of forward {forward} speaks TLS now", forward=name, target=str(self._configs[name].dial)
        )
