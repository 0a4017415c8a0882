"""Dials the targets of a client's mappings with `protocol: udp`, and counts the datagrams that are not carried."""

from __future__ import annotations

from functools import partial
from typing import Any

from twisted.internet.defer import Deferred

from gotunnel.address import HostPort, InProcess
from gotunnel.client.published import Published
from gotunnel.config.model import MappingConfig
from gotunnel.core.dropped import Drop, Drops, drop_lines, why
from gotunnel.interfaces import ILocal, IRelay
from gotunnel.logs import Logger
from gotunnel.net.lastanswer import LastAnswers
from gotunnel.net.targetflow import GRACE, dial_flow

__all__ = ["Datagrams"]

class Datagrams:
    """The datagrams of one session. `totals` are the counters of the whole client."""

    log = Logger()

    def __init__(self, clock: Any, relay: IRelay, published: Published, totals: Drops) -> None:
        self._clock = clock
        self._relay = relay
        self._published = published
        self._totals = totals
        self._lines = drop_lines()
        self._answers = LastAnswers(clock)

    def dial(self, mapping: MappingConfig, source: str, timeout: float) -> ILocal | Deferred[ILocal]:
        """Dial like `IRelay.dial`, for a visitor from `source`. Raises DialFailed."""
        dropped = partial(self._drop, mapping.name)
        if isinstance(mapping.local, InProcess):
            local: ILocal = mapping.local.arrive(source, mapping.idle_time + GRACE, dropped)
            return local
        assert isinstance(mapping.local, HostPort)
        return dial_flow(self._clock, self._relay, mapping.local, timeout, mapping.idle_time, dropped, self._answers)

    def _drop(self, mapping: str, reason: Drop) -> None:
        self._totals[reason] += 1
        status = self._published.statuses.get(mapping)
        if status is not None:
            status.dropped[reason] += 1
        more = self._lines.more((mapping, reason), self._clock.seconds())
        if more is not None:
            self.log.warn(
                "datagrams of mapping {mapping} are dropped: {reason}{more}",
                mapping=mapping, reason=why(reason), more=more,
            )  # fmt: skip
