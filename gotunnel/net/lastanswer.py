"""What the flows of one session tell each other about the targets that are names: which address has answered after
another one had refused, so that not every flow has to find out anew that nobody listens at the first; that an address
refuses, which a system says but now and then; and what a name stands for by now."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Protocol

from gotunnel.address import HostPort
from gotunnel.net.resolve import resolve

__all__ = ["KNOWN", "Hopeful", "LastAnswers"]

KNOWN = 60.0
"""Seconds that an address is preferred for having answered. Then the resolver's order holds again, by which the service
may listen by now."""

_Found = Callable[[Sequence[str]], None]


class Hopeful(Protocol):
    """A flow whose datagrams an address may refuse yet."""

    def heard_of_refusal(self, host: str) -> None:
        """It has refused those of another flow."""


class LastAnswers:
    """Those of the targets of one session."""

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
        """This one answers, and one that comes before it does not, or did not: to be told so again prolongs nothing."""
        self._known.setdefault(target, (host, self._reactor.seconds() + KNOWN))

    def forget(self, target: HostPort, host: str) -> None:
        """This one does not answer, or not any more."""
        if self._known.get(target, ("",))[0] == host:
            del self._known[target]

    # Refusals. Most systems say that nobody listens but a few times a second to one asker, however many flows he has.

    def hopes(self, target: HostPort, host: str, flow: Hopeful) -> None:
        """A flow has sent something there that may be refused yet."""
        self._hopeful.setdefault((target, host), {})[flow] = None

    def hopes_no_more(self, target: HostPort, host: str, flow: Hopeful) -> None:
        """It stays there, or does not. Harmless when it has not hoped."""
        flows = self._hopeful.get((target, host))
        if flows is not None:
            flows.pop(flow, None)
            if not flows:
                del self._hopeful[target, host]

    def refused(self, target: HostPort, host: str) -> None:
        """This one refuses: all hear so that hope, soon."""
        self.forget(target, host)
        for flow in self._hopeful.pop((target, host), ()):
            self._reactor.callLater(0, flow.heard_of_refusal, host)

    # What a name stands for.

    def look(self, target: HostPort, timeout: float, found: _Found) -> None:
        """Look the name up, once for all who ask meanwhile: `found` is called with its addresses, or not at all."""
        asking = self._looking.setdefault(target, [])
        asking.append(found)
        if len(asking) == 1:
            looked = resolve(self._reactor, target.host, target.port, timeout)
            looked.addCallbacks(partial(self._found, target), lambda _: self._looking.pop(target, None))

    def _found(self, target: HostPort, hosts: Sequence[str]) -> None:
        for found in self._looking.pop(target):
            found(hosts)
