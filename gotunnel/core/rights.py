"""What one client may do on a server, as values that cannot change. Who has which rights is for the identities."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase

from gotunnel.address import MAX_PORT
from gotunnel.core.ports import PortSet, canonical_bind
from gotunnel.dialrules import DialRules
from gotunnel.errors import PortUnavailable, Sentence

__all__ = ["NO_RIGHTS", "Rights"]


@dataclass(frozen=True, slots=True)
class Rights:
    """What one client may do. Mappings, legs and visitors are the `limits` of its auth_ok.

    `allow_ports` are ports of TCP, `allow_udp_ports` those of UDP, which are others of the same numbers. `reserved` are
    the server's own ports. `binds` are the addresses it may listen on, None for any; `allow_dial` is what its forwards
    may reach, `allow_nodes` the nodes that it may announce, `allow_groups` the groups that it may publish in.
    """

    allow_ports: PortSet
    reserved: frozenset[int] = frozenset()
    max_mappings: int = 32
    max_legs: int = 2048
    max_visitors: int = 2000
    binds: frozenset[str] | None = None
    max_pending: int = 1024
    allow_dial: DialRules = field(default_factory=DialRules)
    allow_nodes: tuple[str, ...] = ()
    allow_groups: tuple[str, ...] = ()
    allow_udp_ports: PortSet = field(default_factory=PortSet)
    protocol: str = "tcp"
    """What `allow_ports` is about; see `of_udp`."""

    def __post_init__(self) -> None:
        if self.binds is not None:
            object.__setattr__(self, "binds", frozenset(canonical_bind(bind) for bind in self.binds))

    @property
    def of_udp(self) -> Rights:
        """These rights for who asks for ports of UDP: none of them is the server's own."""
        return replace(self, allow_ports=self.allow_udp_ports, reserved=frozenset(), protocol="udp")

    def check_port(self, bind: str, port: int) -> None:
        """Return if the client may listen on (bind, port). Raises PortUnavailable: bad_request for what is
        no address or port at all, reserved for the server's own ports, acl_denied for what its rights leave
        out."""
        if isinstance(port, bool) or not isinstance(port, int) or not 1 <= port <= MAX_PORT:
            raise PortUnavailable("bad_request", Sentence(
                "a remote port must lie between 1 and {max_port}", max_port=MAX_PORT
            ))
        try:
            address = canonical_bind(bind)
        except ValueError as error:
            raise PortUnavailable("bad_request", str(error)) from None
        if port in self.reserved:
            raise PortUnavailable("reserved", Sentence("port {port} is the server's own", port=port))
        if port not in self.allow_ports and self.protocol == "udp":
            raise PortUnavailable("acl_denied", Sentence(
                "port {port} of UDP is not allowed (allow_udp_ports); allowed: {allow_ports}",
                port=port, allow_ports=self.allow_ports,
            ))  # fmt: skip
        if port not in self.allow_ports:
            raise PortUnavailable("acl_denied", Sentence(
                "port {port} is not allowed; allowed: {allow_ports}", port=port, allow_ports=self.allow_ports
            ))
        if self.binds is not None and address not in self.binds:
            allowed = ", ".join(sorted(bind or "all addresses" for bind in self.binds)) or "none"
            where = address or "all addresses"
            raise PortUnavailable("acl_denied", Sentence(
                "listening on {where} is not allowed; allowed: {allowed}", where=where, allowed=allowed
            ))

    def check_group(self, name: str) -> None:
        """Return if the client may publish in this group. Raises PortUnavailable, code acl_denied."""
        if not any(fnmatchcase(name, pattern) for pattern in self.allow_groups):
            allowed = ", ".join(self.allow_groups) or "none"
            raise PortUnavailable("acl_denied", Sentence(
                "the group {name} is not allowed (allow_groups); allowed: {allowed}",
                name=name, allowed=allowed,
            ))

    def check_room(self, held: int) -> None:
        """Return if a client that holds `held` mappings may have one more. Raises PortUnavailable, code
        limit."""
        if held >= self.max_mappings:
            raise PortUnavailable("limit", Sentence(
                "this client may publish {max_mappings} mappings", max_mappings=self.max_mappings
            ))


NO_RIGHTS = Rights(PortSet(), max_mappings=0, max_legs=0, max_visitors=0, max_pending=0)
"""Those of a client that is not known, or not any more."""
