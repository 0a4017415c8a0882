"""Watches over the mappings with `encrypt: false`: says which they are, and warns of a target that does not speak TLS
itself, as then whoever is on the path reads it. It changes nothing. Whether the server lets them travel outside of TLS
is not known here before the first visitor comes, and a target in clear should have no `encrypt: false` in any case."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from twisted.internet.defer import CancelledError, Deferred

from gotunnel.address import Address, InProcess
from gotunnel.client.published import Published, Standing
from gotunnel.config.model import MappingConfig
from gotunnel.errors import DialFailed
from gotunnel.logs import Logger

__all__ = ["PlainWatch"]

AGAIN = 300.0
"""Seconds at least from one look at a target to the next."""


@dataclass(slots=True)
class _Looked:
    due: bool = True  # nothing is known yet, or the target has come up since
    at: float | None = None
    was_down: bool = False
    verdict: str | None = None


class PlainWatch:
    """One per client. `links()` returns how its mappings stand with each of its servers; `ask(target)` returns a
    Deferred as `tlsprobe.ask_for_tls` does.

    `look` is to be called whenever something may have changed: it looks at each target once, one after the other, and
    once more after a time in which it was down. A target that cannot be reached is none of its business.
    """

    log = Logger()

    def __init__(
        self,
        clock: Any,
        mappings: Iterable[MappingConfig],
        links: Callable[[], Iterable[Published]],
        ask: Callable[[Address], Deferred[str | None]],
    ) -> None:
        self._clock = clock
        self._links = links
        self._ask = ask
        self._looked: dict[str, _Looked] = {}
        self._configs: dict[str, MappingConfig] = {}
        self.change(mappings)
        self._asking: Deferred[None] | None = None
        self._named: list[str] = []
        self._stopped = False

    @property
    def in_clear(self) -> dict[str, str]:
        """What is wrong with a target that does not speak TLS, by mapping."""
        return {name: looked.verdict for name, looked in self._looked.items() if looked.verdict is not None}

    def change(self, mappings: Iterable[MappingConfig]) -> None:
        """These are the mappings now: look at what is new about them."""
        before, known = self._configs, self._looked
        plain = [each for each in mappings if not each.encrypt and not isinstance(each.local, InProcess)]
        self._configs = {config.name: config for config in plain}
        self._looked = {
            config.name: known[config.name]
            if config.name in known and before[config.name].local == config.local
            else _Looked()
            for config in plain
        }

    def look(self) -> None:
        """Something may have changed."""
        for name, looked in self._looked.items():
            down = self._down(name)
            looked.due = looked.due or (looked.was_down and not down)
            looked.was_down = down
        self._name_them()
        self._next()

    def stop(self) -> None:
        """Look no more. Harmless when called again."""
        self._stopped = True
        if self._asking is not None:
            self._asking.cancel()

    def _name_them(self) -> None:
        names = [name for name in self._looked if self._open(name)]
        if names != self._named:
            self._named = names
            if names:
                self.log.info(
                    "outside of gotunnel's TLS, if the server allows it (encrypt: false): {mappings}",
                    mappings=", ".join(names),
                )

    def _next(self) -> None:
        if self._asking is not None or self._stopped:
            return
        now = self._clock.seconds()
        for name, looked in self._looked.items():
            rested = looked.at is None or now - looked.at >= AGAIN
            if looked.due and rested and self._open(name) and not self._down(name):
                looked.at = now
                self._asking = Deferred.fromCoroutine(self._judge(self._configs[name], looked))
                self._asking.addErrback(
                    lambda failure: self.log.failure("asking the target of a mapping for TLS", failure)
                )
                self._asking.addCallback(self._asked)
                return

    def _asked(self, _: object) -> None:
        self._asking = None
        self._next()

    async def _judge(self, config: MappingConfig, looked: _Looked) -> None:
        try:
            verdict = await self._ask(config.local)
        except (DialFailed, CancelledError):
            return
        looked.due = False
        before, looked.verdict = looked.verdict, verdict
        if verdict is not None and verdict != before:
            self.log.warn(
                "mapping {mapping} has encrypt: false, and its target {target} does not speak TLS: {verdict}; if the "
                "server allows it, whoever is on the path reads and can change what travels: remove encrypt: false",
                mapping=config.name, target=str(config.local), verdict=verdict,
            )  # fmt: skip
        elif verdict is None and before is not None:
            self.log.info(
                "target {target} of mapping {mapping} speaks TLS now", mapping=config.name, target=str(config.local)
            )

    def _open(self, name: str) -> bool:
        return any(link.statuses[name].standing is Standing.OPEN for link in self._links())

    def _down(self, name: str) -> bool:
        return any(link.statuses[name].down is not None for link in self._links())
