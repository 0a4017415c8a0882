"""Sets of port numbers, and the table of port holders. Binds nothing: the kernel still has the last word."""

from __future__ import annotations

import ipaddress
from collections.abc import Hashable, Iterable
from dataclasses import dataclass

from gotunnel.address import MAX_PORT, is_wildcard, parse_port
from gotunnel.errors import PortUnavailable, Sentence, printable

__all__ = ["PortSet", "PortTable", "Wish", "canonical_bind"]


@dataclass(frozen=True, slots=True)
class PortSet:
    """A set of ports, stored as sorted, disjoint, inclusive ranges."""

    ranges: tuple[tuple[int, int], ...] = ()

    @classmethod
    def parse(cls, items: Iterable[int | str]) -> PortSet:
        """Read ports (`10250`, `"10250"`) and inclusive ranges (`"1024-65535"`).

        Raises ValueError, one line, for anything else. Port 0 is never allowed.
        """
        merged: list[tuple[int, int]] = []
        for low, high in sorted(_range(item) for item in items):
            if merged and low <= merged[-1][1] + 1:
                merged[-1] = (merged[-1][0], max(high, merged[-1][1]))
            else:
                merged.append((low, high))
        return cls(tuple(merged))

    def __contains__(self, port: object) -> bool:
        return isinstance(port, int) and any(low <= port <= high for low, high in self.ranges)

    def __bool__(self) -> bool:
        return bool(self.ranges)

    def __str__(self) -> str:
        shown = (str(low) if low == high else f"{low}-{high}" for low, high in self.ranges)
        return ", ".join(shown) or "none"


@dataclass(frozen=True, slots=True)
class Wish:
    """A mapping that leaves the choice of its port to the server.

    `bind` is the address to listen on, `allowed` the ports it may have, free or not. For a group, `mapping` is its
    name and `client` its first member.
    """

    client: str
    mapping: str
    bind: str
    allowed: PortSet
    protocol: str = "tcp"
    """`"tcp"` or `"udp"`: each has its own ports."""


def _range(item: int | str) -> tuple[int, int]:
    if isinstance(item, str) and "-" in item.strip():
        first, _, last = item.partition("-")
        low, high = parse_port(first.strip()), parse_port(last.strip())
        if low > high:
            raise ValueError(Sentence(
                "{item!r} is a range whose end lies before its start", item=printable(item, 40)
            ))
        return low, high
    port = parse_port(item.strip() if isinstance(item, str) else item)
    return port, port


def canonical_bind(bind: str) -> str:
    """Return the canonical form of an address to listen on: an IP literal, or "" for every address.

    `localhost` becomes 127.0.0.1, and an IPv4-mapped address becomes IPv4. Raises ValueError for other names: resolving
    what a peer wrote would give it access to our resolver, and block the process meanwhile.
    """
    if bind == "":
        return bind
    if bind.lower() == "localhost":
        return "127.0.0.1"
    try:
        # The part after a % names an interface, and ipaddress accepts any text there.
        if not bind.isascii() or not bind.isprintable():
            raise ValueError
        address = ipaddress.ip_address(bind)
    except ValueError:
        raise ValueError(Sentence(
            "{bind!r} is not an IP address to listen on", bind=printable(bind, 60)
        )) from None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)


class PortTable:
    """Which owner holds which (bind, port). Claims never overlap, not even those of one owner.

    A wildcard overlaps with every address of its family. `::` and "" also overlap with IPv4, because by default the
    kernel opens one socket for both families.
    """

    def __init__(self) -> None:
        self._ports: dict[int, dict[str, Hashable]] = {}

    def claim(self, bind: str, port: int, owner: Hashable) -> None:
        """Reserve a port. Repeating a claim has no effect; a successor does so at takeover.

        Raises PortUnavailable: `bad_request`, or `port_in_use` if an overlapping claim exists. The reason does not name
        its holder, because it is sent to another peer; use `owner_of` for that.
        """
        key = _checked(bind, port)
        holders = self._ports.get(port, {})
        for other, holder in holders.items():
            if other == key and holder == owner:
                return
            if _overlap(other, key):
                raise PortUnavailable("port_in_use", Sentence(
                    "another mapping holds port {port} on {other}", port=port, other=other or '*'
                ))
        self._ports.setdefault(port, {})[key] = owner

    def release(self, bind: str, port: int, owner: Hashable) -> bool:
        """Give up a claim; return whether this owner had it. Another owner's claim is left alone."""
        key = _checked(bind, port)
        holders = self._ports.get(port, {})
        if key not in holders or holders[key] != owner:
            return False
        del holders[key]
        if not holders:
            del self._ports[port]
        return True

    def owner_of(self, bind: str, port: int) -> Hashable | None:
        """Return the owner that blocks a claim: that of exactly this port, otherwise of an overlapping one, or None."""
        key = _checked(bind, port)
        holders = self._ports.get(port, {})
        if key in holders:
            return holders[key]
        return next((holder for other, holder in holders.items() if _overlap(other, key)), None)


def _checked(bind: str, port: int) -> str:
    if isinstance(port, bool) or not 1 <= port <= MAX_PORT:
        raise PortUnavailable("bad_request", Sentence(
            "port {port} is not between 1 and {max_port}", port=port, max_port=MAX_PORT
        ))
    try:
        return canonical_bind(bind)
    except ValueError as error:
        raise PortUnavailable("bad_request", str(error)) from None


def _overlap(one: str, other: str) -> bool:
    if one == other or "" in (one, other) or "::" in (one, other):
        return True
    return (":" in one) == (":" in other) and (is_wildcard(one) or is_wildcard(other))
