"""The public port of one mapping on the server: opening, closing and reopening it, and its visitors.

It hands the visitors it accepts to its peer.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable, Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import islice
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import maybeDeferred

from gotunnel.address import HostPort
from gotunnel.core.outcome import Outcome
from gotunnel.core.ports import PortTable
from gotunnel.core.rights import Rights
from gotunnel.core.usage import Carried
from gotunnel.core.view import SWITCHED_OFF
from gotunnel.errors import PortUnavailable, Sentence
from gotunnel.interfaces import ILocal, IRelay
from gotunnel.net.visitor import Visitor
from gotunnel.server.allocation import MOST_CANDIDATES, any_ports
from gotunnel.wire.legbodies import OpenBody
from gotunnel.wire.openform import FORM, Hashes

if TYPE_CHECKING:
    from gotunnel.server.fronts import Fronts
    from gotunnel.server.peer import Peer

__all__ = ["HiddenPort", "PublicPort", "PublicVisitor"]

class PublicPort:
    """The listener of one mapping. It belongs to a peer and outlives sessions.

    `owner` identifies the holder of the port and is unique per mapping. `wanted` is the port requested (0: any), `port`
    the one it has. A suspended mapping keeps its claim on the port without listening, so that the kernel refuses
    visitors while the target is down.
    """

    def __init__(
        self,
        name: str,
        bind: str,
        wanted: int,
        plain: bool,
        relay: IRelay,
        ports: PortTable,
        owner: Hashable,
        on_visitor: Callable[[PublicPort, ILocal], None],
    ) -> None:
        self.name = name
        self.bind = bind
        self.wanted = wanted
        self.plain = plain
        self.port = 0
        self.carried = Carried()
        self.clients: tuple[str, ...] = ()
        """Patterns for the names of clients that may reach it through the server."""
        self.tells_destination = False
        """Whether its client wants to know the address each visitor connected to."""
        self.group_name: str | None = None
        self.suspended: str | None = None
        self.stuck: str | None = None
        """Why it cannot listen again although its target is up; set while this is being retried."""
        self.off = False
        """Whether an operator has switched it off, whatever its client says; see `switching`."""
        self.barred = False
        """Set when its client may no longer have it; it will be closed."""
        self.ended = False
        """Set when it is closed, unless the server stops: visitors that wait for it are reset."""
        self.choose: Callable[[Rights], Awaitable[Iterable[int]]] | None = None
        """Returns the ports to try if none is wanted. None: any allowed port."""
        self.vet: Callable[[int], Awaitable[None]] | None = None
        """Has the final say on a port; raises PortUnavailable. None: no such check."""
        self.fronts: Fronts | None = None
        """Recognises load balancers that send visitors' addresses. None: there are none."""
        self.permitted_by: Rights | None = None
        """The last rights that were found to cover it."""
        self._relay = relay
        self._ports = ports
        self._owner = owner
        self._on_visitor = on_visitor
        self._listening: Any = None

    @property
    def address(self) -> HostPort:
        """The address it listens on, or would."""
        return HostPort(self.bind, self.port)

    @property
    def where(self) -> str:
        """The same for a log."""
        return str(self.address)

    def admits(self, client: str) -> bool:
        """Return whether another client may reach it."""
        return any(fnmatchcase(client, pattern) for pattern in self.clients)

    @property
    def is_open(self) -> bool:
        """Whether visitors can connect."""
        return self._listening is not None

    @property
    def shut(self) -> str | None:
        """Why no new visitors are admitted, or None if they are."""
        return self.shut_here or self.suspended

    @property
    def shut_here(self) -> str | None:
        """Like `shut`, but only for reasons that its client cannot know."""
        return SWITCHED_OFF if self.off else self.stuck

    @property
    def turns_away(self) -> Outcome | None:
        """The outcome of visitors that have no leg yet, or None if they may get one."""
        if self.ended:
            return Outcome.STOPPED
        return None if self.shut is None else Outcome.MAPPING_DOWN

    def check(self, rights: Rights) -> None:
        """Check that these rights cover it. Raises PortUnavailable if not."""
        rights.check_port(self.bind, self.port)

    def check_wish(self, rights: Rights) -> None:
        """Check that these rights cover the request, as far as that is known before `open`. Raises PortUnavailable."""
        if self.wanted:
            rights.check_port(self.bind, self.wanted)

    def permitted(self, rights: Rights) -> bool:
        """Return whether its client may have it with these rights. Cached, because it is asked for each visitor."""
        if self.permitted_by is not rights:
            try:
                self.check(rights)
            except PortUnavailable:
                return False
            self.permitted_by = rights
        return not self.barred

    async def open(self, rights: Rights) -> None:
        """Claim the port and listen, after a successful `check_wish`. Raises PortUnavailable; nothing is held then."""
        refusal = PortUnavailable("port_in_use", "no allowed port is free")
        for port in await self._candidates(rights):
            rights.check_port(self.bind, port)
            try:
                if self.vet is not None:
                    await self.vet(port)
                self._ports.claim(self.bind, port, self._owner)
            except PortUnavailable as taken:
                if taken.final:
                    raise
                refusal = taken
                continue
            try:
                self._listening = self._relay.listen(self.bind, port, self._accepted, 1024)
            except PortUnavailable as taken:
                self._ports.release(self.bind, port, self._owner)
                refusal = taken
                continue
            self.port = port
            if self.off:  # it was opened to check that the port is available; keep only the claim
                await self._stop()
            return
        raise refusal

    async def resume(self) -> None:
        """Listen again after `suspend`, unless switched off. Raises PortUnavailable if another program has the port."""
        if self._listening is None and not self.off:
            self._listening = self._relay.listen(self.bind, self.port, self._accepted, 1024)
        self.suspended = self.stuck = None

    async def suspend(self, reason: str) -> None:
        """Admit no new visitors until `resume`."""
        self.suspended, self.stuck = reason, None
        await self._stop()

    async def switch(self, off: bool) -> None:
        """Switch it off or on again for an operator.

        Raises PortUnavailable if another program has taken the port meanwhile; it then stays off.
        """
        self.off = off
        if off:
            await self._withdraw()
        elif self.suspended is None:
            try:
                await self.resume()
            except PortUnavailable:
                self.off = True
                raise

    async def close(self) -> None:
        """Stop listening for good. When this returns, the port is free for others."""
        await self._stop()
        self._ports.release(self.bind, self.port, self._owner)

    def began(self) -> None:
        """A session of its client has begun."""

    def settle(self) -> None:
        """Its client has disconnected or is about to: waiting visitors may be served elsewhere."""

    async def _withdraw(self) -> None:
        """Admit no new visitors."""
        await self._stop()

    async def _stop(self) -> None:
        listening, self._listening = self._listening, None
        if listening is not None:
            # The socket closes one reactor turn later; until then nobody could listen on its port.
            await maybeDeferred(listening.stopListening)

    def _accepted(self, local: ILocal) -> None:
        if self.fronts is not None and self.fronts.networks:
            self.fronts.ask(local, self.name, self._arrived)
        else:
            self._on_visitor(self, local)

    def _arrived(self, local: ILocal) -> None:
        if self._listening is None:
            local.abort()  # the port was closed while the visitor's header was awaited
        else:
            self._on_visitor(self, local)

    async def _candidates(self, rights: Rights) -> Iterable[int]:
        if self.wanted:
            return (self.wanted,)
        if self.choose is not None:
            chosen = await self.choose(rights)
            return [port for port in chosen if port not in rights.reserved and port in rights.allow_ports]
        found = islice(any_ports(rights.allow_ports), MOST_CANDIDATES)
        return (port for port in found if port not in rights.reserved)


