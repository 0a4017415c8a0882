"""What one client may do on a server, as immutable values. Which client has which rights is up to the identities."""

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
    """What one client may do. Limits on mappings, legs and visitors are sent as the `limits` of its auth_ok.

    - `allow_ports`, `allow_udp_ports`: the TCP and UDP ports it may publish. The two number spaces are separate.
    - `reserved`: the server's own ports.
    - `binds`: the addresses it may listen on; None for any.
    - `allow_dial`: what its forwards may reach.
    - `allow_nodes`: the nodes it may announce.
    - `allow_groups`: the groups in which it may publish.
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
    """The protocol to which `allow_ports` applies; see `of_udp`."""

    def __post_init__(self) -> None:
        if self.binds is not None:
            object.__setattr__(self, "binds", frozenset(canonical_bind(bind) for bind in self.binds))

    @property
    def of_udp(self) -> Rights:
        """The same rights for UDP ports, none of which is reserved for the server."""
        return replace(self, allow_ports=self.allow_udp_ports, reserved=frozenset(), protocol="udp")

    def check_port(self, bind: str, port: int) -> None:
        """Check that the client may listen on (bind, port).

        Raises PortUnavailable: bad_request for an invalid address or port, reserved for the server's own ports,
        acl_denied for anything its rights do not include.
        """
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
        """Check that the client may publish in this group. Raises PortUnavailable (acl_denied) if not."""
        if not any(fnmatchcase(name, pattern) for pattern in self.allow_groups):
            allowed = ", ".join(self.allow_groups) or "none"
            raise PortUnavailable("acl_denied", Sentence(
                "the group {name} is not allowed (allow_groups); allowed: {allowed}",
                name=name, allowed=allowed,
            ))

    def check_room(self, held: int) -> None:
        """Check that a client with `held` mappings may have one more. Raises PortUnavailable (limit) if not."""
        if held >= self.max_mappings:
            raise PortUnavailable("limit", Sentence(
                "this client may publish {max_mappings} mappings", max_mappings=self.max_mappings
            ))


NO_RIGHTS = Rights(PortSet(), max_mappings=0, max_legs=0, max_visitors=0, max_pending=0)
"""The rights of a client that is not, or no longer, known."""
