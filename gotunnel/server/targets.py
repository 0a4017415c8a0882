"""Closes the port of a mapping while its client reports that the target is down, and reopens it afterwards.

Reopening is retried for as long as it takes. Which mappings exist is decided elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred, DeferredLock
from twisted.internet.interfaces import IDelayedCall

from gotunnel.core.outcome import Outcome
from gotunnel.errors import PortUnavailable, printable
from gotunnel.logs import Logger
from gotunnel.server.public import PublicPort

if TYPE_CHECKING:
    from gotunnel.server.hub import Hub
    from gotunnel.server.peer import Peer

__all__ = ["REOPEN", "Targets"]

REOPEN = 5.0
"""Seconds between attempts to reopen a port that another program has taken, when the target is up again."""


class Targets:
    """The target states of one client's mappings. `turn` must be held to open or close one of its ports."""

    log = Logger()

    def __init__(self, hub: Hub, peer: Peer, mappings: Mapping[str, PublicPort], turn: DeferredLock) -> None:
        self._hub = hub
        self._peer = peer
        self._clock = hub.clock
        self._mappings = mappings
        self._turn = turn
        self._to_reopen: set[str] = set()
        self._reopening: IDelayedCall | None = None

    async def changed(self, name: str, up: bool, reason: str) -> None:
        """Apply a target's new state. The caller must hold `turn`."""
        self._to_reopen.discard(name)
        mapping = self._mappings.get(name)
        if mapping is None:
            return
        was = mapping.stuck
        if up == (mapping.suspended is None):
            if not up:
                mapping.suspended, mapping.stuck = reason, None  # the reason has changed
                self._tell(mapping, was)
            return
        if up:
            try:
                mapping.check(self._peer.rights)
                await mapping.resume()
            except PortUnavailable as refused:
                self.log.error(
                    "mapping {mapping} of client {client} cannot open again: {reason}; next try in {seconds:g} s",
                    mapping=name, client=self._peer.name, reason=refused.reason, seconds=REOPEN,
                )  # fmt: skip
                mapping.stuck = printable(refused.reason, 256)
                self._tell(mapping, was)
                self._try_again(name)
                return
            self._tell(mapping, was)
        else:
            await mapping.suspend(reason)
            self._peer.turn_away_from(name, Outcome.MAPPING_DOWN)
        self._hub.tell_of(
            self._peer.name, "state", "mapping {mapping} of client {client} is {state} at {address}: {reason}",
            mapping=name, state="up" if up else "down", address=mapping.where, reason=printable(reason),
        )  # fmt: skip

    def cancel(self) -> None:
        """Stop retrying to open ports that another program has."""
        reopening, self._reopening = self._reopening, None
        if reopening is not None:
            reopening.cancel()

    def _tell(self, mapping: PublicPort, was: str | None) -> None:
        if mapping.stuck != was:
            self._peer.tell_shut(mapping.name, mapping.shut_here)

    def _try_again(self, name: str) -> None:
        self._to_reopen.add(name)
        if self._reopening is None:
            self._reopening = self._clock.callLater(REOPEN, self._reopen)

    def _reopen(self) -> None:
        self._reopening = None

        async def reopen() -> None:
            async with self._turn:
                for name in tuple(self._to_reopen):
                    await self.changed(name, True, "its port is free again")

        Deferred.fromCoroutine(reopen()).addErrback(
            lambda failure: self.log.failure("opening ports of client {client} again failed", failure,
            client=self._peer.name)
        )
