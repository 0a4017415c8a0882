"""Helpers of the kinds of values: read a text, a port or an address, or refuse it."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from typing import Any

from gotunnel.address import HostPort, parse_host_port, parse_port
from gotunnel.config.kinds import sort, text_of, wrong
from gotunnel.config.scalars import Text, bare, shown

__all__ = ["bindable", "is_number", "listen_address", "parsed", "read_port"]


def parsed(value: Any, noun: str, cure: str, parse: Callable[[str], Any]) -> Any:
    """Return the result of `parse` on a text; its ValueError says what is wrong. Raises the error of `wrong`."""
    text = text_of(value, noun, cure)
    try:
        return parse(text)
    except ValueError as error:
        # The value of a variable may be a secret in the wrong place, and the reason may quote it.
        hidden = isinstance(value, Text) and value.written
        reason = f"{shown(value)} is not {noun}"
        raise wrong(reason if hidden else f"{reason}: {error}", cure) from None


def read_port(value: Any, *, zero: bool = False) -> int:
    """Return a port; `zero` allows 0. Raises the error of `wrong`."""
    cure = f"write a number from {0 if zero else 1} to 65535"
    if isinstance(value, Text) and value.meaning:
        raise wrong(f"{bare(value)} is not a port number (YAML can read it as {value.meaning})", cure)
    try:
        return parse_port(value.strip() if isinstance(value, str) else value, zero=zero)
    except ValueError:
        raise wrong(f"{sort(value)} is not a port number", cure) from None


def is_number(value: Any) -> bool:
    """Return whether a value is a number, or a text of digits."""
    return isinstance(value, int) or (isinstance(value, str) and value.strip().lstrip("+-").isdecimal())


def bindable(address: HostPort, cure: str) -> HostPort:
    """Return the address if its host is an IP address. Raises the error of `wrong` otherwise."""
    try:
        ipaddress.ip_address(address.host.partition("%")[0])
    except ValueError:
        raise wrong("names a host, and only an IP address can be bound", cure) from None
    return address


def listen_address(value: Any, cure: str, host: str, *, port: int | None = None, zero: bool = False) -> HostPort:
    """Return an address to listen on. A port alone means `host`; an address without a port gets `port`, if given.
    Raises the error of `wrong`."""
    if isinstance(value, HostPort):
        return value
    if is_number(value):
        return HostPort(host, read_port(value, zero=zero))

    def parse(text: str) -> HostPort:
        return parse_host_port(text, default_host=host, default_port=port, zero=zero)

    return bindable(parsed(value, "an address", cure, parse), cure)
