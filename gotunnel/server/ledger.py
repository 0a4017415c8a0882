"""Counts and logs the visitors of a server, including those of forwards and of the egress socket.

It does not decide which visitors are served.
"""

from __future__ import annotations

import itertools
import secrets
from collections import Counter
from typing import TYPE_CHECKING, Any

from gotunnel.core.accounts import Account
from gotunnel.core.loglimit import LogLimit
from gotunnel.core.outcome import WORDS, Outcome
from gotunnel.core.stream import StreamEnd
from gotunnel.core.usage import Usage
from gotunnel.logs import Logger
from gotunnel.net.crowdlines import CrowdLines
from gotunnel.net.patience import Patience
from gotunnel.net.visitor import Visitor

if TYPE_CHECKING:
    from gotunnel.server.direct import Direct
    from gotunnel.server.forward import ForwardLegs
    from gotunnel.server.legs import SessionLegs
    from gotunnel.server.peer import Peer

__all__ = ["Ledger"]


class Ledger:
    """A base class of the hub, see the module."""

    log = Logger()

    def __init__(self, clock: Any) -> None:
        self.clock = clock
        self.stranger_lines = LogLimit(rate=0.2, burst=5)
        """Limits the log lines that unauthenticated peers and visitors can cause."""
        self.usage = Usage()
        self.everybody = self.usage.accounts.all
        """The counter of the current visitors of all clients."""
        self.crowd_lines = CrowdLines(clock, self.usage.crowds)
        self.streaming: set[SessionLegs | ForwardLegs | Direct] = set()
        """What has visitors: sessions, including replaced ones, and the server itself (direct egress)."""
        self.patience = Patience(clock)
        self._conn_prefix = secrets.token_hex(3)
        self._conns = itertools.count(1)

    def next_conn(self) -> str:
        """Return the id of a new visitor: unique in this process, and very likely across processes."""
        return f"{self._conn_prefix}-{next(self._conns)}"

    def visitor_arrived(self, peer: Peer, visitor: Visitor) -> None:
        """Count and log a visitor that was accepted."""
        visitor.account = self.usage.began(peer.name, visitor.mapping)
        if self.usage.observers is not None:
            local = visitor.local
            self.usage.observers.opened(visitor, visitor.conn, peer.name, visitor.mapping, local.address)
        if self.log.debugs:
            self.log.debug(
                "visitor {visitor} connected to {mapping} of client {client} ({conn})",
                visitor=visitor.local.address, mapping=visitor.mapping, client=peer.name, conn=visitor.conn,
            )  # fmt: skip

    def visitor_moved(self, visitor: Visitor, peer: Peer) -> None:
        """Record that a visitor that nobody has served yet has moved to `peer`."""
        assert visitor.account is not None
        visitor.account = self.usage.moved(visitor.account, peer.name, visitor.mapping)

    def visitor_ended(
        self, peer: Peer, visitor: Visitor, outcome: Outcome, end: StreamEnd | None = None, *, told: bool = False
    ) -> None:
        """Count and log a finished visitor; `told` if it has already been logged in other words."""
        assert visitor.account is not None
        port = peer.published.mappings.get(visitor.mapping)
        self.usage.ended(visitor.account, outcome, end, None if port is None else port.carried)
        if self.usage.observers is not None:
            self.usage.observers.closed(visitor, outcome, end)
        if told:
            return
        now, mapping = self.clock.seconds(), visitor.came_to if visitor.special else visitor.mapping
        if self.usage.crowds.has_line(now, mapping, outcome, end, peer.name):
            self.log.info(
                "visitor {visitor} of {mapping} ended: {outcome}{code}, {up} bytes up, {down} down, {seconds:.3f} s "
                "({conn})",
                visitor=visitor.local.address, mapping=mapping, client=peer.name, outcome=WORDS[outcome],
                code=end.bracketed if end is not None else "",
                up=end.up if end else 0, down=end.down if end else 0, seconds=now - visitor.arrived, conn=visitor.conn,
            )  # fmt: skip
        if self.patience.waits:
            self.patience.look()

    def forwarded(self, legs: ForwardLegs, target: str) -> Account:
        """Count a visitor on a forward leg of a client. Returns its account."""
        self.streaming.add(legs)
        return self.usage.began(legs.peer.name, target)

    def forward_ended(self, legs: ForwardLegs, account: Account, end: StreamEnd) -> None:
        """Count such a visitor as finished."""
        self.usage.ended(account, end.outcome, end)
        if not legs.streams:
            self.streaming.discard(legs)
        self.changed()

    def visitor_denied(self, peer: Peer, visitor: Visitor, limit: str) -> None:
        """Record a visitor above a limit. The log line is rate-limited, because anyone can cause it."""
        self.visitor_ended(peer, visitor, Outcome.DENIED, told=True)
        more = self.stranger_lines.more("denied", self.clock.seconds())
        if more is not None:
            self.log.warn(
                "visitor {visitor} of {mapping} of client {client} was reset: one more than {limit}{more}",
                visitor=visitor.local.address, mapping=visitor.mapping, client=peer.name, limit=limit,
                more=more,
            )  # fmt: skip

    def visitor_kept_out(self, peer: Peer, visitor: Visitor, outcome: Outcome) -> None:
        """Record a visitor that the access policy refused (already logged), or that ended while it was asked.

        One that left by itself is not logged.
        """
        self.visitor_ended(peer, visitor, outcome, told=outcome is not Outcome.STOPPED)
        self.changed()

    @property
    def outcomes(self) -> Counter[Outcome]:
        """The number of visitors by outcome since the start."""
        return self.usage.outcomes

    @property
    def visitors_total(self) -> int:
        """The number of visitors since the start."""
        return self.usage.opened

    @property
    def live(self) -> int:
        """The number of current visitors, waiting or served."""
        return self.usage.live

    def changed(self) -> None:
        """A visitor or session has ended: check whether draining can go on."""
        self.patience.look()
