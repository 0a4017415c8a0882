"""The relay of version 1: that of `relay` for visitors and targets, and legs that carry raw bytes. It knows no leg of
version 2."""

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
    """One per process and role; on any reactor and any system. Few have peers of version 1, and those who do are about
    to leave it, so that it has no faster sibling."""

    def adopt(self, transport: Any) -> Local:
        """Take over the connection of a leg, whose first frame is answered; nothing is read from it until it is
        joined."""
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
        """Join a visitor or target with a leg; see Joint. The caller calls `begin` on what is returned."""
        return Joint(near, far, end, self._reactor, self._watch, killed, ended)
