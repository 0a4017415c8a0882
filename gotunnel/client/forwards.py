"""The forwards of a client: their listeners and visitors, from accept to the log line of their end. They outlive
sessions; the legs belong to the sessions."""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import DeferredLock

from gotunnel.address import HostPort, UnixPath
from gotunnel.client.forwardvisitors import EgressVisitor, ForwardVisitor
from gotunnel.client.openers import Openers
from gotunnel.config.model import EgressConfig, ForwardConfig
from gotunnel.core.loglimit import LogLimit
from gotunnel.core.outcome import WORDS, Outcome
from gotunnel.core.stream import StreamEnd
from gotunnel.core.usage import Usage
from gotunnel.interfaces import ILocal, IRelay
from gotunnel.logs import Logger
from gotunnel.net.lobby import Lobby
from gotunnel.net.visitor import Visitor, Waiting
from gotunnel.wire.proxyheader import encode_proxy_header

if TYPE_CHECKING:
    from gotunnel.client.forwardports import EgressSocket, ForwardPort
    from gotunnel.net.egress import EgressRequest

__all__ = ["Forwards"]

PATIENCE = 10.0
"""Seconds that a visitor waits for a leg, as on the server (protocol, section 4)."""
PENDING = 1024
"""Most visitors that may wait at a time."""


