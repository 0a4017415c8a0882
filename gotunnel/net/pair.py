"""Joins two connections within this process, for a stream that arrives on one leg and leaves on another: what is
written to one is read from the other, and a reset of one resets the other. (POSIX only: a pair of unix sockets.)"""

from __future__ import annotations

import socket

from gotunnel.errors import DialFailed, Sentence
from gotunnel.interfaces import ILocal, IRelay

__all__ = ["pair"]


def pair(relay: IRelay, address: str, host: str) -> tuple[ILocal, ILocal]:
    """Return both ends; `address` and `host` are the visitor's. Raises DialFailed (no_fds), also if only the reserve of
    descriptors is left; nothing stays open then."""
    if not relay.gate.has_room():
        relay.gate.say()
        raise DialFailed("no_fds", "out of file descriptors")
    ends: list[ILocal] = []
    try:
        near, far = socket.socketpair()
        near.setblocking(False)
        far.setblocking(False)
        try:
            ends.append(relay.take(near, address, host))
        except OSError:
            far.close()
            raise
        ends.append(relay.take(far, address, host))
    except (OSError, AttributeError) as failed:
        for end in ends:
            end.abort()
        raise DialFailed("no_fds", Sentence("no pair of sockets: {failed}", failed=failed)) from None
    one, other = ends
    # Unix sockets do not pass on a reset: the other end would see an orderly end of stream.
    one.partner, other.partner = other, one
    return one, other
