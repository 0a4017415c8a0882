"""What gotunnel asks of the kernel's sockets, each in one place: linger, keepalive, and whether a peer still answers.
Options that a platform lacks are left out; nothing here reads or writes bytes."""

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
"""Seconds between two attempts to get into the queue of a unix socket that is full, of which nobody tells when it has
room. Of TCP the kernel asks again by itself."""
_TCP_INFO_BYTES = 256
_DEFAULT_CONTROL = "/proc/sys/net/ipv4/tcp_congestion_control"  # of this network namespace; IPv6 has it too
_PACED, _UNPACED = b"bbr", b"reno"
"""How the names of all versions of BBR begin; a congestion control without timers, which every Linux has."""
_RESET = select.POLLERR | select.POLLNVAL
_RDHUP = getattr(select, "POLLRDHUP", 0)


def accept(listening: SocketType, family: int) -> tuple[SocketType, Any]:
    """Do what `socket.accept()` does, without the object that Python puts around the kernel's socket: to find out its
    family and type takes that one longer than the kernel takes to accept. Raises OSError."""
    number, peer = listening._accept()  # type: ignore[attr-defined]
    return SocketType(family, socket.SOCK_STREAM, 0, number), peer


def linger_reset(sock: SocketType) -> None:
    """From now on a close, or the death of this process, resets the connection instead of ending it cleanly."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_RESET)


def linger_off(sock: SocketType) -> None:
    """From now on a close is orderly: the kernel delivers what it holds and then sends FIN."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_OFF)


def set_nodelay(sock: SocketType) -> None:
    """Send small segments at once. A socket that is not TCP is left as it is."""
    if sock.family != getattr(socket, "AF_UNIX", None):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def set_keepalive(sock: SocketType, times: tuple[int, int, int] | None = None) -> None:
    """Probe a silent path after 15 s, every 5 s, three times, or as `times` says (where the platform lets one say so).
    A unix socket has no path and is left as it is."""
    if sock.family == getattr(socket, "AF_UNIX", None):
        return
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    idle, interval, probes = times or (KEEPALIVE_IDLE, KEEPALIVE_INTERVAL, KEEPALIVE_PROBES)
    for option, value in (("TCP_KEEPIDLE", idle), ("TCP_KEEPINTVL", interval), ("TCP_KEEPCNT", probes)):
        if hasattr(socket, option):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)


def is_gone(fd: int, *, eof_means_gone: bool) -> bool:
    """Say whether the connection behind `fd` is reset, without reading it.

    A paused reader is not told of a reset; this asks. With `eof_means_gone` the peer's FIN counts too, which is right
    for a leg (its ends never half-close TCP) and wrong for a visitor. POLLHUP says no more than that both directions
    have ended, in order perhaps and with bytes still to be read; a reset is an error as well.
    """
    wanted = _RESET | (select.POLLHUP | _RDHUP if eof_means_gone else 0)
    poller = select.poll()
    poller.register(fd, wanted)
    return any(events & wanted for _, events in poller.poll(0))


def is_itself(sock: SocketType) -> bool:
    """Say whether a connection has but one end. The system, which looks for a port to connect from, sometimes takes the
    very port that is connected to, where nobody listens at it on this machine; and as TCP has it, both are connected
    then. Who speaks hears himself, and the service that belongs there cannot begin."""
    try:
        here = sock.getsockname()
        return isinstance(here, tuple) and here == sock.getpeername()
    except OSError:
        return False


def held_by_kernel(sock: SocketType) -> int:
    """Count the bytes that were sent on a socket and that the other side has not taken (SIOCOUTQ of tcp(7), which has
    TIOCOUTQ's number); 0 on a platform that does not say."""
    count = array.array("i", [0])
    if _LINUX:
        fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, count)
    return count[0]


@dataclass(frozen=True, slots=True)
class PathState:
    """What the kernel knows of a path: segments sent and not acknowledged, milliseconds since the last
    acknowledgement, whether the peer's window is closed, and milliseconds since data came."""

    unacknowledged: int
    last_ack_ms: int
    window_closed: bool
    last_data_ms: int = 0

    @property
    def silent_ms(self) -> int:
        """Milliseconds since anything came."""
        return min(self.last_ack_ms, self.last_data_ms)


def path_state(sock: SocketType) -> PathState | None:
    """Read Linux's TCP_INFO; None where there is none.

    Offsets are those of `struct tcp_info` in linux/tcp.h: tcpi_unacked at 24, tcpi_last_data_recv at 52,
    tcpi_last_ack_recv at 56, and tcpi_snd_wnd (since 5.4) at 228. A kernel that does not tell the window counts as one
    whose window is open.
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
    """Give a connection up when what was sent stays unacknowledged for so long. For control connections only: it also
    ends a peer that has stopped reading (Linux). A unix socket has no path and is left as it is."""
    if hasattr(socket, "TCP_USER_TIMEOUT") and sock.family != socket.AF_UNIX:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(seconds * 1000))


@lru_cache(maxsize=1)
def _paces() -> bool:
    """Whether the system's congestion control is BBR, which sets a timer for every segment that leaves."""
    try:
        with open(_DEFAULT_CONTROL, "rb") as named:
            return named.read().startswith(_PACED)
    except OSError:
        return False


def spare_pacing_at(sock: SocketType, host: str) -> None:
    """Send without BBR on a connection from or to an address of loopback, where the system's default is that.

    Where no network is to be spared, its timers cost several times what moving the bytes does. To be called before the
    connection stands: once BBR has begun, the timers stay, if fewer. A listening socket passes its choice on to what it
    accepts. What leaves the machine is sent as its administrator has chosen.
    """
    if control_at(host):
        _set_unpaced(sock)


def control_at(host: str) -> str:
    """Return the congestion control of a connection from or to an address, "" for that of the system."""
    return _UNPACED.decode() if _paces() and _is_loopback(host) else ""


def spare_pacing(sock: SocketType) -> None:
    """The same for a connection that stands already, whatever it has come by, if both of its ends are on this
    machine."""
    if not _paces() or sock.family == socket.AF_UNIX:
        return
    try:
        peer = sock.getpeername()[0]
        here = _is_loopback(peer) or sock.getsockname()[0] == peer
    except OSError:
        return  # it was reset, which its reader is told
    if here:
        _set_unpaced(sock)


def _is_loopback(host: str) -> bool:
    return host == "::1" or host.removeprefix("::ffff:").startswith("127.")


def _set_unpaced(sock: SocketType) -> None:
    try:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, _UNPACED)
    except OSError:
        pass  # a sandbox forbids it: that costs no more than CPU
