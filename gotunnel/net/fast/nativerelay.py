"""The fast relay with its inner part compiled. To import it raises ImportError where the extension was not built."""

from __future__ import annotations

from socket import SocketType
from typing import Any

from twisted.internet.defer import Deferred

from gotunnel.net.descriptors import Descriptors
from gotunnel.net.fast import _native
from gotunnel.net.fast.dial import Dial, Place
from gotunnel.net.fast.local import FastLocal
from gotunnel.net.fast.nativeleg import NativeDeadlines, NativeLocal, NativePlainLeg, NativeTlsLeg
from gotunnel.net.fast.relay import FastRelay
from gotunnel.net.sockets import control_at

__all__ = ["NativeRelay"]


class NativeRelay(FastRelay):
    """See FastRelay. It runs on any reactor; what it saves, it saves where the loop is its own too."""

    name = "native"
    make_local = NativeLocal
    plain_leg = NativePlainLeg
    tls_leg = NativeTlsLeg

    def __init__(
        self, reactor: Any, dial_timeout: float = 10.0, descriptors: Descriptors | None = None
    ) -> None:
        super().__init__(reactor, dial_timeout, descriptors)
        self._tools.deadlines = NativeDeadlines(reactor)

    def _accept(self, listening: SocketType, family: int) -> FastLocal:
        return _native.accept(listening.fileno(), NativeLocal, self._tools, self._locals)

    def _dial_place(self, place: Place, timeout: float) -> FastLocal | Deferred[FastLocal]:
        address = place.candidates[0][1]
        if type(address) is tuple:
            begun = _native.dial(
                address[0], address[1], place.text, NativeLocal, self._tools, self._locals, self._gate.ceiling,
                control_at(address[0]),
            )  # fmt: skip
            if isinstance(begun, NativeLocal):
                return begun
            if begun is not None:
                sock, error = begun
                return Dial(self._reactor, self._tools, place, self._made, sock, error).start(timeout)
        return super()._dial_place(place, timeout)
