"""A local connection of the fast relay with attributes in Python slots; the compiled one keeps them in C
(`nativeleg`)."""

from __future__ import annotations

from socket import SocketType

from gotunnel.net.fast.local import FastLocal
from gotunnel.net.fast.tools import Tools
from gotunnel.net.quiet import nothing

__all__ = ["SlottedLocal"]


class SlottedLocal(FastLocal):
    """See FastLocal."""

    __slots__ = (
        "_came_to", "_gets_much", "_half_closing", "_last", "_looked_at", "_mask", "_others", "_out", "_poller",
        "_shut", "_tools", "address", "begins", "fd", "finishing", "gone", "host", "leg", "on_gone", "partner",
        "pipe", "read_ended", "reading", "sock", "why",
    )  # fmt: skip

    def __init__(
        self, sock: SocketType, address: str, host: str, tools: Tools, others: set[FastLocal]
    ) -> None:
        self.sock = sock
        self.fd = sock.fileno()
        self.address = address
        self.host = host
        self.on_gone = nothing
        self.partner = None
        self.why = None
        self.leg = None
        self.pipe = None
        self.read_ended = False
        self.reading = False
        self.begins = False
        self.finishing = False
        self.gone = False
        self._tools = tools
        self._poller = tools.poller
        self._others = others
        self._mask = None
        self._out = bytearray()
        self._half_closing = False
        self._gets_much = False
        self._came_to = ""
        self._looked_at = False
        self._last = None
        self._shut = False
