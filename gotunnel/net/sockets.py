"""Socket options and queries, each in one place: linger, keepalive, and whether a peer still answers. Options that a
platform lacks are skipped. Reads and writes no bytes."""

from __future__ import annotations

import array
import select
import socket
import struct
import sys
from dataclasses import dataclass
from functools import lru_cache
from socket import SocketType
from typing import Any

_LINUX = sys.platform.startswith("linux")
if _LINUX:
    import fcntl
    import termios

__all__ = [
    "LINGER_OFF",
    "LINGER_RESET",
    "ROOM_AGAIN",
    "PathState",
    "accept",
    "control_at",
    "held_by_kernel",
    "is_gone",
    "is_itself",
    "linger_off",
    "linger_reset",
    "path_state",
    "set_keepalive",
    "set_nodelay",
    "set_user_timeout",
    "spare_pacing",
    "spare_pacing_at",
]

KEEPALIVE_IDLE, KEEPALIVE_INTERVAL, KEEPALIVE_PROBES = 15, 5, 3
"""Seconds, seconds, number: a silent path is noticed after 30 s (protocol, section 5)."""

LINGER_RESET, LINGER_OFF = struct.pack("ii", 1, 0), struct.pack("ii", 0, 0)
"""Values of SO_LINGER."""
ROOM_AGAIN = 0.02
"""Seconds between two attempts to enter the full queue of a unix socket; the system does not report when there is room.
For TCP the kernel retries by itself."""
_TCP_INFO_BYTES = 256
_DEFAULT_CONTROL = "/proc/sys/net/ipv4/tcp_congestion_control"  # of this network namespace; also applies to IPv6
_PACED, _UNPACED = b"bbr", b"reno"
"""The prefix of the names of all BBR versions, and a congestion control without timers that every Linux has."""
_RESET = select.POLLERR | select.POLLNVAL
_RDHUP = getattr(select, "POLLRDHUP", 0)


def accept(listening: SocketType, family: int) -> tuple[SocketType, Any]:
    """Accept like `socket.accept()`, but without the wrapper object of Python's `socket` module: finding out family and
    type takes that one longer than the kernel takes to accept. Raises OSError."""
    number, peer = listening._accept()  # type: ignore[attr-defined]
    return SocketType(family, socket.SOCK_STREAM, 0, number), peer


def linger_reset(sock: SocketType) -> None:
    """Make a close, or the death of this process, reset the connection instead of ending it cleanly."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_RESET)


def linger_off(sock: SocketType) -> None:
    """Make a close orderly: the kernel delivers what it holds and then sends FIN."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_OFF)


def set_nodelay(sock: SocketType) -> None:
    """Send small segments at once. Does nothing for a socket that is not TCP."""
    if sock.family != getattr(socket, "AF_UNIX", None):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def set_keepalive(sock: SocketType, times: tuple[int, int, int] | None = None) -> None:
    """Probe a silent path after 15 s, every 5 s, three times, or as `times` says (where the platform supports it). Does
    nothing for a unix socket."""
    if sock.family == getattr(socket, "AF_UNIX", None):
        return
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    idle, interval, probes = times or (KEEPALIVE_IDLE, KEEPALIVE_INTERVAL, KEEPALIVE_PROBES)
    for option, value in (("TCP_KEEPIDLE", idle), ("TCP_KEEPINTVL", interval), ("TCP_KEEPCNT", probes)):
        if hasattr(socket, option):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)


def is_gone(fd: int, *, eof_means_gone: bool) -> bool:
    """Return whether the connection behind `fd` is reset, without reading from it.

    A paused reader does not see a reset; this does. With `eof_means_gone` the peer's FIN counts, too. That is right for
    a leg, whose ends never half-close TCP, and wrong for a visitor. POLLHUP alone only means that both directions have
    ended, perhaps in order and with bytes still to be read; a reset is reported as an error as well.
    """
    wanted = _RESET | (select.POLLHUP | _RDHUP if eof_means_gone else 0)
    poller = select.poll()
    poller.register(fd, wanted)
    return any(events & wanted for _, events in poller.poll(0))


