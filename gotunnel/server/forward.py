"""The forward legs of one session at the server: the client's visitors, and the targets it may reach.

Each OPEN is checked against the client's rights at that moment.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, ClassVar

from gotunnel.address import HostPort, parse_address
from gotunnel.core.outcome import WORDS
from gotunnel.core.stream import StreamEnd
from gotunnel.dialrules import DialRules, MappingTarget
from gotunnel.errors import DialFailed, RemoteProtocolError, Sentence, printable
from gotunnel.interfaces import ILeg
from gotunnel.net.dialled import DialledStream, Route
from gotunnel.net.dialling import DiallingEnd
from gotunnel.net.greeting import SessionKey
from gotunnel.net.reach import NOT_ALLOWED, reach, still_allowed
from gotunnel.server.crossing import (
    cross_to_mapping,
    cross_to_node,
    node_peer,
    shared_mapping,
    sharing_peer,
    unknown_node,
)
from gotunnel.wire.fields import Purpose
from gotunnel.wire.legbodies import OpenBody

if TYPE_CHECKING:
    from collections.abc import Callable

    from gotunnel.server.hub import Hub
    from gotunnel.server.peer import Peer

__all__ = ["ForwardLegs"]

DIAL_TIMEOUT = 10.0
"""Seconds for a dial; the opener waits 5 s longer (protocol, section 5)."""


class ForwardLegs(DiallingEnd):
    """Part of a session. It outlives the control connection while streams run.

    `address` is where the client connected from, as we see it. What the client says about its own visitors only goes
    into our log; other clients do not receive it.
    """

    purpose: ClassVar[Purpose] = "forward"

    def __init__(
        self, hub: Hub, peer: Peer, key: SessionKey, changed: Callable[[], None], address: str
    ) -> None:
        super().__init__(hub.clock, key, changed, hub.usage)
        self._hub = hub
        self.peer = peer
        self._origin = address

    def route(self, leg: ILeg, opening: OpenBody) -> Route:
        """See DiallingEnd. The target is an address or another client's mapping, if this client may reach it, or this
        server itself, for a measurement."""
        if opening.measure is not None:
            if leg.plain:
                raise RemoteProtocolError("a measurement does not travel outside TLS")
            self._check_room()
            return Route("this server", partial(self._hub.measuring.dial, self.peer.name, opening.measure))
        (asked, route), access = self._route(leg, opening), self._hub.access
        if access is None:
            return route
        dial = partial(access.reach, self.peer.name, asked, opening.src, route.dial)
        return Route(route.target, dial, route.allowed, route.awaited)

    def _route(self, leg: ILeg, opening: OpenBody) -> tuple[str, Route]:
        """Return the target as the access policy is asked about it, and the route to it."""
        if opening.dial is not None:
            self._check_room()
            return opening.dial, self._address(opening.dial, opening)
        if opening.mapping is None:
            raise RemoteProtocolError("it names neither an address nor a mapping")
        if leg.plain:
            raise RemoteProtocolError("a mapping of another client is not opened outside TLS")
        self._check_room()
        mapping = opening.mapping
        client = self._sharing(opening.client, mapping).name
        return str(MappingTarget(client, mapping)), Route(
            Sentence(
                "client {peer}", peer=client
            ), lambda: cross_to_mapping(self._hub, self.peer, client, opening, self._origin),
            lambda _: self._rules.allows_mapping(client, mapping),
        )  # fmt: skip

    def reset_denied(self) -> None:
        """Reset the visitors whose target this client may no longer reach."""
        for stream in self.cut_denied(NOT_ALLOWED):
            self.log.warn(
                "visitor {visitor} of client {client} was disconnected: {mapping} is not allowed any more ({conn})",
                visitor=stream.source, client=self.peer.name, mapping=stream.name, conn=stream.conn,
            )  # fmt: skip

    def began(self, stream: DialledStream) -> None:
        """See DiallingEnd."""
        self.peer.visitors += 1
        stream.account = self._hub.forwarded(self, stream.name)
        if self.usage.observers is not None:
            self.usage.observers.opened(stream, stream.conn, self.peer.name, stream.name, stream.source)

    def ended(self, stream: DialledStream, end: StreamEnd) -> None:
        """See DiallingEnd."""
        self.peer.visitors -= 1
        assert stream.account is not None
        self._hub.forward_ended(self, stream.account, end)
        if self.usage.observers is not None:
            self.usage.observers.closed(stream, end.outcome, end)
        if stream.refused:
            return  # already in the rate-limited warning; a line for each would let a client fill our log
        now = self._clock.seconds()
        if self.usage.crowds.has_line(now, stream.name, end.outcome, end, self.peer.name):
            self.log.info(
                "visitor {visitor} of client {client} for {mapping} ended: {outcome}{code}, {up} bytes up, {down} "
                "down, {seconds:.3f} s ({conn})",
                visitor=stream.source, client=self.peer.name, mapping=stream.name, outcome=WORDS[end.outcome],
                code=end.bracketed, up=end.up, down=end.down,
                seconds=now - stream.started, conn=stream.conn,
            )  # fmt: skip

    def _did_not_reach(self, stream: DialledStream, reason: str) -> None:
        self.warn(
            "refused" if stream.refused else stream.name,
            "visitor {visitor} of client {client} did not reach {mapping}: {reason} ({conn})",
            visitor=stream.source, client=self.peer.name, mapping=stream.name, reason=reason, conn=stream.conn,
        )  # fmt: skip

    def _check_room(self) -> None:
        limit, most = "", self.peer.rights.max_visitors
        if self.peer.visitors >= most:
            limit = Sentence("limits.visitors, {max_visitors} for this client", max_visitors=most)
        elif self._hub.live >= self._hub.most_visitors:
            limit = Sentence("server.limits.streams, {most_visitors} in all", most_visitors=self._hub.most_visitors)
        if limit:
            raise DialFailed("limit", Sentence("it is one more than {limit}", limit=limit))

    @property
    def _rules(self) -> DialRules:
        return self.peer.rights.allow_dial

    def _sharing(self, client: str | None, mapping: str) -> Peer:
        rules = self._rules
        if rules.may_reach(mapping) if client is None else rules.allows_mapping(client, mapping):
            if client is not None:
                return shared_mapping(self._hub, self.peer.name, client, mapping)
            return sharing_peer(self._hub, self.peer.name, mapping, lambda name: rules.allows_mapping(name, mapping))
        name = printable(f"{MappingTarget(client, mapping)}", 200)
        raise DialFailed(NOT_ALLOWED, Sentence(
            "{name} is not allowed (allow_dial of this client on the server)", name=name
        ))

    def _address(self, dial: str, opening: OpenBody) -> Route:
        try:
            target = parse_address(dial)
        except ValueError:
            raise DialFailed("bad_request", Sentence(
                "{dial} is not an address", dial=printable(dial, 200)
            )) from None
        if isinstance(target, HostPort) and self._rules.allows_node(target.port):
            peer = node_peer(self._hub, target)
            if peer is not None:
                return Route(
                    Sentence(
                        "client {peer}", peer=peer.name
                    ), lambda: cross_to_node(self._hub, target, opening, self._origin),
                    lambda _: self._rules.allows_node(target.port),
                )  # fmt: skip
            if not still_allowed(self._rules, target, ""):
                raise unknown_node(target)
        hub, resolve = self._hub, partial(self._hub.lookups.resolve, self.peer.name)
        return Route(
            str(target),
            lambda: reach(hub.clock, hub.relay, lambda: self._rules, target, DIAL_TIMEOUT, resolve),
            lambda reached: still_allowed(self._rules, target, reached),
        )  # fmt: skip
