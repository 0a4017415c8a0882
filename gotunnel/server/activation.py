"""Assigns the sockets passed by systemd to the control port and to listeners. Opens none itself."""

from __future__ import annotations

import socket
from collections.abc import Sequence

from gotunnel.address import HostPort, is_wildcard
from gotunnel.errors import Sentence, printable
from gotunnel.logs import Logger
from gotunnel.net.systemd import CONTROL, ActivationError, Handed
from gotunnel.server.listeners import Listener

__all__ = ["shared_out"]

log = Logger()


def shared_out(handed: Sequence[Handed], addr: HostPort, listeners: Sequence[Listener]) -> socket.socket | None:
    """Give each listener the socket for its address, and return the control port's socket.

    The latter is named `control`, or is the only one that matches no listener. Returns None if the server must open it
    itself. Raises ActivationError for sockets that cannot be assigned.
    """
    controls = [each for each in handed if each.name == CONTROL]
    strays = [each for each in handed if each.name != CONTROL and not _taken(each, listeners)]
    if not controls and len(strays) == 1:
        controls, strays = strays, []
    if len(controls) > 1 or (strays and not controls):
        raise ActivationError(
            Sentence(
                "systemd passes {numbers} sockets, {chosen} of them named {control}: the one for the control port "
                "needs FileDescriptorName={control}",
                numbers=len(handed), chosen=len(controls) or "none", control=CONTROL,
            )
        )
    for each in strays:
        raise ActivationError(
            Sentence(
                "systemd passes a socket for {address} ({name}), but no listener of the configuration listens "
                "there: make its ListenStream= and a listen of server.listeners the same, or remove its .socket "
                "unit",
                address=each.address,
                name=printable(each.name),
            )
        )
    if not controls:
        return None
    if controls[0].address != addr:
        log.warn(
            "the control port comes from systemd: {taken}, and server.addr says {addr}: make them the same "
            "(mappings without an address of their own listen where server.addr says)",
            taken=str(controls[0].address), addr=str(addr),
        )  # fmt: skip
    return controls[0].socket


def _taken(handed: Handed, listeners: Sequence[Listener]) -> bool:
    """Give the socket to the listener with its address; return whether there is one."""
    for listener in listeners:
        if not listener.has_socket and _same(handed.address, listener.address):
            listener.take(handed)
            return True
    return False


def _same(one: HostPort, other: HostPort) -> bool:
    """Return whether listening on one address is the same as listening on the other.

    systemd's ListenStream=443 is [::]:443, all addresses of both families, and a listener's 443 is 0.0.0.0:443.
    """
    return one == other or (one.port == other.port and is_wildcard(one.host) and is_wildcard(other.host))
