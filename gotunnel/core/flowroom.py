"""Decides whether a mapping has room for another flow of datagrams.

Source addresses can be forged, and each flow costs resources. So there are limits: on all flows, on flows per source,
and on new flows per second.
"""

from __future__ import annotations

from collections import Counter

from gotunnel.core.dropped import Drop
from gotunnel.core.ratelimit import RateLimit
from gotunnel.core.sources import source_of

__all__ = ["FlowRoom"]


class FlowRoom:
    """The flows of one mapping. Times are monotonic seconds."""

    def __init__(self) -> None:
        self.flows = 0
        self._sources: Counter[str] = Counter()
        self._rate: RateLimit | None = None
        self._a_second = 0

    def refuse(self, address: str, now: float, *, most: int, of_source: int, a_second: int) -> Drop | None:
        """Count a flow from this IP address, or return why it is refused. The limits may differ from call to call."""
        if self.flows >= most or self._sources[source_of(address)] >= of_source:
            return Drop.FLOWS
        if self._rate is None or self._a_second != a_second:
            self._rate, self._a_second = RateLimit(a_second, a_second, now), a_second
        if not self._rate.take(now):
            return Drop.RATE
        self.flows += 1
        self._sources[source_of(address)] += 1
        return None

    def left(self, address: str) -> None:
        """Record that a flow from this address has ended."""
        source = source_of(address)
        self.flows -= 1
        self._sources[source] -= 1
        if not self._sources[source]:
            del self._sources[source]
