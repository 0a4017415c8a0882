"""Chooses the relay: the fast one where it can run, the portable one elsewhere, and says which and why."""

from __future__ import annotations

import os
import sys
from typing import Any

from gotunnel.errors import GotunnelError
from gotunnel.interfaces import IRelay
from gotunnel.logs import Logger
from gotunnel.net.descriptors import Descriptors

__all__ = ["RelayUnfit", "choose_relay", "install_reactor"]

log = Logger(namespace="gotunnel.net.choice")


class RelayUnfit(GotunnelError):
    """The relay that the configuration names cannot run here."""


def choose_relay(
    wish: str, reactor: Any, dial_timeout: float = 10.0, descriptors: Descriptors | None = None
) -> IRelay:
    """Return the relay for `wish`: auto, portable or fast; `descriptors` are those of this process. Raises
    GotunnelError when fast is wished and cannot be."""
    why = _obstacle()
    if wish == "portable" or (wish == "auto" and why is not None):
        from gotunnel.net.relay import PortableRelay

        reason = "as configured" if wish == "portable" else f"the fast one {why}"
        log.info("bytes are moved by the portable relay: {why}", why=reason)
        portable: IRelay = PortableRelay(reactor, dial_timeout, descriptors)
        return portable
    if why is not None:
        raise RelayUnfit(f"relay: fast cannot be had here: it {why}; write relay: auto")
    from gotunnel.net.fast.relay import FastRelay

    fast = FastRelay(reactor, dial_timeout, descriptors)
    log.info("bytes are moved by the fast relay{how}", how="" if fast.has_loop else " on the reactor's own descriptors")
    chosen: IRelay = fast
    return chosen


def install_reactor() -> None:
    """Install the fast relay's reactor where it can run, unless there is a reactor already: to be called before
    anything imports `twisted.internet.reactor`."""
    if _obstacle() is None:
        from gotunnel.net.fast.reactor import install_if_free

        install_if_free()


def _obstacle() -> str | None:
    if not sys.platform.startswith("linux"):
        return "needs Linux"
    return None if hasattr(os, "splice") else "needs os.splice, which this Python lacks"
