"""The visitors of a server, those of its clients' forwards and of its egress socket too: how many there are, how they
fared, and the words said of each. Whom to serve is not decided here."""

from __future__ import annotations

import itertools
import secrets
from collections import Counter
from typing import TYPE_CHECKING, Any

from gotunnel.core.loglimit import LogLimit
from gotunnel.core.outcome import WORDS, Outcome
from gotunnel.core.stream import StreamEnd
from gotunnel.logs import Logger
from gotunnel.net.patience import Patience
from gotunnel.net.visitor import Visitor

if TYPE_CHECKING:
    from gotunnel.server.direct import Direct
    from gotunnel.server.forward import ForwardLegs
    from gotunnel.server.legs import SessionLegs
    from gotunnel.server.peer import Peer

__all__ = ["Ledger"]


class Ledger:
    """One half of a hub."""

    log = Logger()

    def __init__(self, clock: Any) -> None:
        self.clock = clock
        self.stranger_lines = LogLimit(rate=0.2, burst=5)
        """Lines that a stranger can cause."""
        self.outcomes: Counter[Outcome] = Counter()
        """How visitors fared since the start."""
        self.visitors_total = 0
        self.visitors_over = 0
        self.streaming: set[SessionLegs | ForwardLegs | Direct] = set()
        """Who has visitors: sessions, those included that a successor has replaced, and the server itself."""
        self.patience = Patience(clock)
        self._conn_prefix = secrets.token_hex(3)
        self._conns = itertools.count(1)

    def next_conn(self) -> str:
        """Return the id of a new visitor: unique in this process, and unlikely in another one."""
        return f"{self._conn_prefix}-{next(self._conns)}"

    def count(self, outcome: Outcome) -> None:
        """One visitor more is over."""
        self.outcomes[outcome] += 1
        self.visitors_over += 1

    def visitor_arrived(self, peer: Peer, visitor: Visitor) -> None:
        """A visitor was accepted."""
        self.visitors_total += 1
        self.log.debug(
            "visitor {visitor} connected to {mapping} of client {client} ({conn})",
            visitor=visitor.local.address, mapping=visitor.mapping, client=peer.name, conn=visitor.conn,
        )  # fmt: skip

    def visitor_ended(self, peer: Peer, visitor: Visitor, outcome: Outcome, end: StreamEnd | None = None) -> None:
        """A visitor's time is over."""
        self.count(outcome)
        self.log.info(
            "visitor {visitor} of {mapping} ended: {outcome}{code}, {up} bytes up, {down} down, {seconds:.3f} s "
            "({conn})",
            visitor=visitor.local.address, mapping=visitor.mapping, client=peer.name, outcome=WORDS[outcome],
            code=f" ({end.code})" if end is not None and end.code else "",
            up=end.up if end else 0, down=end.down if end else 0,
            seconds=self.clock.seconds() - visitor.arrived, conn=visitor.conn,
        )  # fmt: skip
        self.changed()

    def forwarded(self, legs: ForwardLegs) -> None:
        """A client's visitor was accepted on a forward leg."""
        self.visitors_total += 1
        self.streaming.add(legs)

    def forward_ended(self, legs: ForwardLegs, outcome: Outcome) -> None:
        """Such a visitor's time is over."""
        self.count(outcome)
        if not legs.streams:
            self.streaming.discard(legs)
        self.changed()

    def visitor_denied(self, peer: Peer, visitor: Visitor, limit: str) -> None:
        """A visitor is one too many. Strangers decide how many of them there are, so not each has a line."""
        self.count(Outcome.DENIED)
        allowed, suppressed = self.stranger_lines.allow("denied", self.clock.seconds())
        if allowed:
            self.log.warn(
                "visitor {visitor} of {mapping} of client {client} is reset: one more than {limit}{more}",
                visitor=visitor.local.address, mapping=visitor.mapping, client=peer.name, limit=limit,
                more=f" ({suppressed} more like this were not logged)" if suppressed else "",
            )  # fmt: skip

    @property
    def live(self) -> int:
        """Visitors that are here now: waiting or served."""
        return self.visitors_total - self.visitors_over

    def changed(self) -> None:
        """A visitor or a session is over."""
        self.patience.look()
