"""Reads the PROXY protocol header of a visitor before anything else reads from it, and no byte more: what follows stays
in the kernel for the leg. A balancer's own connection gets a moment first, in which most of them end. The caller
decides what to do with the result."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IDelayedCall, IReadDescriptor
from twisted.python.failure import Failure
from zope.interface import implementer

from gotunnel.errors import RemoteProtocolError
from gotunnel.interfaces import ILocal
from gotunnel.net.quiet import nothing
from gotunnel.wire.proxyread import MOST_HEADER, ProxyHeader, read_proxy_header

__all__ = ["FirstBytes"]

MOMENT = 0.5
"""Seconds in which a balancer's own connection, a health check that only tests whether somebody accepts, usually ends.
One that stays silent for longer may be waiting for the target to speak first."""


@implementer(IReadDescriptor)
class FirstBytes:
    """Reads the header of one visitor.

    `done(header, reason)` is called once: with a header, or with None and what is wrong, or with None and no reason for
    a balancer's own connection that has ended silently. It is not called if the visitor is reset meanwhile. Reading
    uses a duplicate descriptor, which stays valid whatever becomes of the visitor.
    """

    def __init__(
        self, reactor: Any, local: ILocal, seconds: float, done: Callable[[ProxyHeader | None, str], None]
    ) -> None:
        self._reactor = reactor
        self._done = done
        self._head = b""
        self._own: ProxyHeader | None = None
        self._timer: IDelayedCall | None = None
        self._sock: socket.socket | None = None
        self._local = local
        try:
            self._sock = socket.socket(fileno=os.dup(local.fileno()))
        except OSError as failed:
            done(None, f"it cannot be read: {failed.strerror}")
            return
        self.doRead()  # the header has usually arrived already
        if self._sock is not None:
            local.on_gone = self._close
            if self._own is None:
                self._timer = reactor.callLater(seconds, self._end, None, f"no header within {seconds:g} s")
            reactor.addReader(self)

    def fileno(self) -> int:
        """Return the descriptor for the reactor; -1 when done."""
        return -1 if self._sock is None else self._sock.fileno()

    def logPrefix(self) -> str:
        """Return the name for the reactor's log."""
        return type(self).__name__

    def doRead(self) -> None:
        """Read the header, or look whether a balancer's own connection has said something."""
        sock = self._sock
        if sock is None:
            return
        if self._own is not None:
            self._listen(sock, self._own)
            return
        try:
            seen = sock.recv(MOST_HEADER, socket.MSG_PEEK)
            if not seen:
                self._end(None, "it ended ahead of its header")
                return
            header = read_proxy_header(self._head + seen)
            if header is None:  # all of it is header; it must be consumed, or the reactor would report it for ever
                self._head += sock.recv(len(seen))
            else:
                sock.recv(header.length - len(self._head))
        except BlockingIOError:
            return
        except OSError as failed:
            self._end(None, f"it broke off: {failed.strerror}")
        except RemoteProtocolError as wrong:
            self._end(None, wrong.reason)
        else:
            if header is not None and header.own:
                self._give_a_moment(sock, header)
            elif header is not None:
                self._end(header, "")

    def _give_a_moment(self, sock: socket.socket, header: ProxyHeader) -> None:
        self._own = header
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._reactor.callLater(MOMENT, self._end, header, "")
        self._listen(sock, header)

    def _listen(self, sock: socket.socket, header: ProxyHeader) -> None:
        try:
            speaks = bool(sock.recv(1, socket.MSG_PEEK))
        except BlockingIOError:
            return
        except OSError:  # a reset: HAProxy ends its checks like this
            speaks = False
        self._end(header if speaks else None, "")

    def connectionLost(self, reason: Failure) -> None:
        """The reactor reports that the descriptor has failed."""
        self._end(None, "it broke off" if self._own is None else "")

    def _end(self, header: ProxyHeader | None, reason: str) -> None:
        self._close()
        self._done(header, reason)

    def _close(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None:
            self._local.on_gone = nothing
            if timer.active():
                timer.cancel()
        if self._sock is not None:
            self._reactor.removeReader(self)
            self._sock.close()
            self._sock = None
