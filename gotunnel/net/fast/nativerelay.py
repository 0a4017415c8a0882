"""The fast relay with its inner part compiled. Importing this raises ImportError if the extension was not built."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from twisted.internet.defer import Deferred

from gotunnel.address import Address
from gotunnel.net.descriptors import Descriptors
from gotunnel.net.fast import _native
from gotunnel.net.fast.dial import Dial, literal
from gotunnel.net.fast.listener import Listener
from gotunnel.net.fast.local import FastLocal
from gotunnel.net.fast.nativeleg import NativeDeadlines, NativeLocal, NativePlainLeg, NativeTlsLeg
from gotunnel.net.fast.relay import FastRelay
from gotunnel.net.sockets import control_at

__all__ = ["NativeRelay"]


class NativeRelay(FastRelay):
    """See FastRelay. It runs on any reactor, but saves most on the PumpReactor."""

    name = "native"
    make_local = NativeLocal
    plain_leg = NativePlainLeg
    tls_leg = NativeTlsLeg

    def __init__(
        self, reactor: Any, dial_timeout: float = 10.0, descriptors: Descriptors | None = None
    ) -> None:
        super().__init__(reactor, dial_timeout, descriptors)
        self._tools.deadlines = NativeDeadlines(reactor)
        self._control = ""  # the congestion control for the place dialled last

    def _welcoming(self, on_visitor: Callable[[FastLocal], None]) -> Callable[[Listener, int], None]:
        """See FastRelay."""
        return partial(_native.welcome, self._gate, on_visitor, NativeLocal, self._tools, self._locals)

    def dial(self, target: Address, timeout: float) -> FastLocal | Deferred[FastLocal]:
        """See FastRelay."""
        place = self._place
        if place is None or place.target is not target:
            place = self._place = literal(target)
            self._control = control_at(place.host)
        if place.candidates and place.host:
            begun = _native.dial(
                place.host, place.candidates[0][1][1], place.text, NativeLocal, self._tools, self._locals,
                self._gate.ceiling, self._control,
            )  # fmt: skip
            if type(begun) is NativeLocal:
                return begun
            if type(begun) is tuple:
                return Dial(self._reactor, self._tools, place, self._made, *begun).start(timeout)
        return super().dial(target, timeout)