def is_itself(sock: SocketType) -> bool:
    """Return whether a connection is connected to itself.

    When the system picks a port to connect from, it may pick the very port that is being connected to, if nobody
    listens there on this machine. TCP then connects the socket to itself. The program receives what it sends, and the
    service that belongs on this port cannot start.
    """
    try:
        here = sock.getsockname()
        return isinstance(here, tuple) and here == sock.getpeername()
    except OSError:
        return False


def held_by_kernel(sock: SocketType) -> int:
    """Return how many bytes sent on a socket the other side has not taken (SIOCOUTQ of tcp(7), which has TIOCOUTQ's
    number); 0 on a platform that does not report it."""
    count = array.array("i", [0])
    if _LINUX:
        fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, count)
    return count[0]


@dataclass(frozen=True, slots=True)
class PathState:
    """The kernel's data on a path: segments sent and not acknowledged, milliseconds since the last acknowledgement,
    whether the peer's window is closed, and milliseconds since data arrived."""

    unacknowledged: int
    last_ack_ms: int
    window_closed: bool
    last_data_ms: int = 0

    @property
    def silent_ms(self) -> int:
        """Milliseconds since anything arrived."""
        return min(self.last_ack_ms, self.last_data_ms)


def path_state(sock: SocketType) -> PathState | None:
    """Read Linux's TCP_INFO; None where it is not available.

    Offsets are those of `struct tcp_info` in linux/tcp.h: tcpi_unacked at 24, tcpi_last_data_recv at 52,
    tcpi_last_ack_recv at 56, and tcpi_snd_wnd (since 5.4) at 228. If the kernel does not report the window, it counts
    as open.
    """
    if not _LINUX or sock.family == socket.AF_UNIX:
        return None
    info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_BYTES)
    if len(info) < 60:
        return None
    (unacknowledged,) = struct.unpack_from("@I", info, 24)
    last_data_ms, last_ack_ms = struct.unpack_from("@II", info, 52)
    window_closed = len(info) >= 232 and struct.unpack_from("@I", info, 228)[0] == 0
    return PathState(unacknowledged, last_ack_ms, window_closed, last_data_ms)


def set_user_timeout(sock: SocketType, seconds: float) -> None:
    """Abort a connection if sent data stays unacknowledged for `seconds`. For control connections only: on Linux it
    also disconnects a peer that has stopped reading. Does nothing for a unix socket."""
    if hasattr(socket, "TCP_USER_TIMEOUT") and sock.family != socket.AF_UNIX:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(seconds * 1000))


@lru_cache(maxsize=1)
def _paces() -> bool:
    """Return whether the system's congestion control is BBR, which sets a timer for every segment sent."""
    try:
        with open(_DEFAULT_CONTROL, "rb") as named:
            return named.read().startswith(_PACED)
    except OSError:
        return False


def spare_pacing_at(sock: SocketType, host: str) -> None:
    """Send without BBR on a connection from or to a loopback address, if BBR is the system's default.

    Where there is no network to protect, its timers cost several times as much as moving the bytes. Call this before
    the connection is established: once BBR has begun, its timers stay, though fewer. A listening socket passes its
    choice on to the connections it accepts. Connections that leave the machine use what its administrator has chosen.
    """
    if control_at(host):
        _set_unpaced(sock)


def control_at(host: str) -> str:
    """Return the congestion control for a connection from or to an address; "" for the system's."""
    return _UNPACED.decode() if _paces() and _is_loopback(host) else ""


def spare_pacing(sock: SocketType) -> None:
    """The same for an established connection if both of its ends are on this machine, whatever its address."""
    if not _paces() or sock.family == socket.AF_UNIX:
        return
    try:
        peer = sock.getpeername()[0]
        here = _is_loopback(peer) or sock.getsockname()[0] == peer
    except OSError:
        return  # it was reset; its reader will notice
    if here:
        _set_unpaced(sock)


def _is_loopback(host: str) -> bool:
    return host == "::1" or host.removeprefix("::ffff:").startswith("127.")


def _set_unpaced(sock: SocketType) -> None:
    try:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, _UNPACED)
    except OSError:
        pass  # a sandbox forbids it; that only costs CPU
