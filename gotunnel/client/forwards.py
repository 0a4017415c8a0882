"""The ports that a client forwards: its listeners and their visitors, from accept to the log line of their end. They
outlive sessions; the legs belong to those."""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Iterable
from typing import Any, Protocol

from twisted.internet.interfaces import IDelayedCall

from gotunnel.address import HostPort, UnixPath
from gotunnel.client.forwardports import EgressSocket, ForwardPort
from gotunnel.client.forwardvisitors import EgressVisitor, ForwardVisitor
from gotunnel.config.model import EgressConfig, ForwardConfig
from gotunnel.core.loglimit import LogLimit
from gotunnel.core.outcome import WORDS, Outcome
from gotunnel.core.stream import StreamEnd
from gotunnel.core.usage import Usage
from gotunnel.errors import printable
from gotunnel.interfaces import ILocal, IRelay
from gotunnel.logs import Logger
from gotunnel.net.egress import EgressRequest
from gotunnel.net.lobby import Lobby
from gotunnel.net.visitor import Visitor, Waiting

__all__ = ["Forwards", "Opener"]

PATIENCE = 10.0
"""Seconds that a visitor waits for a leg, as on the server (protocol, section 4)."""
PENDING = 1024
"""Visitors that may wait at a time."""
LISTEN_AGAIN = 5.0
"""Seconds between attempts to listen where it failed: an address may come up after the client."""


class Opener(Protocol):
    """The part of a session that serves visitors."""

    plain_legs: bool

    def serve(self, visitor: Visitor) -> bool: ...
    def feed(self) -> None: ...


class Forwards:
    """All of one client. Runs from `start` to `stop`."""

    log = Logger()

    def __init__(
        self,
        forwards: Iterable[ForwardConfig],
        egress: EgressConfig | None,
        clock: Any,
        relay: IRelay,
        usage: Usage,
    ) -> None:
        self.ports: list[ForwardPort | EgressSocket] = []
        self._usage = usage
        self._named = {config.name: ForwardPort(config, clock, relay, self._arrived) for config in forwards}
        self.ports += self._named.values()
        if egress is not None:
            self.ports.append(EgressSocket(egress, clock, relay, self._requested))
        self._clock = clock
        self._relay = relay
        self._lobby = Lobby(clock, PATIENCE, self.ended)
        self._opener: Opener | None = None
        self._refusing = False
        self._again: IDelayedCall | None = None
        self._conn_prefix = secrets.token_hex(3)
        self._conns = itertools.count(1)
        self._lines = LogLimit(rate=1.0, burst=10)

    def __bool__(self) -> bool:
        return bool(self.ports)

    @property
    def waiting(self) -> dict[bool, Waiting]:
        """Those who wait for a leg: they pass from one session to the next."""
        return self._lobby.waiting

    @property
    def pending(self) -> int:
        """How many those are."""
        return self._lobby.pending

    def address(self, name: str) -> HostPort | UnixPath | None:
        """Where a forward listens, None while it cannot."""
        return self._named[name].address

    def start(self) -> None:
        """Listen, and go on trying where that fails."""
        self._again = None
        for port in self.ports:
            port.listen()
        if not all(port.listening for port in self.ports):
            self._again = self._clock.callLater(LISTEN_AGAIN, self.start)

    async def stop(self) -> None:
        """Let nobody in any more, and reset those who wait; those with a leg go on."""
        if self._again is not None:
            self._again.cancel()
            self._again = None
        for port in self.ports:
            await port.stop()
        self._lobby.turn_away_all(Outcome.STOPPED)

    # Sessions.

    def begin(self, opener: Opener) -> None:
        """A session serves from now on."""
        self._opener, self._refusing = opener, False
        opener.feed()

    def unserved(self, why: str) -> None:
        """There is a session, and it cannot serve them."""
        self._opener, self._refusing = None, True
        self.log.warn("forwards do not work: {reason}", reason=why)
        self._lobby.turn_away_all(Outcome.DENIED)

    def lost(self, opener: Opener | None) -> None:
        """A session has ended, or opens no more. Of one that was replaced this changes nothing."""
        if self._opener is opener:
            self._opener, self._refusing = None, False

    # Visitors.

    def ended(self, visitor: Visitor, outcome: Outcome, end: StreamEnd | None = None) -> None:
        """A visitor is over, served (then `end` tells more) or not."""
        self._usage.ended(outcome, end)
        port = self._named.get(visitor.mapping)
        if port is not None:
            port.carried.add(end)
        self.log.info(
            "visitor {visitor} of forward {forward} ended: {outcome}{code}, {up} bytes up, {down} down, "
            "{seconds:.3f} s ({conn})",
            visitor=visitor.local.address, forward=visitor.mapping, outcome=WORDS[outcome],
            code=f" ({printable(end.code)})" if end is not None and end.code else "",
            up=end.up if end else 0, down=end.down if end else 0,
            seconds=self._clock.seconds() - visitor.arrived, conn=visitor.conn,
        )  # fmt: skip
        cure = _CURES.get(end.code or "") if end is not None else None
        if cure is not None and self._lines.allow(visitor.mapping, self._clock.seconds())[0]:
            self.log.warn(
                "forward {forward} was refused by the server: {target}: {cure}",
                forward=visitor.mapping, target=str(getattr(visitor, "target", "")), cure=cure,
            )  # fmt: skip
        visitor.over(outcome, end)

    def let_in(self, visitor: ForwardVisitor) -> None:
        """A visitor is there: serve him now, or let him wait."""
        opener = self._opener
        self._usage.began()
        self._lobby.watch(visitor)
        if self._lobby.pending >= PENDING or self._refusing:
            self._lobby.turn_away([visitor], Outcome.DENIED)
        elif opener is None or not opener.serve(visitor):
            self._lobby.wait(visitor)
            if opener is not None:
                opener.feed()

    def next_conn(self) -> str:
        """Return the id of a new visitor."""
        return f"{self._conn_prefix}-{next(self._conns)}"

    def _arrived(self, config: ForwardConfig, local: ILocal) -> None:
        opener = self._opener
        plain = not config.encrypt and opener is not None and opener.plain_legs
        self.let_in(
            ForwardVisitor(self.next_conn(), config.name, plain, local, self._clock.seconds(), config.dial)
        )

    def _requested(self, name: str, request: EgressRequest) -> None:
        local = request.accept(self._relay)
        if local is None:
            return
        now = self._clock.seconds()
        self.let_in(EgressVisitor(self.next_conn(), name, False, local, now, request.target, request))


_CURES = {
    "not_allowed": "name it in allow_dial of this client, in the server's configuration",
    "unknown_mapping": "that client is not connected, has no such mapping, or its `clients` leave this one out",
    "limit": "the server's limits (visitors of a client, streams of all) say how many",
}
