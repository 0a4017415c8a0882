"""Chooses the relay: the fast one where it can run, the portable one elsewhere, and says which and why."""

from __future__ import annotations

import os
import sys
from typing import Any

from gotunnel.config.plugged import RelayConfig
from gotunnel.errors import GotunnelError, Sentence
from gotunnel.interfaces import IRelay
from gotunnel.logs import Logger
from gotunnel.net.descriptors import Descriptors
from gotunnel.net.plugged import checked, made

__all__ = ["RelayUnfit", "check_relay", "choose_relay", "fast", "install_reactor", "portable"]

log = Logger(namespace="gotunnel.net.choice")


class RelayUnfit(GotunnelError):
    """The relay that the configuration names cannot run here."""


def choose_relay(
    wish: str | RelayConfig, reactor: Any, dial_timeout: float = 10.0, descriptors: Descriptors | None = None
) -> IRelay:
    """Return the relay for `wish`: auto, portable, fast or a plugin; `descriptors` are those of this process. Raises
    GotunnelError when what is wished cannot be."""
    if isinstance(wish, RelayConfig):
        chosen: IRelay = made("relay", wish, reactor, dial_timeout, descriptors)
        log.info("bytes are moved by the relay {relay}, a plugin", relay=wish.plugin)
        return chosen
    why = _obstacle()
    if wish == "portable" or (wish == "auto" and why is not None):
        reason = "as configured" if wish == "portable" else Sentence("the fast one {why}", why=why)
        log.info("bytes are moved by the portable relay: {why}", why=reason)
        return portable(reactor, None, dial_timeout, descriptors)
    return fast(reactor, None, dial_timeout, descriptors)


def portable(reactor: Any, options: object, dial_timeout: float, descriptors: Descriptors | None) -> IRelay:
    """Make the plugin of that name; see IRelay."""
    from gotunnel.net.relay import PortableRelay

    relay: IRelay = PortableRelay(reactor, dial_timeout, descriptors)
    return relay


def fast(reactor: Any, options: object, dial_timeout: float, descriptors: Descriptors | None) -> IRelay:
    """The same. Raises RelayUnfit."""
    check_relay("fast")
    from gotunnel.net.fast.relay import FastRelay

    relay = FastRelay(reactor, dial_timeout, descriptors)
    log.info(
        "bytes are moved by the fast relay{how}", how="" if relay.has_loop else " on the reactor's own descriptors"
    )
    found: IRelay = relay
    return found


def check_relay(wish: str | RelayConfig) -> None:
    """Raise what `choose_relay` would, where that can be told without making one. Raises GotunnelError."""
    if isinstance(wish, RelayConfig):
        checked("relay", wish)
        return
    why = _obstacle() if wish == "fast" else None
    if why is not None:
        raise RelayUnfit(Sentence("relay: fast cannot be had here: it {why}; write relay: auto", why=why))


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
