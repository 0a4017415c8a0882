"""Which address of a target's name has answered, after another one had refused: so that not every flow of datagrams has
to find out anew that nobody listens at the first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gotunnel.address import HostPort

__all__ = ["KNOWN", "LastAnswers"]

KNOWN = 60.0
"""Seconds that an address is preferred for having answered. Then the resolver's order holds again, by which the service
may listen by now."""


class LastAnswers:
    """Those of the targets of one session."""

    def __init__(self, clock: Any) -> None:
        self._clock = clock
        self._known: dict[HostPort, tuple[str, float]] = {}

    def ordered(self, target: HostPort, hosts: Sequence[str]) -> list[str]:
        """Return the addresses of a name in the order in which to try them."""
        host, until = self._known.get(target, ("", 0.0))
        if host not in hosts or self._clock.seconds() >= until:
            self._known.pop(target, None)
            return list(hosts)
        return [host, *(each for each in hosts if each != host)]

    def answered(self, target: HostPort, host: str) -> None:
        """This one answers, and one that comes before it does not, or did not: to be told so again prolongs nothing."""
        self._known.setdefault(target, (host, self._clock.seconds() + KNOWN))

    def forget(self, target: HostPort, host: str) -> None:
        """This one does not answer, or not any more."""
        if self._known.get(target, ("",))[0] == host:
            del self._known[target]
