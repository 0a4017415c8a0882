"""An operator's view of a client's forwards, which all of its links serve: where they listen, and who waits there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from gotunnel.client.forwards import Forwards
from gotunnel.core.view import MappingState, MappingView, StreamView
from gotunnel.errors import Sentence

__all__ = ["ForwardsView"]


class ForwardsView:
    """The forwards of one client. `encrypted` says whether its connections use TLS."""

    def __init__(self, forwards: Forwards, client: str, *, encrypted: bool) -> None:
        self._forwards = forwards
        self._client = client
        self._encrypted = encrypted

    @property
    def pending(self) -> int:
        """Visitors waiting for a leg."""
        return self._forwards.pending

    def mappings(self, served: Counter[str]) -> Iterator[MappingView]:
        """Return each forward and egress socket. `served` counts the visitors with a leg of each."""
        there = Counter(served)
        for waiting in self._forwards.waiting.values():
            there.update(visitor.mapping for visitor in waiting)
        openers = self._forwards.openers
        for port in self._forwards.ports:
            state, reason = MappingState.OPEN, ""
            if self._forwards.stopped:
                state, reason = MappingState.PENDING, "the client is draining: it accepts no new visitors"
            elif port.failure is not None:
                state, reason = MappingState.FAILED, port.failure
            elif openers.refusing:
                state, reason = MappingState.REFUSED, openers.why_not
            elif not openers.serving:
                state, reason = MappingState.AWAY, "no server is connected; visitors wait for one"
            elif why := openers.why_off(port.leads_to):
                state, reason = MappingState.OFF, why
            elif port.refused and port.target is not None:  # with many targets, one refusal says nothing of the next
                reason = Sentence("the server refused the last visitor: {cure}", cure=port.refused)
            yield MappingView(
                self._client, port.name, port.kind, port.wanted, port.target, state, reason, there[port.name],
                port.carried.ended, port.carried.up, port.carried.down, "", encrypted=self._in_tls(port.encrypt),
            )  # fmt: skip

    def _in_tls(self, wanted: bool) -> bool | None:
        if wanted or not self._encrypted:
            return self._encrypted
        return not self._forwards.outside if self._forwards.openers.serving else None

    def streams(self, now: float) -> Iterator[StreamView]:
        """Return the waiting visitors at this time (seconds)."""
        for waiting in self._forwards.waiting.values():
            for visitor in waiting:
                since, address = now - visitor.arrived, visitor.local.address
                yield StreamView(visitor.conn, self._client, visitor.mapping, address, "waiting", since, 0, 0)
