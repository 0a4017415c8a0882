"""Legs, local connections and the loop of the fast relay with their frequent paths compiled. The Python classes come
next in the method resolution order: they handle the rare paths and remain the reference."""

from __future__ import annotations

from typing import Any

from gotunnel.interfaces import ILegOwner
from gotunnel.net.biotls import BioTls
from gotunnel.net.deadlines import Deadlines
from gotunnel.net.fast import _native
from gotunnel.net.fast.local import FastLocal
from gotunnel.net.fast.nativerules import learn
from gotunnel.net.fast.plainleg import BULK, PlainFastLeg
from gotunnel.net.fast.poller import Mishaps
from gotunnel.net.fast.tlsleg import TlsFastLeg
from gotunnel.net.fast.tools import Tools
from gotunnel.wire.legs import MAX_DATA_BYTES
from gotunnel.wire.legstate import End

__all__ = ["NativeDeadlines", "NativeLocal", "NativePlainLeg", "NativePump", "NativeTlsLeg"]

learn()


class NativePump(_native.Pump, Mishaps):
    """See poller.Pump."""

    tells_errors = True


class NativeLocal(_native.Local, FastLocal):
    """See FastLocal."""

    __slots__ = ()


class NativeDeadlines(_native.Deadlines, Deadlines):
    """See Deadlines. It uses the reactor's clock."""


class NativePlainLeg(_native.Leg, PlainFastLeg):
    """See PlainFastLeg. Transfers through a pipe stay in Python."""

    def __init__(self, tools: Tools, transport: Any, end: End, owner: ILegOwner, plain: bool) -> None:
        self.equip(tools, self.bulk_read, len(self._room(tools.buffers)), BULK)
        super().__init__(tools, transport, end, owner, plain)


class NativeTlsLeg(_native.Leg, TlsFastLeg):
    """See TlsFastLeg."""

    def __init__(self, tools: Tools, transport: BioTls, end: End, owner: ILegOwner, plain: bool) -> None:
        self.equip(tools, self.bulk_read, len(self._room(tools.buffers)), MAX_DATA_BYTES + 1)
        session: Any = transport.session
        # SSLObject only wraps the inner object's methods.
        self.seal_with(getattr(session, "_sslobj", session), transport.incoming, transport.outgoing)
        super().__init__(tools, transport, end, owner, plain)
