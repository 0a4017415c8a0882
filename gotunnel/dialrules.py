"""What a client may reach through the server: rules as operators write them, and whether they allow an address. Text
and arithmetic only; resolves nothing."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase

from gotunnel.address import HostPort, UnixPath, parse_address, parse_port, plain_address

__all__ = ["MAPPING", "NODES", "DialRules", "MappingTarget", "parse_rule", "parse_target", "unmapped"]

MAPPING = "mapping:"
"""The prefix of a rule or a target that means another client's mapping."""

NODES = "nodes:"
"""The prefix of a rule that means every node that a client announces."""

_ALL = range(1, 65536)
_CLIENT = re.compile(r"[A-Za-z0-9._-]{1,64}")
_CLIENT_PATTERN = re.compile(r"[A-Za-z0-9._*-]{1,64}")
_NAME = re.compile(r"[\x20-\x7e]{1,128}")
_HOST_PATTERN = re.compile(r"(\*\.)?[A-Za-z0-9]([A-Za-z0-9._-]{0,250}[A-Za-z0-9])?")

_Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_Ip = ipaddress.IPv4Address | ipaddress.IPv6Address

_LOCALHOST: tuple[_Network, ...] = (ipaddress.IPv4Network("127.0.0.1/32"), ipaddress.IPv6Network("::1/128"))


@dataclass(frozen=True, slots=True)
class MappingTarget:
    """A mapping of another client, by both names; without a client, by the name that several clients share."""

    client: str | None
    mapping: str

    def __str__(self) -> str:
        return f"{MAPPING}{self.mapping}" if self.client is None else f"{MAPPING}{self.client}/{self.mapping}"


@dataclass(frozen=True, slots=True)
class _NetworkRule:
    network: _Network
    ports: range


@dataclass(frozen=True, slots=True)
class _NameRule:
    name: str  # in lower case, perhaps with a leading "*."
    ports: range


@dataclass(frozen=True, slots=True)
class _PathRule:
    path: str


@dataclass(frozen=True, slots=True)
class _MappingRule:
    client: str  # a pattern
    mapping: str  # a pattern


@dataclass(frozen=True, slots=True)
class _NodeRule:
    ports: range


_Rule = _NetworkRule | _NameRule | _PathRule | _MappingRule | _NodeRule


def parse_rule(text: str) -> tuple[_Rule, ...]:
    """Read one rule:

    - `host:ports`, where host is an IP address, a network, a name or `*.name`, and ports a number, a range or `*`;
    - `unix:/path`;
    - `mapping:CLIENT/NAME`, with `*` in either;
    - `nodes:ports`.

    Raises ValueError with one line.
    """
    if text.startswith(MAPPING):
        client, slash, mapping = text.removeprefix(MAPPING).partition("/")
        if not slash or not _CLIENT_PATTERN.fullmatch(client) or not _NAME.fullmatch(mapping):
            raise ValueError(f"{text!r} does not name a client and its mapping")
        return (_MappingRule(client, mapping),)
    if text.startswith(NODES):
        return (_NodeRule(_ports(text.removeprefix(NODES))),)
    if text.startswith("unix:"):
        address = parse_address(text)
        assert isinstance(address, UnixPath)
        return (_PathRule(address.path),)
    host, colon, port_text = text.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    if not colon or not host or (":" in host) != bracketed:
        raise ValueError(f"{text!r} names no ports; an IPv6 one is written [fd00::/8]:443")
    ports = _ports(port_text)
    network = _network(host[1:-1] if bracketed else host)
    if network is not None:
        return (_NetworkRule(network, ports),)
    name = host.lower()
    if not _HOST_PATTERN.fullmatch(name) or name.replace(".", "").isdigit():
        raise ValueError(f"{host!r} is not an IP address, a network or a host name")
    if name == "localhost":
        return tuple(_NetworkRule(each, ports) for each in _LOCALHOST)
    return (_NameRule(name, ports),)


def parse_target(text: str) -> HostPort | UnixPath | MappingTarget:
    """Read what a forward dials: `host:port`, `unix:/path`, `mapping:CLIENT/NAME` or `mapping:NAME`. Raises
    ValueError."""
    if not text.startswith(MAPPING):
        return parse_address(text)
    client, slash, mapping = text.removeprefix(MAPPING).partition("/")
    if not slash and _NAME.fullmatch(client):
        return MappingTarget(None, client)
    if not _CLIENT.fullmatch(client) or not _NAME.fullmatch(mapping):
        raise ValueError(f"{text!r} does not name a client and its mapping, like mapping:controller/apiserver")
    return MappingTarget(client, mapping)


