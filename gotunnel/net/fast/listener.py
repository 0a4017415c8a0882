"""The listening socket of one public port, for the fast relay. Accepted connections have all socket options already:
Linux copies them from the listening socket."""

from __future__ import annotations

import socket
from collections.abc import Callable
from functools import partial
from socket import SocketType
from time import monotonic
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IListeningPort
from zope.interface import implementer

from gotunnel.net.descriptors import OUT_OF_DESCRIPTORS, Gate
from gotunnel.net.fast.local import FastLocal
from gotunnel.net.fast.poller import IN, Poller
from gotunnel.net.listening import listen_failure
from gotunnel.net.sockets import linger_reset, set_keepalive, set_nodelay, spare_pacing_at

__all__ = ["Listener", "welcome"]

ACCEPTS_AT_ONCE = 64
"""Visitors accepted per event, so that a flood of new ones does not delay those being served."""
APART = 0.0005
"""Seconds after the last event from which on a visitor most likely comes alone. Then only one is accepted: to find out
that no other waits costs a system call and an exception, and another one that does wait causes a new event."""


@implementer(IListeningPort)
class Listener:
    """One public port. `welcome` is called with it and the events when visitors wait. Raises PortUnavailable if it
    cannot listen."""

    def __init__(
        self, poller: Poller, gate: Gate, host: str, port: int, backlog: int, welcome: Callable[[Listener, int], None]
    ) -> None:
        self._poller = poller
        self._gate = gate
        self._family = family = socket.AF_INET6 if ":" in host else socket.AF_INET
        sock = None
        try:
            sock = socket.socket(family, socket.SOCK_STREAM)
            sock.setblocking(False)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            linger_reset(sock)
            set_nodelay(sock)
            set_keepalive(sock)
            spare_pacing_at(sock, host)
            sock.bind((host, port))
            sock.listen(backlog)
        except OSError as failed:
            if sock is not None:
                sock.close()
            raise listen_failure(host, port, failed) from None
        self._last = 0.0
        self._sock: socket.socket | None = sock
        self._poller.add(sock.fileno(), IN, partial(welcome, self))
        self._gate.add(self)

    def getHost(self) -> Any:
        """Return the address it listens on."""
        from twisted.internet.address import IPv4Address, IPv6Address

        assert self._sock is not None
        host, port = self._sock.getsockname()[:2]
        return (IPv6Address if ":" in host else IPv4Address)("TCP", host, port)

    def startListening(self) -> None:
        """Do nothing: it listens from the start."""

    def stopListening(self) -> Deferred[None]:
        """Stop listening. Connections in the kernel's queue are reset. The port is free when this returns."""
        sock, self._sock = self._sock, None
        if sock is not None:
            self._gate.remove(self)
            self._poller.remove(sock.fileno())
            sock.close()
        return succeed(None)

    def pause(self) -> None:
        """Stop accepting; called by the gate."""
        if self._sock is not None:
            self._poller.set(self._sock.fileno(), 0)

    def go_on(self) -> None:
        """Accept again; called by the gate."""
        if self._sock is not None:
            self._poller.set(self._sock.fileno(), IN)


def welcome(
    gate: Gate,
    on_visitor: Callable[[FastLocal], None],
    accept: Callable[[SocketType, int], FastLocal],
    listener: Listener,
    events: int,
) -> None:
    """Accept waiting visitors, as far as there are descriptors."""
    now = monotonic()
    at_once = 1 if now - listener._last > APART else ACCEPTS_AT_ONCE
    listener._last = now
    for _ in range(at_once):
        if listener._sock is None or gate.short:
            return
        try:
            local = accept(listener._sock, listener._family)
        except BlockingIOError:
            return
        except OSError as failed:
            if failed.errno in OUT_OF_DESCRIPTORS:
                gate.stop()
                return
            continue  # it disconnected while it waited in the queue
        fd = local.fd
        try:
            on_visitor(local)
            if local.leg is None:
                local.watch_for_loss()
        except BaseException:  # a bug: nothing else would ever close this connection
            local.lost()
            raise
        gate.accepted(fd)