class HiddenPort(PublicPort):
    """A mapping without a port: only other clients can reach it, through the server."""

    @property
    def where(self) -> str:
        """See PublicPort."""
        return Sentence("no port, for the clients {clients}", clients=', '.join(self.clients) or '(none)')

    def check(self, rights: Rights) -> None:
        """See PublicPort: without a port there is nothing to check."""

    def check_wish(self, rights: Rights) -> None:
        """See PublicPort: nothing to check."""

    async def open(self, rights: Rights) -> None:
        """See PublicPort: nothing to claim."""

    async def resume(self) -> None:
        """See PublicPort: admit other clients again."""
        self.suspended = self.stuck = None

    async def close(self) -> None:
        """See PublicPort: nothing to close."""


@dataclass(slots=True, eq=False)
class PublicVisitor(Visitor):
    """A visitor of a public port, which its client may have lost by the time the visitor gets a leg."""

    port: PublicPort
    peer: Peer

    @property
    def shut_out(self) -> Outcome | None:
        """See Visitor."""
        return self.port.turns_away

    def body(self) -> OpenBody:
        """See Visitor."""
        body = OpenBody(self.conn, self.local.address, self.mapping)
        if self.port.tells_destination:
            body.dst = self.local.destination() or None
        return body

    def opening(self, hashes: Hashes | None, n: int) -> bytes:
        """See Visitor. Most visitors are of this class, so the usual form is written without making a body first."""
        local, conn, mapping = self.local, self.conn, self.mapping
        src = local.address
        dst = (local.destination() or None) if self.port.tells_destination else None
        mac = None if hashes is None else FORM.prove(*hashes, n, "mapping", mapping, conn, src, dst)
        usual = FORM.write(conn, src, mapping, None if mac is None else n, mac, dst)
        return Visitor.opening(self, hashes, n) if usual is None else usual

    def allowed(self) -> bool:
        """See Visitor."""
        port, rights = self.port, self.peer.rights
        return (port.permitted_by is rights and not port.barred) or port.permitted(rights)
