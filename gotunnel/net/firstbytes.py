"""Reads the header of the PROXY protocol from a visitor whom nobody else reads yet, and not a byte more: what is behind
it stays in the kernel, for the leg. A balancer's own connection is given a moment, in which most of them end. What
follows is for whoever asked."""

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
"""Seconds in which a balancer's own connection ends that only looks whether somebody accepts it. One that stays without
a word may wait for the target to speak first."""


@implementer(IReadDescriptor)
class FirstBytes:
    """One visitor's. `done(header, reason)` is called once, with a header or with what is wrong instead, or without
    either for a balancer's own connection that has ended without a word; not when the visitor is reset meanwhile. It
    reads by a descriptor of its own, which whatever becomes of the visitor leaves alone."""

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
        self.doRead()  # mostly it is there already
        if self._sock is not None:
            local.on_gone = self._close
            if self._own is None:
                self._timer = reactor.callLater(seconds, self._end, None, f"no header within {seconds:g} s")
            reactor.addReader(self)

    def fileno(self) -> int:
        """The reactor asks; -1 when it is over."""
        return -1 if self._sock is None else self._sock.fileno()

    def logPrefix(self) -> str:
        """The reactor asks."""
        return type(self).__name__

    def doRead(self) -> None:
        """There is something to read."""
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
            if header is None:  # all of it is header, and taken, or the reactor would tell of it for ever
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
        except OSError:  # reset, as HAProxy ends its checks
            speaks = False
        self._end(header if speaks else None, "")

    def connectionLost(self, reason: Failure) -> None:
        """The reactor says that nothing can be read."""
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
