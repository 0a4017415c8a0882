"""Port allocators: choose the port of a mapping that leaves it to the server."""

from __future__ import annotations

from gotunnel.config.portoptions import StickyOptions
from gotunnel.interfaces import IPortAllocator
from gotunnel.plugin import Plugin

__all__ = ["any_port", "sticky"]

any_port = Plugin(IPortAllocator, "any", "gotunnel.server.allocation.AnyPort", summary="any free port, at random")
sticky = Plugin(
    IPortAllocator,
    "sticky",
    "gotunnel.server.allocation.StickyPort",
    options=StickyOptions,
    summary="the same port for the same mapping of the same client, chosen by a hash of both names",
)
