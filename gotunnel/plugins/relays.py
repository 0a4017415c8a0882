"""Relays: how bytes move."""

from __future__ import annotations

from gotunnel.interfaces import IRelay
from gotunnel.plugin import Plugin

__all__ = ["fast", "native", "portable"]

portable = Plugin(
    IRelay, "portable", "gotunnel.net.choice.portable", summary="on Twisted's transports, with any reactor and system"
)
fast = Plugin(
    IRelay, "fast", "gotunnel.net.choice.fast", summary="on descriptors, with splice and a loop of its own, on Linux"
)
native = Plugin(
    IRelay, "native", "gotunnel.net.choice.native", summary="the fast one, in part compiled, where it was built"
)
