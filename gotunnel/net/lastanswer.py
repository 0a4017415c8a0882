"""What the flows of one session share about targets that are names:

- which address answered after another had refused, so that not every flow has to find out again;
- that an address refuses, which a system reports only now and then;
- which addresses a name has now.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Protocol

from gotunnel.address import HostPort
from gotunnel.net.resolve import resolve

__all__ = ["KNOWN", "Hopeful", "LastAnswers"]

KNOWN = 60.0
"""Seconds for which an address that has answered is preferred. After that the resolver's order applies again, since the
service may be back at its first address."""

_Found = Callable[[Sequence[str]], None]


class Hopeful(Protocol):
    """A flow whose datagrams may still be refused by an address."""

    def heard_of_refusal(self, host: str) -> None:
        """The address has refused the datagrams of another flow."""


class LastAnswers:
    """The shared knowledge of one session's flows."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._known: dict[HostPort, tuple[str, float]] = {}
        self._hopeful: dict[tuple[HostPort, str], dict[Hopeful, None]] = {}
        self._looking: dict[HostPort, list[_Found]] = {}

    def ordered(self, target: HostPort, hosts: Sequence[str]) -> list[str]:
        """Return the addresses of a name in the order in which to try them."""
        host, until = self._known.get(target, ("", 0.0))
        if host not in hosts or self._reactor.seconds() >= until:
            self._known.pop(target, None)
            return list(hosts)
        return [host, *(each for each in hosts if each != host)]

    def answered(self, target: HostPort, host: str) -> None:
        """Prefer this address: it answers, and one listed before it does not. Repeated calls do not extend the time."""
        self._known.setdefault(target, (host, self._reactor.seconds() + KNOWN))

    def forget(self, target: HostPort, host: str) -> None:
        """Stop preferring this address: it does not answer."""
        if self._known.get(target, ("",))[0] == host:
            del self._known[target]

    # Refusals. Most systems report a closed port only a few times a second per source, however many flows that has.

    def hopes(self, target: HostPort, host: str, flow: Hopeful) -> None:
        """Register a flow that has sent something there that may still be refused."""
        self._hopeful.setdefault((target, host), {})[flow] = None

    def hopes_no_more(self, target: HostPort, host: str, flow: Hopeful) -> None:
        """Unregister a flow. Does nothing if it was not registered."""
        flows = self._hopeful.get((target, host))
        if flows is not None:
            flows.pop(flow, None)
            if not flows:
                del self._hopeful[target, host]

    def refused(self, target: HostPort, host: str) -> None:
        """The address refuses: tell all registered flows in the next turn of the reactor."""
        self.forget(target, host)
        for flow in self._hopeful.pop((target, host), ()):
            self._reactor.callLater(0, flow.heard_of_refusal, host)

    # Lookups.

    def look(self, target: HostPort, timeout: float, found: _Found) -> None:
        """Look the name up, once for all requests made meanwhile. `found` is called with its addresses, or not at
        all."""
        asking = self._looking.setdefault(target, [])
        asking.append(found)
        if len(asking) == 1:
            looked = resolve(self._reactor, target.host, target.port, timeout)
            looked.addCallbacks(partial(self._found, target), lambda _: self._looking.pop(target, None))

    def _found(self, target: HostPort, hosts: Sequence[str]) -> None:
        for found in self._looking.pop(target):
            found(hosts)
