"""One mapping on the server: its public port, opened, closed and opened again, and who comes to it. Whom it accepts it
hands to its peer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable, Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import islice
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import maybeDeferred

from gotunnel.address import HostPort
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
    """The listener of one mapping. It belongs to a peer and outlives sessions. `owner` is who claims the port: no two
    mappings have the same.

    `wanted` is the port that was asked for (0: any), `port` the one it has. A suspended mapping keeps its claim on the
    port and does not listen, so that visitors are refused by the kernel while the target is down.
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
        """Patterns of the names of clients that may reach it through the server."""
        self.tells_destination = False
        """Whether its client wants to hear where each visitor came to."""
        self.group_name: str | None = None
        self.suspended: str | None = None
        self.stuck: str | None = None
        """Why it cannot listen again although its target is up, as long as that is tried."""
        self.off = False
        """Whether an operator has switched it off, whatever its client says; see `switching`."""
        self.barred = False
        """True once its owner may not have it any more; it will be closed."""
        self.choose: Callable[[Rights], Awaitable[Iterable[int]]] | None = None
        """Says which ports to try where none is wanted; None: any."""
        self.vet: Callable[[int], Awaitable[None]] | None = None
        """Has the last word on a port; raises PortUnavailable."""
        self.fronts: Fronts | None = None
        """Who may come for somebody else; None: nobody."""
        self.permitted_by: Rights | None = None
        """The rights that were last seen to cover it."""
        self._relay = relay
        self._ports = ports
        self._owner = owner
        self._on_visitor = on_visitor
        self._listening: Any = None

    @property
    def address(self) -> HostPort:
        """Where it listens, or would."""
        return HostPort(self.bind, self.port)

    @property
    def where(self) -> str:
        """The same for a log."""
        return str(self.address)

    def admits(self, client: str) -> bool:
        """Whether another client may reach it."""
        return any(fnmatchcase(client, pattern) for pattern in self.clients)

    @property
    def is_open(self) -> bool:
        """Whether visitors can connect."""
        return self._listening is not None

    @property
    def shut(self) -> str | None:
        """Why nobody new is let in, None if nothing is said against it."""
        return self.shut_here or self.suspended

    @property
    def shut_here(self) -> str | None:
        """The same, as far as its client cannot know it."""
        return SWITCHED_OFF if self.off else self.stuck

    def check(self, rights: Rights) -> None:
        """Return if these rights cover it. Raises PortUnavailable."""
        rights.check_port(self.bind, self.port)

    def check_wish(self, rights: Rights) -> None:
        """Return if these rights cover what is asked for, as far as that can be known ahead of `open`. Raises
        PortUnavailable."""
        if self.wanted:
            rights.check_port(self.bind, self.wanted)

    def permitted(self, rights: Rights) -> bool:
        """Whether its owner may have it, with these rights. Asked for each visitor, so that an answer is kept."""
        if self.permitted_by is not rights:
            try:
                self.check(rights)
            except PortUnavailable:
                return False
            self.permitted_by = rights
        return not self.barred

    async def open(self, rights: Rights) -> None:
        """Claim the port and listen, when `check_wish` has let it pass. Raises PortUnavailable, and then nothing is
        held."""
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
            if self.off:  # its port was to be had: it is claimed, and nobody gets in
                await self._stop()
            return
        raise refusal

    async def resume(self) -> None:
        """Listen again after `suspend`, unless it is off. Raises PortUnavailable when somebody else has come in
        between."""
        if self._listening is None and not self.off:
            self._listening = self._relay.listen(self.bind, self.port, self._accepted, 1024)
        self.suspended = self.stuck = None

    async def suspend(self, reason: str) -> None:
        """Let no new visitor in until `resume`."""
        self.suspended, self.stuck = reason, None
        await self._stop()

    async def switch(self, off: bool) -> None:
        """An operator wants it off, or on again. Raises PortUnavailable when somebody else has come in between: then it
        is still off."""
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
        """Stop listening for good; the port is free for others when this returns."""
        await self._stop()
        self._ports.release(self.bind, self.port, self._owner)

    def began(self) -> None:
        """A session of its client has begun."""

    def settle(self) -> None:
        """Its client is gone, or is about to go: who waits for it may be served elsewhere."""

    async def _withdraw(self) -> None:
        """Let nobody new in."""
        await self._stop()

    async def _stop(self) -> None:
        listening, self._listening = self._listening, None
        if listening is not None:
            # The socket is closed a turn of the reactor later; until then nobody could listen there.
            await maybeDeferred(listening.stopListening)

    def _accepted(self, local: ILocal) -> None:
        if self.fronts is not None and self.fronts.networks:
            self.fronts.ask(local, self.name, self._arrived)
        else:
            self._on_visitor(self, local)

    def _arrived(self, local: ILocal) -> None:
        if self._listening is None:
            local.abort()  # it was closed while his header was awaited
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
    """A mapping without a port: only other clients reach it, through the server."""

    @property
    def where(self) -> str:
        """See PublicPort."""
        return Sentence("no port, for the clients {clients}", clients=', '.join(self.clients) or '(none)')

    def check(self, rights: Rights) -> None:
        """See PublicPort: without a port there is nothing to allow."""

    def check_wish(self, rights: Rights) -> None:
        """Likewise."""

    async def open(self, rights: Rights) -> None:
        """There is nothing to claim."""

    async def resume(self) -> None:
        """Other clients may come again."""
        self.suspended = self.stuck = None

    async def close(self) -> None:
        """There is nothing to close."""


@dataclass(slots=True, eq=False)
class PublicVisitor(Visitor):
    """A visitor of a public port, which may be its owner's no more when his turn comes."""

    port: PublicPort
    peer: Peer

    @property
    def shut_out(self) -> bool:
        """See Visitor."""
        return self.port.shut is not None

    def body(self) -> OpenBody:
        """See Visitor."""
        body = OpenBody(self.conn, self.local.address, self.mapping)
        if self.port.tells_destination:
            body.dst = self.local.destination() or None
        return body

    def opening(self, hashes: Hashes | None, n: int) -> bytes:
        """See Visitor. Most visitors are his like: the usual form is written without a body ahead of it."""
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
