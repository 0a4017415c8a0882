"""Dials a target for the fast relay. A connection that succeeds at once, as on the same machine, costs neither a turn
of the reactor nor a Deferred."""

from __future__ import annotations

import errno
import ipaddress
import socket
from collections.abc import Callable
from functools import lru_cache
from socket import (
    IPPROTO_TCP,
    SO_LINGER,
    SOCK_NONBLOCK,
    SOCK_STREAM,
    SOL_SOCKET,
    TCP_NODELAY,
    SocketType,
)
from typing import Any, NamedTuple

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall

from gotunnel.address import Address, HostPort, UnixPath
from gotunnel.errors import DialFailed, Sentence
from gotunnel.net.descriptors import OUT_OF_DESCRIPTORS, Gate
from gotunnel.net.fast.local import FastLocal
from gotunnel.net.fast.poller import OUT
from gotunnel.net.fast.tools import Tools
from gotunnel.net.reasons import DIAL_ERRNOS
from gotunnel.net.resolve import resolve
from gotunnel.net.sockets import LINGER_RESET, ROOM_AGAIN, is_itself, set_keepalive, spare_pacing_at

__all__ = ["Candidate", "Dial", "Place", "begin", "literal", "resolved"]

Candidate = tuple[int, Any]
"""An address family, and the address as `connect` takes it."""


class Place(NamedTuple):
    """A target in the form that dials need: as text, its host ("" for a unix path), and its possible addresses."""

    target: Address
    text: str
    host: str
    candidates: tuple[Candidate, ...]

_CODES = {
    **DIAL_ERRNOS,
    errno.ECONNREFUSED: ("refused", "connection refused"),
    errno.ENOENT: ("failed", "there is no such socket"),
    errno.EACCES: ("failed", "permission denied"),
    errno.ENOBUFS: ("no_fds", "the system has no room for another socket"),
    errno.ENOMEM: ("no_fds", "the system has no room for another socket"),
}


def begin(candidate: Candidate, gate: Gate) -> tuple[SocketType | None, int]:
    """Begin to connect. Returns a socket and 0 if the connection is established at once, as on loopback, where the
    kernel finishes within the call; a socket and EINPROGRESS if it is not yet; None and the error otherwise. It makes
    system calls directly instead of through `net.sockets`, since each visitor waits for them."""
    family, address = candidate
    try:
        sock = SocketType(family, SOCK_STREAM | SOCK_NONBLOCK)
    except OSError as failed:
        return None, failed.errno or errno.EHOSTUNREACH
    number = sock.fileno()
    if number >= gate.ceiling and gate.beyond(number):
        sock.close()
        return None, errno.EMFILE
    try:
        sock.setsockopt(SOL_SOCKET, SO_LINGER, LINGER_RESET)
        if family != socket.AF_UNIX:
            sock.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)
            spare_pacing_at(sock, address[0])
        error = sock.connect_ex(address)
    except OSError as failed:
        error = failed.errno or errno.EHOSTUNREACH
    if error == errno.EINPROGRESS:
        try:
            sock.getpeername()
        except OSError:
            return sock, error
        error = 0
    if not error and is_itself(sock):
        error = errno.ECONNREFUSED
    if error:
        sock.close()
        return None, error
    return sock, 0


