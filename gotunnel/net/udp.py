"""Datagram sockets, on any reactor that waits for descriptors: the common base, and a bound socket. `targetsocket` has
the one that is connected to a target. They pass datagrams on and do not know flows.

An answer leaves from the address that the request was sent to, even if a socket is bound to all addresses. The kernel
reports that address with each datagram (IP_PKTINFO of ip(7), IPV6_RECVPKTINFO of ipv6(7)), and gets it back with each
answer. One socket per address would do as well, but would have to follow changes of the machine's addresses. On systems
that do not report it, the system chooses."""

from __future__ import annotations

import ipaddress
import os
import socket
import struct
import sys
from collections.abc import Callable
from typing import Any

from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IReactorFDSet, IReadDescriptor
from twisted.python.failure import Failure
from zope.interface import implementer

from gotunnel.address import HostPort, is_wildcard
from gotunnel.interfaces import IDatagramRelay
from gotunnel.logs import Logger
from gotunnel.net.listening import listen_failure

__all__ = ["BIGGEST", "BoundSocket", "DatagramSocket", "Here", "can_carry", "plain_host"]

AT_ONCE = 32
"""Datagrams read per event, so that a flood of them does not delay everything else."""
ROOM = 1 << 20
"""Bytes requested for the kernel's receive buffer of a bound socket; it gives at most net.core.rmem_max."""
BIGGEST = 65_536
"""Bytes of a buffer that any datagram fits into."""

Here = tuple[int, int, bytes] | None
"""The address a datagram was sent to, in the form that the kernel needs for the answer; None: the kernel needs none."""

_LINUX = sys.platform.startswith("linux")
_TELLS = hasattr(socket.socket, "recvmsg")
"""Whether this platform reports more than a datagram's source; Windows does not."""
_IP_PKTINFO = getattr(socket, "IP_PKTINFO", 8 if _LINUX else None)
_RXQ_OVFL = 40 if _LINUX else None
"""SO_RXQ_OVFL: each datagram comes with the number dropped before it since the socket was made."""
_V4, _V6 = struct.Struct("@i4s4s"), struct.Struct("@16sI")  # in_pktinfo, in6_pktinfo
_ANCILLARY = 256


def can_carry(relay: object, reactor: object) -> bool:
    """Return whether datagrams can be carried here: by a relay with flows, on a reactor that can wait for sockets."""
    return bool(IDatagramRelay.providedBy(relay)) and bool(IReactorFDSet.providedBy(reactor))


def plain_host(host: str) -> str:
    """Return the plain IPv4 address of a peer that uses IPv4 on a socket for both families."""
    return host.removeprefix("::ffff:")


@implementer(IReadDescriptor)
class DatagramSocket:
    """The common base of both kinds of socket."""

    log = Logger()

    def __init__(self, reactor: Any, sock: socket.socket) -> None:
        self._reactor = reactor
        self._sock: socket.socket | None = sock
        reactor.addReader(self)

    def fileno(self) -> int:
        """See IReadDescriptor."""
        return -1 if self._sock is None else self._sock.fileno()

    def logPrefix(self) -> str:
        """See IReadDescriptor."""
        return "gotunnel"

    def connectionLost(self, reason: Failure) -> None:
        """The reactor drops the socket after an error. No error ends a datagram socket, so it is registered again. The
        kernel may have no error left: `send` may have reported it, or it belonged to a closed socket with this
        number."""
        number = 0 if self._sock is None else self._sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if number:
            self._failed(OSError(number, os.strerror(number)))
        elif not reason.check(ConnectionDone):  # the reactor is stopped
            self.close()
        if self._sock is not None:
            self._reactor.addReader(self)

    def close(self) -> None:
        """Close the socket. Does nothing if it is closed."""
        sock = self._sock
        if sock is not None:
            self._reactor.removeReader(self)
            self._sock = None
            sock.close()

    def doRead(self) -> None:
        """See IReadDescriptor."""
        for _ in range(AT_ONCE):
            if self._sock is None:
                return
            try:
                self._read(self._sock)
            except BlockingIOError:
                return
            except OSError as failed:
                self._failed(failed)
            except Exception:  # noqa: BLE001 - a bug in one flow must not close the socket of all
                self.log.failure("passing a datagram on failed: a bug", Failure())

    def _read(self, sock: socket.socket) -> None:
        raise NotImplementedError

    def _failed(self, failed: OSError) -> None:
        """Handle an error that the kernel reports to the reader."""


