"""Addresses, ports and sets of ports, as users and peers write them."""

from __future__ import annotations

from gotunnel.address import HostPort, parse_address, parse_host_port, parse_port
from gotunnel.core.ports import PortSet, canonical_bind

__all__ = ["attempt"]


def attempt(data: bytes) -> None:
    text = data.decode("utf-8", "surrogateescape")
    for parse in (parse_address, parse_host_port, canonical_bind, parse_port, lambda each: PortSet.parse([each])):
        try:
            found = parse(text)
        except ValueError:
            continue
        if isinstance(found, HostPort):
            assert str(found).isprintable() and parse_host_port(str(found), zero=True) == found, str(found)
