"""Dials a target for the fast relay: without a turn of the reactor where the connection stands at once, as it does on
this machine."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable
from typing import Any

from twisted.internet.address import IPv6Address
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IResolutionReceiver
from zope.interface import implementer

from gotunnel.address import Address, HostPort
from gotunnel.errors import DialFailed
from gotunnel.net.fast.local import FastLocal
from gotunnel.net.fast.poller import OUT, Poller
from gotunnel.net.sockets import linger_reset, set_nodelay

__all__ = ["Dial", "resolved"]

Candidate = tuple[int, Any]
"""An address family and what `connect` takes for it."""

_CODES = {
    errno.ECONNREFUSED: ("refused", "connection refused"),
    errno.ENOENT: ("failed", "there is no such socket"),
    errno.EACCES: ("failed", "permission denied"),
    errno.ETIMEDOUT: ("timeout", "no answer in time"),
    errno.ENETUNREACH: ("unreachable", "no route to it"),
    errno.EHOSTUNREACH: ("unreachable", "no route to it"),
    errno.EMFILE: ("no_fds", "out of file descriptors"),
    errno.ENFILE: ("no_fds", "out of file descriptors"),
}


class Dial:
    """One dial: the candidates one after the other, within one time limit."""

    def __init__(
        self,
        reactor: Any,
        poller: Poller,
        target: Address,
        candidates: list[Candidate],
        timeout: float,
        made: Callable[[socket.socket, str, str], FastLocal],
    ) -> None:
        self._reactor = reactor
        self._poller = poller
        self._target = target
        self._candidates = iter(candidates)
        self._timeout = timeout
        self._made = made
        self._done: Deferred[FastLocal] = Deferred(lambda _: self._stop())
        self._sock: socket.socket | None = None
        self._timer: IDelayedCall | None = None
        self._last = errno.EHOSTUNREACH

    def start(self) -> Deferred[FastLocal]:
        """Dial. Fires with the connection, or fails with DialFailed."""
        self._next()
        if not self._done.called:
            self._timer = self._reactor.callLater(self._timeout, self._late)
        return self._done

    def _next(self) -> None:
        for family, address in self._candidates:
            try:
                sock = socket.socket(family, socket.SOCK_STREAM)
                sock.setblocking(False)
                linger_reset(sock)
                set_nodelay(sock)
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
                self._last = sock.connect_ex(address)
            except OSError as failed:
                self._last = failed.errno or errno.EHOSTUNREACH
                continue
            self._sock = sock
            if self._last == 0 or (self._last == errno.EINPROGRESS and _stands(sock)):
                self._connected()
                return
            if self._last == errno.EINPROGRESS:
                self._poller.add(sock.fileno(), OUT, self._answered)
                return
            self._sock = None
            sock.close()
        self._fail(self._last)

    def _answered(self, events: int) -> None:
        sock = self._sock
        if sock is None:
            return
        self._poller.remove(sock.fileno())
        self._last = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if self._last == 0:
            self._connected()
        else:
            self._sock = None
            sock.close()
            self._next()

    def _connected(self) -> None:
        sock, self._sock = self._sock, None
        self._cancel()
        assert sock is not None
        target = self._target
        host = target.host if isinstance(target, HostPort) else ""
        self._done.callback(self._made(sock, host, str(target)))

    def _fail(self, number: int) -> None:
        self._cancel()
        code, words = _CODES.get(number, ("failed", errno.errorcode.get(number, str(number))))
        self._done.errback(DialFailed(code, f"{self._target}: {words}"))

    def _late(self) -> None:
        self._timer = None
        self._stop()
        self._fail(errno.ETIMEDOUT)

    def _stop(self) -> None:
        self._cancel()
        sock, self._sock = self._sock, None
        if sock is not None:
            self._poller.remove(sock.fileno())
            sock.close()

    def _cancel(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()


def _stands(sock: socket.socket) -> bool:
    """Say whether a connect in progress has succeeded already: on loopback the kernel finishes it within the call."""
    try:
        sock.getpeername()
    except OSError:
        return False
    return True


def resolved(reactor: Any, target: HostPort, timeout: float) -> Deferred[list[Candidate]]:
    """Resolve a name. Fires with candidates, or fails with DialFailed (unknown_host)."""
    receiver = _Receiver(target)
    reactor.nameResolver.resolveHostName(receiver, target.host, target.port)
    late = DialFailed("unknown_host", f"{target}: the name does not resolve in time")
    return receiver.done.addTimeout(timeout, reactor, lambda value, seconds: _raise(late))


@implementer(IResolutionReceiver)
class _Receiver:
    """Collects addresses as Twisted's resolver finds them."""

    def __init__(self, target: HostPort) -> None:
        self.done: Deferred[list[Candidate]] = Deferred()
        self._target = target
        self._found: list[Candidate] = []

    def resolutionBegan(self, resolutionInProgress: Any) -> None:
        """Nothing is known yet."""

    def addressResolved(self, address: Any) -> None:
        """One address."""
        family = socket.AF_INET6 if isinstance(address, IPv6Address) else socket.AF_INET
        self._found.append((family, (address.host, address.port)))

    def resolutionComplete(self) -> None:
        """All are there."""
        if self.done.called:
            return
        if self._found:
            self.done.callback(self._found)
        else:
            self.done.errback(DialFailed("unknown_host", f"{self._target}: the name does not resolve"))


def _raise(error: Exception) -> Any:
    raise error
