"""Networks and addresses in a file, read in the same way everywhere. Nothing here knows their meaning."""

from __future__ import annotations

import ipaddress
from typing import Annotated, Any

from gotunnel.config.kinds import Kind, each, text_of, wrong
from gotunnel.config.scalars import shown
from gotunnel.dialrules import unmapped

__all__ = ["Networks"]


def _read_network(value: Any) -> str:
    cure = 'write an address or a network, like "10.0.0.0/8" or "2001:db8::/32"'
    text = text_of(value, "a network", cure)
    try:
        # An IPv4 address is known as such, however it arrived: a network of mapped addresses would match nothing.
        return str(unmapped(ipaddress.ip_network(text)))
    except ValueError:
        pass
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise wrong(f"{shown(value)} is not a network", cure) from None
    raise wrong(f"{shown(value)} has bits behind its prefix", f'write "{network}"')


def _read_networks(value: Any) -> tuple[str, ...]:
    return each(value, _read_network)


_TEXTS = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}

Networks = Annotated[
    tuple[str, ...], Kind("networks, like [10.0.0.0/8, 2001:db8::/32]", _read_networks, list, _TEXTS)
]
