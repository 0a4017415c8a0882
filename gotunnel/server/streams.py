"""All visitors of a server: on legs of either kind, on those of version 1, dialled directly, or waiting.

They wait for a leg, or before that for the answer of the access policy.

A visitor can be reset by the id that the logs show.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterator
from typing import TYPE_CHECKING

from gotunnel.core.accounts import Account, Running
from gotunnel.core.outcome import Outcome
from gotunnel.core.view import StreamView, added
from gotunnel.net.visitor import Visitor
from gotunnel.wire.legstate import State

if TYPE_CHECKING:
    from gotunnel.server.direct import Direct
    from gotunnel.server.hub import Hub
    from gotunnel.server.peer import Peer

__all__ = ["Streams"]

_UNANSWERED = (State.DIALLING, State.DIALLING_FIN)


class Streams:
    """Iterates over all visitors as StreamView. Visitors that come or go meanwhile may be missing."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    def __iter__(self) -> Iterator[StreamView]:
        now, hub = self._hub.clock.seconds(), self._hub
        for session in hub.left:
            client = session.peer.name
            for leg, visitor in tuple(session.streams.items()):
                state = "dialling" if leg.state in _UNANSWERED else "open"
                since = now - visitor.arrived
                yield StreamView(
                    visitor.conn, client, visitor.mapping, visitor.local.address, state, since, *leg.carried
                )
            for leg, stream in tuple(session.forward.streams.items()):
                state = "open" if stream.dial is None else "dialling"
                since = now - stream.started
                yield StreamView(stream.conn, client, stream.name, stream.source, state, since, *leg.carried)
        for each in self._directs:
            for joint, asked in tuple(each.streams.items()):
                yield StreamView(asked.conn, "", asked.target, "egress", "open", now - asked.began, *joint.carried)
            for asked in tuple(each.dialling.values()):
                yield StreamView(asked.conn, "", asked.target, "egress", "dialling", now - asked.began, 0, 0)
        if hub.v1 is not None:
            for old in hub.v1.present:
                for joint, visitor in old.served:
                    since = now - visitor.arrived
                    yield StreamView(
                        visitor.conn, old.peer.name, visitor.mapping, visitor.local.address, "open", since,
                        *joint.carried,
                    )  # fmt: skip
        for peer, visitor in self._waiting():
            since = now - visitor.arrived
            yield StreamView(visitor.conn, peer.name, visitor.mapping, visitor.local.address, "waiting", since, 0, 0)

    def _waiting(self) -> Iterator[tuple[Peer, Visitor]]:
        for peer in self._hub.holders:
            for waiting in peer.waiting.values():
                for visitor in waiting:
                    yield peer, visitor
        yield from self._hub.entering

    @property
    def _directs(self) -> list[Direct]:
        """What dials for requests of egress sockets, including removed ones, as long as it has visitors."""
        # Recognised by their lack of a peer: importing the class would load the portable relay, which few servers need.
        return [each for each in self._hub.streaming if each.peer is None]

    def here(self) -> Counter[tuple[str, str]]:
        """Count visitors by client and mapping, except those on forward legs and direct ones."""
        found: Counter[tuple[str, str]] = Counter()
        for session in self._hub.left:
            client = session.peer.name
            for mapping, count in Counter(visitor.mapping for visitor in session.streams.values()).items():
                found[client, mapping] += count
        if self._hub.v1 is not None:
            for old in self._hub.v1.present:
                found.update((old.peer.name, visitor.mapping) for _, visitor in old.served)
        found.update((peer.name, visitor.mapping) for peer, visitor in self._waiting())
        return found

    def carried(self) -> tuple[int, int]:
        """Sum the bytes of current visitors, to targets and back."""
        return added(carried for _, carried in self.running())

    def running(self) -> Iterator[Running]:
        """Yield the account and the bytes so far of each visitor that is being served."""
        return ((account, carried) for _, account, carried in self.served())

    def served(self) -> Iterator[tuple[Hashable, Account | None, tuple[int, int]]]:
        """Yield of each visitor that is being served what observers know it by, its account, and its bytes so far."""
        for session in self._hub.left:
            for leg, visitor in tuple(session.streams.items()):
                yield visitor, visitor.account, leg.carried
            for leg, stream in tuple(session.forward.streams.items()):
                yield stream, stream.account, leg.carried
        for each in self._directs:
            for joint, asked in tuple(each.streams.items()):
                yield asked.request, asked.account, joint.carried
        for old in () if self._hub.v1 is None else self._hub.v1.present:
            for joint, visitor in old.served:
                yield visitor, visitor.account, joint.carried

    def kick(self, conn: str) -> bool:
        """Reset the visitor with this id; return False if there is none."""
        if any(session.kick(conn) or session.forward.kick(conn) for session in self._hub.left):
            return True
        if any(each.kick(conn) for each in self._directs):
            return True
        for old in () if self._hub.v1 is None else self._hub.v1.present:
            for joint, visitor in old.served:
                if visitor.conn == conn:
                    joint.reset(Outcome.STOPPED)
                    return True
        return any(peer.lobby.kick(conn) for peer in self._hub.holders) or self._hub.entering.kick(conn)