class Dial:
    """A dial that is not finished at once. It tries the candidates in turn, within one time limit. `sock` and `error`
    are the result of `begin` for the first candidate."""

    def __init__(
        self,
        reactor: Any,
        tools: Tools,
        place: Place,
        made: Callable[[SocketType, str, str], FastLocal],
        sock: SocketType | None,
        error: int,
    ) -> None:
        self._reactor = reactor
        self._poller = tools.poller
        self._gate = tools.descriptors.visitors
        self._place = place
        self._candidates = iter(place.candidates[1:])
        self._made = made
        self._done: Deferred[FastLocal] = Deferred(lambda _: self._stop())
        self._sock: SocketType | None = None
        self._timer: IDelayedCall | None = None
        self._again: IDelayedCall | None = None
        self._last = error
        self._begun = sock

    def start(self, timeout: float) -> FastLocal | Deferred[FastLocal]:
        """Go on with the dial. Returns the connection if it is established at once, else a Deferred that fires with it
        or fails with DialFailed. `timeout` is in seconds."""
        if self._begun is not None:
            self._wait(self._begun)
        else:
            sock = self._next()
            if sock is not None:
                return self._connected(sock)
        if self._sock is None and self._last != errno.EAGAIN:
            self._fail(self._last)
        else:
            self._timer = self._reactor.callLater(timeout, self._late)
            if self._sock is None:
                self._again = self._reactor.callLater(ROOM_AGAIN, self._try_again)
        return self._done

    def _try_again(self) -> None:
        self._again = None
        sock, self._last = begin(self._place.candidates[-1], self._gate)
        if sock is not None:
            self._cancel()
            self._done.callback(self._connected(sock))
        elif self._last == errno.EAGAIN:
            self._again = self._reactor.callLater(ROOM_AGAIN, self._try_again)
        else:
            self._fail(self._last)

    def _next(self) -> SocketType | None:
        """Try the remaining candidates. Returns a connected socket; None if `_sock` waits for an answer or none is
        left."""
        for candidate in self._candidates:
            sock, self._last = begin(candidate, self._gate)
            if sock is not None:
                if not self._last:
                    return sock
                self._wait(sock)
                return None
            if self._last == errno.EMFILE:
                break
        return None

    def _wait(self, sock: SocketType) -> None:
        set_keepalive(sock)  # not needed for a target that answers at once: it is on this machine and cannot vanish
        self._sock = sock
        self._poller.add(sock.fileno(), OUT, self._answered)

    def _answered(self, events: int) -> None:
        sock, self._sock = self._sock, None
        if sock is None:
            return
        self._poller.remove(sock.fileno())
        self._last = sock.getsockopt(SOL_SOCKET, socket.SO_ERROR)
        if not self._last and is_itself(sock):
            self._last = errno.ECONNREFUSED
        connected: SocketType | None = sock
        if self._last:
            sock.close()
            connected = self._next()
        if connected is not None:
            self._cancel()
            self._done.callback(self._connected(connected))
        elif self._sock is None:
            self._fail(self._last)

    def _connected(self, sock: SocketType) -> FastLocal:
        place = self._place
        return self._made(sock, place.host, place.text)

    def _fail(self, number: int) -> None:
        self._cancel()
        if number in OUT_OF_DESCRIPTORS:
            self._gate.say()
        code, words = _CODES.get(number, ("failed", errno.errorcode.get(number, str(number))))
        self._done.errback(DialFailed(code, Sentence("{text}: {words}", text=self._place.text, words=words)))

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
        for timer in (self._timer, self._again):
            if timer is not None:
                timer.cancel()
        self._timer = self._again = None


@lru_cache(maxsize=256)
def literal(target: Address) -> Place:
    """Return the place of a target that needs no resolver: a unix path or an IP address. A name has no candidates."""
    if isinstance(target, UnixPath):
        return Place(target, str(target), "", ((socket.AF_UNIX, target.path),))
    try:
        version = ipaddress.ip_address(target.host.partition("%")[0]).version
    except ValueError:
        return Place(target, str(target), target.host, ())
    family = socket.AF_INET if version == 4 else socket.AF_INET6
    return Place(target, str(target), target.host, ((family, (target.host, target.port)),))


def resolved(reactor: Any, target: HostPort, timeout: float) -> Deferred[tuple[Candidate, ...]]:
    """Resolve a name. Fires with candidates, or fails with DialFailed (unknown_host)."""
    return resolve(reactor, target.host, target.port, timeout).addCallback(
        lambda hosts: tuple(
            (socket.AF_INET6 if ":" in host else socket.AF_INET, (host, target.port)) for host in hosts
        )
    )
