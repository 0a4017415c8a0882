"""The reverse legs of one client session: made when the server needs them, and joined to the target that this client's
own configuration names for a mapping. A hostile server cannot make it dial anything else."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from gotunnel.address import InProcess
from gotunnel.client.bringing import Bringing
from gotunnel.client.nodes import OwnNodes
from gotunnel.client.published import Published
from gotunnel.config.model import MappingConfig
from gotunnel.core.accounts import OTHERS
from gotunnel.core.outcome import WORDS
from gotunnel.core.stream import StreamEnd
from gotunnel.core.usage import Usage
from gotunnel.core.view import SWITCHED_OFF
from gotunnel.errors import DialFailed, RemoteProtocolError, printable
from gotunnel.interfaces import ILeg, IRelay
from gotunnel.net.dialled import DialledStream, Route
from gotunnel.net.dialling import DiallingEnd
from gotunnel.net.greeting import SessionKey
from gotunnel.wire.fields import Purpose
from gotunnel.wire.legbodies import OpenBody
from gotunnel.wire.legstate import End
from gotunnel.wire.messages import LegsFailed
from gotunnel.wire.proxyheader import encode_proxy_header

if TYPE_CHECKING:
    from gotunnel.client.datagrams import Datagrams

__all__ = ["ClientLegs"]


class ClientLegs(DiallingEnd):
    """Owned by a session; outlives it while streams run. `failed` tells the server about legs that cannot be
    brought."""

    purpose: ClassVar[Purpose] = "reverse"
    end = End.DIALLER

    def __init__(
        self,
        clock: Any,
        relay: IRelay,
        bringing: Bringing,
        key: SessionKey,
        published: Published,
        nodes: OwnNodes,
        dial_timeout: float,
        failed: Callable[[LegsFailed], None],
        changed: Callable[[], None],
        usage: Usage,
    ) -> None:
        super().__init__(clock, key, changed, usage)
        self._relay = relay
        self._bringing = bringing
        self._published = published
        self._nodes = nodes
        self._dial_timeout = dial_timeout
        self._failed = failed
        self._routes: dict[str, tuple[MappingConfig, Route]] = {}
        self._datagrams: Datagrams | None = None

    def dial_within(self, seconds: float) -> None:
        """Set the seconds that targets have to accept, from the next dial on."""
        self._dial_timeout = seconds
        self._routes.clear()

    def bring(self, plain: bool, count: int) -> None:
        """Bring more legs, as the server requested."""
        self._bringing.bring(self, plain, count)

    # Receiver.

    def leg_arrived(self, leg: ILeg) -> None:
        """Add a leg that was made."""
        self.add(leg)

    def leg_failed(self, plain: bool, count: int, reason: str) -> None:
        """Tell the server that `count` legs will not be made."""
        self._failed(LegsFailed(plain, count, reason))

    # DiallingEnd.

    def route(self, leg: ILeg, opening: OpenBody) -> Route:
        """See DiallingEnd. Returns the target that our own configuration names for the mapping."""
        if opening.dial is not None and self._nodes.announced and not leg.plain:
            node = self._nodes.target(opening.dial)
            return Route(str(node), partial(self._relay.dial, node, self._dial_timeout))
        if opening.mapping is None or opening.client is not None:
            raise RemoteProtocolError("it names no mapping of this client")
        mapping = self._published.get(opening.mapping)
        if leg.plain and (mapping is None or mapping.encrypt):
            raise RemoteProtocolError("the mapping is not to travel outside TLS")
        if mapping is None:
            name = printable(opening.mapping)
            self.warn("unknown", "the server opens {mapping}, which this client does not have", mapping=name)
            raise DialFailed("unknown_mapping", "")
        if opening.mapping in self._published.off:
            raise DialFailed("refused", SWITCHED_OFF)  # the server sent the OPEN before it learned of this
        known = self._routes.get(opening.mapping)
        if known is not None and known[0] is mapping:
            return known[1]
        awaited = mapping.group is not None or mapping.protocol == "udp"
        header = b""
        if mapping.proxy_protocol != "off":
            header = encode_proxy_header(mapping.proxy_protocol, opening.src, opening.dst, opening.conn)
        if header or isinstance(mapping.local, InProcess):  # the route differs for each visitor
            way = self._way(mapping, opening)
            return Route(str(mapping.local), way, awaited=awaited, header=header)
        route = Route(str(mapping.local), self._way(mapping, opening), awaited=awaited)
        self._routes[opening.mapping] = mapping, route
        return route

    def _way(self, mapping: MappingConfig, opening: OpenBody) -> partial[Any]:
        """Return the function that dials the target of a mapping."""
        if mapping.protocol == "tcp":
            if isinstance(mapping.local, InProcess):
                return partial(mapping.local.arrive, opening.src)
            return partial(self._relay.dial, mapping.local, self._dial_timeout)
        if self._datagrams is None:
            from gotunnel.client.datagrams import Datagrams  # imported late: few clients use datagrams

            self._datagrams = Datagrams(self._clock, self._relay, self._published, self.usage.dropped)
        return partial(self._datagrams.dial, mapping, opening.src, self._dial_timeout)

    def began(self, stream: DialledStream) -> None:
        """See DiallingEnd."""
        # A hostile server may send names that this client does not have; a name that was dialled is its own.
        name = stream.mapping
        unknown = stream.refused and name is not None and self._published.get(name) is None
        stream.account = self.usage.began("", OTHERS if unknown else stream.name)
        if self.usage.observers is not None:
            self.usage.observers.opened(stream, stream.conn, "", stream.name, stream.source)

    def ended(self, stream: DialledStream, end: StreamEnd) -> None:
        """See DiallingEnd."""
        assert stream.account is not None
        status = self._published.statuses.get(stream.name)
        self.usage.ended(stream.account, end.outcome, end, None if status is None else status.carried)
        if self.usage.observers is not None:
            self.usage.observers.closed(stream, end.outcome, end)
        if stream.refused:
            return  # a rate-limited warning was logged; a line for each would let a server fill our log
        now = self._clock.seconds()
        if self.usage.crowds.has_line(now, stream.name, end.outcome, end):
            self.log.info(
                "visitor {visitor} of {mapping} ended: {outcome}{code}, {up} bytes up, {down} down, {seconds:.3f} s "
                "({conn})",
                visitor=stream.source, mapping=stream.name, outcome=WORDS[end.outcome],
                code=end.bracketed, up=end.up, down=end.down,
                seconds=now - stream.started, conn=stream.conn,
            )  # fmt: skip

    def leg_lost(self, leg: ILeg, reason: str) -> None:
        """See ILegOwner."""
        self._bringing.lost()
        super().leg_lost(leg, reason)
