"""The relay of protocol version 1: the portable relay for visitors and targets, with legs that carry raw bytes. It does
not handle legs of version 2."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gotunnel.core.stream import StreamEnd
from gotunnel.net.joint import Joint
from gotunnel.net.local import Local
from gotunnel.net.relay import PortableRelay
from gotunnel.net.transports import hand_over
from gotunnel.wire.legstate import End

__all__ = ["RawRelay"]


class RawRelay(PortableRelay):
    """One per process and role, on any reactor and system. Peers of version 1 are few and on their way out, so it has
    no faster counterpart."""

    def adopt(self, transport: Any) -> Local:
        """Take over the connection of a leg after its first exchange. Nothing is read from it until `join`."""
        leg = Local(self.remember, self.forget)
        hand_over(transport, leg, b"")
        return leg

    def join(
        self,
        near: Local,
        far: Local,
        end: End,
        killed: Callable[[], bool] | None,
        ended: Callable[[StreamEnd], None],
    ) -> Joint:
        """Join a visitor or target with a leg; see Joint. The caller must call `begin` on the result."""
        return Joint(near, far, end, self._reactor, self._watch, killed, ended)