class DialRules:
    """All rules of one client. Without rules it may reach nothing.

    A name is judged twice: before it is resolved, and then for each address that it resolves to. A rule for a name
    covers neither an address that no name of another machine should have (loopback, link-local, unspecified, multicast,
    reserved), nor one of the server's own. Otherwise whoever runs that name's DNS could reach services on the server
    itself, behind its firewall. Only a rule for that address or network covers it.
    """

    def __init__(self, rules: Iterable[_Rule] = (), texts: Iterable[str] = ()) -> None:
        self._rules = tuple(rules)
        self.texts = tuple(texts)
        """The rules as they were written."""

    @classmethod
    def parse(cls, texts: Iterable[str]) -> DialRules:
        """Read rules. Raises ValueError with one line for the first invalid rule."""
        texts = tuple(texts)
        return cls((rule for text in texts for rule in parse_rule(text)), texts)

    def __bool__(self) -> bool:
        return bool(self._rules)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DialRules) and self._rules == other._rules

    def __hash__(self) -> int:
        return hash(self._rules)

    def may_resolve(self, name: str, port: int) -> bool:
        """Return whether an address of this name could be allowed at all."""
        return self._names(name, port) or any(isinstance(r, _NetworkRule) and port in r.ports for r in self._rules)

    def allows(self, ip: str, port: int, name: str | None = None, own: Callable[[str], bool] | None = None) -> bool:
        """Return whether this address may be dialled. `name` is the name that resolved to it; `own` says whether an
        address is one of the server's own. Raises ValueError for anything but an IP address."""
        address = _plain(ip)
        for rule in self._rules:
            if isinstance(rule, _NetworkRule) and port in rule.ports and address in rule.network:
                return True
        if name is None or _special(address) or not self._names(name, port):
            return False
        return own is None or not own(ip)

    def allows_path(self, path: str) -> bool:
        """Return whether this unix socket on the server may be dialled."""
        return any(isinstance(rule, _PathRule) and rule.path == path for rule in self._rules)

    def allows_mapping(self, client: str, mapping: str) -> bool:
        """Return whether this mapping of another client may be reached."""
        return any(
            isinstance(rule, _MappingRule) and _fits(client, rule.client) and _fits(mapping, rule.mapping)
            for rule in self._rules
        )

    def may_reach(self, mapping: str) -> bool:
        """Return whether a mapping of that name may be reached at all, at any client."""
        return any(isinstance(rule, _MappingRule) and _fits(mapping, rule.mapping) for rule in self._rules)

    def allows_node(self, port: int) -> bool:
        """Return whether this port of the nodes that clients announce may be reached."""
        return any(isinstance(rule, _NodeRule) and port in rule.ports for rule in self._rules)

    def _names(self, name: str, port: int) -> bool:
        name = name.lower().removesuffix(".")
        return any(
            isinstance(rule, _NameRule)
            and port in rule.ports
            and (name == rule.name or (rule.name.startswith("*.") and name.endswith(rule.name[1:])))
            for rule in self._rules
        )


def _fits(name: str, pattern: str) -> bool:
    """Return whether a name matches a pattern. Only `*` is special: a mapping's name may contain the other special
    characters of shells, and a rule for `web[1]` does not match `web1`."""
    return fnmatchcase(name, re.sub(r"([\[?])", r"[\1]", pattern))


def _ports(text: str) -> range:
    if text == "*":
        return _ALL
    low, dash, high = text.partition("-")
    first = parse_port(low)
    last = parse_port(high) if dash else first
    if last < first:
        raise ValueError(f"the range {text!r} ends before it begins")
    return range(first, last + 1)


def _network(text: str) -> _Network | None:
    try:
        return unmapped(ipaddress.ip_network(text))
    except ValueError as error:
        if "host bits" in str(error):
            raise ValueError(f"{text!r} is not a network: it has bits beyond its mask") from None
        return None


def unmapped(network: _Network) -> _Network:
    """Return a network; an IPv4-mapped IPv6 network is returned as IPv4."""
    mapped = network.network_address.ipv4_mapped if isinstance(network, ipaddress.IPv6Network) else None
    if mapped is None or network.prefixlen < 96:
        return network
    return ipaddress.IPv4Network((mapped, network.prefixlen - 96))


def _plain(ip: str) -> _Ip:
    """Return an address without its zone, and an IPv4-mapped IPv6 address as IPv4."""
    address = plain_address(ip)
    if address is None:
        raise ValueError(f"{ip!r} is not an IP address")
    return address


def _special(address: _Ip) -> bool:
    return (
        address.is_loopback or address.is_link_local or address.is_unspecified or address.is_multicast
        or address.is_reserved
    )  # fmt: skip