class Forwards:
    """All forwards of one client, from `start` to `stop`."""

    log = Logger()

    def __init__(
        self,
        forwards: Iterable[ForwardConfig],
        egress: EgressConfig | None,
        clock: Any,
        relay: IRelay,
        usage: Usage,
    ) -> None:
        self._usage = usage
        self._named: dict[str, ForwardPort] = {}
        self._egress: EgressSocket | None = None
        self._clock = clock
        self._relay = relay
        self._lobby = Lobby(clock, PATIENCE, self.ended)
        self.openers = Openers(clock, self._lobby, lambda: self.changed())
        self._conn_prefix = secrets.token_hex(3)
        self._conns = itertools.count(1)
        self._lines = LogLimit(rate=1.0, burst=10)
        self.changed: Callable[[], None] = lambda: None
        """Called when a session has begun, and when a visitor travels outside TLS."""
        self._running = False
        self.stopped = False
        """Whether it has stopped for good."""
        self._turn = DeferredLock()  # for opening and closing ports: closing one takes a turn of the reactor
        self._configs = {config.name: config for config in forwards}
        self._egress_config = egress
        self._make()

        self.inside = False
        """Whether this process itself creates visitors with `let_in`, without a port."""

    def __bool__(self) -> bool:
        return self.inside or bool(self.ports)

    @property
    def ports(self) -> list[ForwardPort | EgressSocket]:
        """The listeners, open or not."""
        return [*self._named.values(), *([] if self._egress is None else [self._egress])]

    def _make(self) -> None:
        if not self._configs and self._egress_config is None:
            return
        # Imported late: it costs an idle process memory, and only forwards need it.
        from gotunnel.client.forwardports import EgressSocket, ForwardPort

        for name, config in self._configs.items():
            if name not in self._named:
                self._named[name] = ForwardPort(config, self._clock, self._relay, self._arrived)
        if self._egress_config is not None and self._egress is None:
            self._egress = EgressSocket(self._egress_config, self._clock, self._relay, self._requested)

    @property
    def waiting(self) -> dict[bool, Waiting]:
        """The visitors that wait for a leg of any session."""
        return self._lobby.waiting

    @property
    def pending(self) -> int:
        """How many visitors wait."""
        return self._lobby.pending

    def address(self, name: str) -> HostPort | UnixPath | None:
        """The address that a forward listens on; None while it cannot."""
        return self._named[name].address

    def leading_to(self, target: object) -> list[str]:
        """Return the names of the forwards that lead to a target."""
        return [name for name, port in self._named.items() if port.leads_to == target]

    def start(self) -> None:
        """Listen, and keep retrying where that fails."""
        self._running = True
        for port in self.ports:
            port.start()

    async def change(self, forwards: Iterable[ForwardConfig], egress: EgressConfig | None) -> None:
        """Apply a new configuration: close listeners that were removed or moved, then open the new ones.

        Visitors with a leg and unchanged ports go on. Visitors that wait for a removed forward or egress socket are
        reset.
        """
        self._configs = {config.name: config for config in forwards}
        closed: list[ForwardPort | EgressSocket] = []
        moved: list[ForwardPort] = []
        for name, port in tuple(self._named.items()):
            config = self._configs.get(name)
            if config is None or not port.use(config):
                closed.append(self._named.pop(name))
                if config is not None:
                    moved.append(port)
        if self._egress is not None and egress != self._egress_config:
            closed.append(self._egress)
            self._egress = None
        self._egress_config = egress
        self._make()
        for port in moved:
            self._named[port.name].carried = port.carried
        async with self._turn:
            for gone in closed:
                await gone.stop()
        here = {port.name for port in self.ports}
        for gone in closed:
            if gone.name not in here and (gone.kind != "egress" or self._egress is None):
                self._lobby.turn_away_all(Outcome.STOPPED, gone.name)
        if self._running:
            self.start()

    async def stop(self) -> None:
        """Stop listening, and reset waiting visitors. Visitors with a leg go on."""
        self._running, self.stopped = False, True
        async with self._turn:
            for port in self.ports:
                await port.stop()
        self._lobby.turn_away_all(Outcome.STOPPED)

    # Visitors.

    def ended(self, visitor: Visitor, outcome: Outcome, end: StreamEnd | None = None) -> None:
        """Account for the end of a visitor; `end` has details if it was served."""
        assert visitor.account is not None
        self._usage.ended(visitor.account, outcome, end)
        if self._usage.observers is not None:
            self._usage.observers.closed(visitor, outcome, end)
        cures = _EGRESS_CURES if isinstance(visitor, EgressVisitor) else _CURES
        cure = cures.get(end.code or "") if end is not None else None
        port = self._egress if isinstance(visitor, EgressVisitor) else self._named.get(visitor.mapping)
        if port is not None:
            port.carried.add(end)
            if end is not None:
                port.refused = cure or ""
        now = self._clock.seconds()
        if self._usage.crowds.has_line(now, "forward:" + visitor.mapping, outcome, end):
            self.log.info(
                "visitor {visitor} of forward {forward} ended: {outcome}{code}, {up} bytes up, {down} down, "
                "{seconds:.3f} s ({conn})",
                visitor=visitor.local.address, forward=visitor.mapping, outcome=WORDS[outcome],
                code=end.bracketed if end is not None else "",
                up=end.up if end else 0, down=end.down if end else 0, seconds=now - visitor.arrived, conn=visitor.conn,
            )  # fmt: skip
        if cure is not None and self._lines.allow(visitor.mapping, now)[0]:
            self.log.warn(
                "forward {forward} was refused by the server: {target}: {cure}",
                forward=visitor.mapping, target=str(getattr(visitor, "target", "")), cure=cure,
            )  # fmt: skip
        visitor.over(outcome, end)

    def let_in(self, visitor: ForwardVisitor) -> None:
        """Serve a new visitor now, or let it wait for a leg."""
        visitor.account = self._usage.began("", visitor.mapping)
        if self._usage.observers is not None:
            self._usage.observers.opened(visitor, visitor.conn, "", visitor.mapping, visitor.local.address)
        if self.openers.refusing:
            self._lobby.turn_away([visitor], Outcome.DENIED)
        elif self._lobby.pending >= PENDING:
            self._lobby.turn_away([visitor], Outcome.DENIED)
            more = self._lines.more("pending", self._clock.seconds())
            if more is not None:
                self.log.warn(
                    "visitor {visitor} of forward {forward} was reset: {most} visitors wait for a leg{more}",
                    visitor=visitor.local.address, forward=visitor.mapping, most=PENDING, more=more,
                )  # fmt: skip
        else:
            self.openers.place(visitor)

    def kick(self, conn: str) -> bool:
        """Reset the waiting visitor with this id. Returns False if there is none."""
        return self._lobby.kick(conn)

    def next_conn(self) -> str:
        """Return the id for a new visitor."""
        return f"{self._conn_prefix}-{next(self._conns)}"

    def _arrived(self, config: ForwardConfig, local: ILocal) -> None:
        plain = not config.encrypt and self.outside
        now = self._clock.seconds()
        visitor = ForwardVisitor(self.next_conn(), config.name, plain, local, now, config.dial, self.openers)
        if config.proxy_protocol != "off":
            where = local.destination()
            visitor.begins = encode_proxy_header(config.proxy_protocol, local.address, where, visitor.conn)
        self.let_in(visitor)
        if plain:
            self.changed()

    @property
    def outside(self) -> bool:
        """Whether forwards with `encrypt: false` travel outside TLS: only if every serving server accepts such legs."""
        return self.openers.take_plain

    def _requested(self, name: str, request: EgressRequest) -> None:
        local = request.accept(self._relay)
        if local is None:
            return
        now = self._clock.seconds()
        self.let_in(EgressVisitor(self.next_conn(), name, False, local, now, request.target, self.openers, request))


_CURES = {
    "not_allowed": "name it in allow_dial of this client, in the server's configuration",
    "unknown_mapping": "that client is not connected, has no such mapping, or its `clients` leave this one out",
    "limit": "the server's limits (visitors of a client, streams of all, names being looked up) say how many",
}
_EGRESS_CURES = {
    **_CURES, "not_allowed": "have a client announce it (client.nodes), and give this one `nodes:PORT` in its "
                             "allow_dial",
}  # fmt: skip