class BoundSocket(DatagramSocket):
    """Bound to `host` and `port` as soon as it is made. `arrived(datagram, source, here)` is called for each datagram,
    `lost(count)` for datagrams that the kernel dropped for lack of room. Raises PortUnavailable."""

    def __init__(
        self, reactor: Any, host: str, port: int,
        arrived: Callable[[bytes, Any, Here], None], lost: Callable[[int], None],
    ) -> None:  # fmt: skip
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        sock = None
        try:
            sock = socket.socket(family, socket.SOCK_DGRAM)
            sock.setblocking(False)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, ROOM)
            if _TELLS and is_wildcard(host):
                _tell_where(sock)
            if _RXQ_OVFL is not None:
                sock.setsockopt(socket.SOL_SOCKET, _RXQ_OVFL, 1)
            sock.bind((host, port))
        except OSError as failed:
            if sock is not None:
                sock.close()
            raise listen_failure(host, port, failed) from None
        self._arrived = arrived
        self._lost = lost
        self._lost_so_far = 0
        name = sock.getsockname()
        self.address = HostPort(name[0], name[1])
        """The address it is bound to."""
        super().__init__(reactor, sock)

    def send(self, datagram: bytes, source: Any, here: Here) -> None:
        """Send an answer to `source`, from the address in `here`. Raises OSError."""
        if self._sock is None:
            return
        if here is None:
            self._sock.sendto(datagram, source)
        else:
            self._sock.sendmsg((datagram,), (here,), 0, source)

    def came_to(self, here: Here) -> str:
        """Return, as text, the address that such a datagram was sent to."""
        if here is None:
            return str(self.address)
        packed = here[2][4:8] if here[0] == socket.IPPROTO_IP else here[2][:16]
        return str(HostPort(plain_host(str(ipaddress.ip_address(packed))), self.address.port))

    def _read(self, sock: socket.socket) -> None:
        if not _TELLS:
            datagram, source = sock.recvfrom(BIGGEST)
            self._arrived(datagram, source, None)
            return
        datagram, ancillary, _, source = sock.recvmsg(BIGGEST, _ANCILLARY)
        here: Here = None
        for level, kind, data in ancillary:
            if level == socket.SOL_SOCKET and kind == _RXQ_OVFL:
                self._count(int.from_bytes(data[:4], sys.byteorder))
            elif level == socket.IPPROTO_IP and kind == _IP_PKTINFO:
                here = (level, kind, _V4.pack(0, _V4.unpack_from(data)[1], b"\0" * 4))
            elif level == socket.IPPROTO_IPV6 and kind == socket.IPV6_PKTINFO:
                address, index = _V6.unpack_from(data)
                if address[0] == 0xFF:
                    continue  # an answer cannot come from a multicast address
                link_local = address[0] == 0xFE and address[1] & 0xC0 == 0x80
                here = (level, kind, _V6.pack(address, index if link_local else 0))
        self._arrived(datagram, source, here)

    def _count(self, lost: int) -> None:
        more, self._lost_so_far = (lost - self._lost_so_far) & 0xFFFFFFFF, lost
        if more:
            self._lost(more)


def _tell_where(sock: socket.socket) -> None:
    if sock.family == socket.AF_INET6:
        if hasattr(socket, "IPV6_RECVPKTINFO"):
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
    elif _IP_PKTINFO is not None:
        sock.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
