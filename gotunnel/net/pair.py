"""Two connections joined within this process, for a stream that comes in on one leg and goes out on another: what is
written to one is read from the other, and a reset of one resets the other. (Posix only: a pair of unix sockets.)"""

from __future__ import annotations

import socket

from gotunnel.errors import DialFailed
from gotunnel.interfaces import ILocal, IRelay

__all__ = ["pair"]


def pair(relay: IRelay, address: str, host: str) -> tuple[ILocal, ILocal]:
    """Return both ends; `address` and `host` are the visitor's. Raises DialFailed (no_fds, failed)."""
    try:
        near, far = socket.socketpair()
    except (OSError, AttributeError) as failed:
        raise DialFailed("no_fds", f"no pair of sockets: {failed}") from None
    near.setblocking(False)
    far.setblocking(False)
    one: ILocal = relay.take(near, address, host)
    other: ILocal = relay.take(far, address, host)
    # A reset does not travel through unix sockets: to the other end it would be an orderly end of stream.
    one.partner, other.partner = other, one
    return one, other
