"""Rules and targets of forwards: the first line is a rule, the second a target. They are read or refused with
ValueError, and what is judged never raises."""

from __future__ import annotations

import ipaddress

from gotunnel.address import HostPort, UnixPath
from gotunnel.dialrules import DialRules, parse_target

__all__ = ["attempt"]


def attempt(data: bytes) -> None:
    rule, _, wanted = data.decode("utf-8", "surrogateescape").partition("\n")
    try:
        rules, target = DialRules.parse([rule]), parse_target(wanted)
    except ValueError:
        return
    if isinstance(target, UnixPath):
        rules.allows_path(target.path)
    elif isinstance(target, HostPort):
        rules.may_resolve(target.host, target.port)
        assert not rules.allows("127.0.0.1", target.port, "example.org") or "127." in rule or "0.0.0.0/" in rule or (
            "localhost" in rule.lower() or ipaddress.ip_address("127.0.0.1") in _network(rule)
        ), "a name that leads to this machine"
    elif target.client is None:
        rules.may_reach(target.mapping)
    else:
        rules.allows_mapping(target.client, target.mapping)


def _network(rule: str) -> ipaddress.IPv4Network:
    try:
        found = ipaddress.ip_network(rule.rpartition(":")[0])
    except ValueError:
        found = None
    return found if isinstance(found, ipaddress.IPv4Network) else ipaddress.IPv4Network("192.0.2.0/32")
