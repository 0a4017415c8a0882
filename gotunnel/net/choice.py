"""Chooses the relay and logs which and why. `auto` means the native one if it was built, else the fast one where it can
run, else the portable one."""

from __future__ import annotations

import os
import sys
from typing import Any

from gotunnel.config.plugged import RelayConfig
from gotunnel.errors import ConfigUnfit, Sentence
from gotunnel.interfaces import IRelay
from gotunnel.logs import Logger
from gotunnel.net.descriptors import Descriptors
from gotunnel.net.fast.compiled import lacking
from gotunnel.net.plugged import checked, made

__all__ = ["RelayUnfit", "check_relay", "choose_relay", "fast", "install_reactor", "native", "portable"]

log = Logger(namespace="gotunnel.net.choice")


class RelayUnfit(ConfigUnfit):
    """The configured relay cannot run here: `what` says why, `cure` what to do."""

    cure = "write relay: auto"

    def __init__(self, wish: str, why: str) -> None:
        self.what = Sentence("relay: {relay} cannot be had here: it {why}", relay=wish, why=why)
        super().__init__(Sentence("{what}; write relay: auto", what=self.what))


def choose_relay(
    wish: str | RelayConfig, reactor: Any, dial_timeout: float = 10.0, descriptors: Descriptors | None = None
) -> IRelay:
    """Return the relay for `wish`: auto, portable, fast, native or a plugin. `descriptors` are those of this process.
    Raises GotunnelError if that relay cannot run here."""
    if isinstance(wish, RelayConfig):
        chosen: IRelay = made("relay", wish, reactor, dial_timeout, descriptors)
        log.info("bytes are moved by the relay {relay}, a plugin", relay=wish.plugin)
        return chosen
    reason: str | Sentence = "as configured"
    if wish == "auto":
        wish, reason = _best()
    arguments = (reactor, None, dial_timeout, descriptors)
    if wish == "portable":
        log.info("bytes are moved by the portable relay: {why}", why=reason)
        return portable(*arguments)
    relay = native(*arguments) if wish == "native" else fast(*arguments)
    how = "" if _has_loop(reactor) else " on the reactor's own descriptors"
    if wish == "native":
        log.info("bytes are moved by the native (partly compiled) relay{how}: {why}", how=how, why=reason)
    else:
        log.info("bytes are moved by the fast relay{how}: {why}", how=how, why=reason)
    return relay


def portable(reactor: Any, options: object, dial_timeout: float, descriptors: Descriptors | None) -> IRelay:
    """Make the portable relay, as a plugin; see IRelay."""
    from gotunnel.net.relay import PortableRelay

    relay: IRelay = PortableRelay(reactor, dial_timeout, descriptors)
    return relay


def fast(reactor: Any, options: object, dial_timeout: float, descriptors: Descriptors | None) -> IRelay:
    """Make the fast relay, as a plugin. Raises RelayUnfit."""
    check_relay("fast")
    from gotunnel.net.fast.relay import FastRelay

    relay: IRelay = FastRelay(reactor, dial_timeout, descriptors)
    return relay


def native(reactor: Any, options: object, dial_timeout: float, descriptors: Descriptors | None) -> IRelay:
    """Make the native relay, as a plugin. Raises RelayUnfit."""
    check_relay("native")
    from gotunnel.net.fast.nativerelay import NativeRelay

    relay: IRelay = NativeRelay(reactor, dial_timeout, descriptors)
    return relay


def check_relay(wish: str | RelayConfig) -> None:
    """Raise the GotunnelError that `choose_relay` would raise, as far as can be told without making a relay."""
    if isinstance(wish, RelayConfig):
        checked("relay", wish)
        return
    why = _obstacle() if wish in ("fast", "native") else None
    if wish == "native":
        why = why or lacking()
    if why is not None:
        raise RelayUnfit(wish, why)


def install_reactor() -> None:
    """Install the fast relay's reactor where it can run, unless a reactor is installed. Call this before anything
    imports `twisted.internet.reactor`."""
    if _obstacle() is None:
        from gotunnel.net.fast.reactor import install_if_free

        install_if_free()


def _best() -> tuple[str, str | Sentence]:
    """Return what auto means here, and the reason why it is nothing better."""
    why = _obstacle()
    if why is not None:
        return "portable", Sentence("the fast one {why}", why=why)
    lacks = lacking()
    if lacks is not None:
        return "fast", Sentence("the native one {why}", why=lacks)
    return "native", "it was built, and relay: auto uses it then"


def _has_loop(reactor: Any) -> bool:
    from gotunnel.net.fast.reactor import PumpReactor

    return isinstance(reactor, PumpReactor)


def _obstacle() -> str | None:
    if not sys.platform.startswith("linux"):
        return "needs Linux"
    return None if hasattr(os, "splice") else "needs os.splice, which this Python lacks"
