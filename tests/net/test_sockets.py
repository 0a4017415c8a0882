"""What the kernel says of real loopback sockets."""

from __future__ import annotations

import os
import socket
import struct
import sys
import time
from pathlib import Path
from typing import Any
from unittest import skipUnless

from twisted.trial.unittest import SynchronousTestCase

from gotunnel.net import sockets
from gotunnel.net.sockets import (
    is_gone,
    is_itself,
    linger_off,
    linger_reset,
    path_state,
    set_keepalive,
    set_nodelay,
    spare_pacing,
    spare_pacing_at,
)


class SocketTestCase(SynchronousTestCase):
    """Connected pairs."""

    def pair(self) -> tuple[socket.socket, socket.socket]:
        """Return two ends of a TCP connection over loopback."""
        with socket.create_server(("127.0.0.1", 0)) as server:
            one = socket.create_connection(server.getsockname(), 10)
            other, _ = server.accept()
        other.settimeout(10)
        self.addCleanup(one.close)
        self.addCleanup(other.close)
        return one, other

    def unix_pair(self) -> tuple[socket.socket, socket.socket]:
        """Return two ends of a unix stream."""
        one, other = socket.socketpair()
        self.addCleanup(one.close)
        self.addCleanup(other.close)
        return one, other


class GoneTests(SocketTestCase):
    """is_gone: is it reset, and for a leg: has the other end gone at all."""

    def gone(self, sock: socket.socket) -> tuple[bool, bool]:
        """Return what is said of a visitor and of a leg."""
        return is_gone(sock.fileno(), eof_means_gone=False), is_gone(sock.fileno(), eof_means_gone=True)

    def test_alive(self) -> None:
        """A connection with or without bytes to read is not gone."""
        one, other = self.pair()
        self.assertEqual(self.gone(one), (False, False))
        other.sendall(b"x")
        self.assertEqual(self.gone(one), (False, False))

    def test_ended(self) -> None:
        """The other side's FIN is the end of a leg, and not of a visitor; bytes before it do not hide it."""
        one, other = self.pair()
        other.sendall(b"x")
        other.shutdown(socket.SHUT_WR)
        self.assertEqual(self.gone(one), (False, True))

    def test_both_ended(self) -> None:
        """A visitor with whom both directions have ended in order still has bytes for us: that is no reset."""
        for first in (0, 1):
            pair = self.pair()
            one, other = pair
            other.sendall(b"last words")
            pair[first].shutdown(socket.SHUT_WR)
            pair[1 - first].shutdown(socket.SHUT_WR)
            self.assertEqual(self.gone(one), (False, True))
            self.assertEqual(one.recv(100), b"last words")

    def test_reset(self) -> None:
        """A reset is the end of both, with bytes to read, after FIN, and when both had ended."""
        for one_ends, other_ends in ((False, False), (True, False), (False, True)):
            one, other = self.pair()
            other.sendall(b"x")
            if one_ends:
                one.shutdown(socket.SHUT_WR)
            if other_ends:
                other.shutdown(socket.SHUT_WR)
            linger_reset(other)
            other.close()
            self.assertEqual(self.gone(one), (True, True), f"{one_ends} {other_ends}")

    def test_unix(self) -> None:
        """A unix target that closes in order is no reset either."""
        one, other = self.unix_pair()
        self.assertEqual(self.gone(one), (False, False))
        other.sendall(b"x")
        other.close()
        self.assertEqual(self.gone(one), (False, True))


class ItselfTests(SocketTestCase):
    """A connection with one end."""

    def test_itself(self) -> None:
        """TCP connects a socket to itself; two of them have two ends, one that is not connected has none."""
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", 0))
            self.assertFalse(is_itself(sock))
            sock.connect(sock.getsockname())
            self.assertTrue(is_itself(sock))
        for end in self.pair() + self.unix_pair():
            self.assertFalse(is_itself(end))


class LingerTests(SocketTestCase):
    """How a close looks from the other side."""

    def test_reset(self) -> None:
        """With linger_reset a close resets; linger_off takes it back."""
        one, other = self.pair()
        linger_reset(one)
        one.close()
        self.assertRaises(ConnectionResetError, other.recv, 1)
        one, other = self.pair()
        linger_reset(one)
        linger_off(one)
        one.sendall(b"all")
        one.close()
        self.assertEqual((other.recv(10), other.recv(10)), (b"all", b""))

    def test_other_options(self) -> None:
        """Keepalive and no delay are set as the contract says, and a unix socket is left in peace."""
        one, _ = self.pair()
        set_nodelay(one)
        set_keepalive(one)
        self.assertTrue(one.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        self.assertTrue(one.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE))
        if hasattr(socket, "TCP_KEEPIDLE"):
            options = (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
            self.assertEqual([one.getsockopt(socket.IPPROTO_TCP, option) for option in options], [15, 5, 3])
            set_keepalive(one, (5, 3, 2))
            self.assertEqual([one.getsockopt(socket.IPPROTO_TCP, option) for option in options], [5, 3, 2])
        unix, _ = self.unix_pair()
        set_nodelay(unix)
        set_keepalive(unix)
        linger_reset(unix)
        linger_off(unix)
        self.assertFalse(unix.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE))


class PathStateTests(SocketTestCase):
    """TCP_INFO, read at the right offsets."""

    if not sys.platform.startswith("linux"):
        skip = "TCP_INFO as it is read here is Linux's"

    def test_at_rest(self) -> None:
        """What has arrived is acknowledged, and the acknowledgement is young."""
        one, other = self.pair()
        one.sendall(b"x")
        self.assertEqual(other.recv(1), b"x")
        path = path_state(one)
        assert path is not None
        self.assertEqual((path.unacknowledged, path.window_closed), (0, False))
        self.assertLess(path.last_ack_ms, 5000)

    def test_age_of_the_last_acknowledgement(self) -> None:
        """It is in milliseconds, counts from the last acknowledgement (and not from the last data), and grows."""
        one, other = self.pair()
        other.sendall(b"x")
        self.assertEqual(one.recv(1), b"x")
        time.sleep(0.1)
        one.sendall(b"x")
        path = path_state(one)
        while path is not None and path.unacknowledged:
            path = path_state(one)
        assert path is not None
        (last_data,) = struct.unpack_from("@I", one.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256), 52)
        self.assertGreaterEqual(last_data - path.last_ack_ms, 50)
        self.assertGreaterEqual(path.last_data_ms - path.last_ack_ms, 50)
        self.assertEqual(path.silent_ms, path.last_ack_ms)
        time.sleep(0.1)
        later = path_state(one)
        assert later is not None
        self.assertGreaterEqual(later.last_ack_ms - path.last_ack_ms, 90)
        self.assertLess(later.last_ack_ms, 60_000)

    def test_closed_window(self) -> None:
        """A reader who has stopped closes his window, and opens it when he reads again."""
        one, other = self.pair()
        one.setblocking(False)
        path, end = path_state(one), time.monotonic() + 10
        while path is not None and not path.window_closed:
            self.assertLess(time.monotonic(), end)
            try:
                one.send(os.urandom(1 << 16))
            except BlockingIOError:
                path = path_state(one)
        other.settimeout(0.2)
        try:
            while other.recv(1 << 20):
                pass
        except TimeoutError:
            path = path_state(one)
        assert path is not None
        self.assertEqual((path.unacknowledged, path.window_closed), (0, False))

    def test_unacknowledged(self) -> None:
        """Segments that nobody acknowledges are counted: a connection to a listener whose queue is full is such."""
        with socket.create_server(("127.0.0.1", 0), backlog=0) as server:
            waiting = [socket.socket() for _ in range(4)]
            for each in waiting:
                self.addCleanup(each.close)
                each.setblocking(False)
                each.connect_ex(server.getsockname())
            paths = [path_state(each) for each in waiting]
        # The SYN itself is the segment.
        self.assertEqual([path and path.unacknowledged for path in paths[2:]], [1, 1])

    def test_unix(self) -> None:
        """A unix socket has no path."""
        self.assertIsNone(path_state(self.unix_pair()[0]))


class _Between:
    """A TCP socket between two addresses, which refuses to be set."""

    family = socket.AF_INET6

    def __init__(self, own: str, peer: str) -> None:
        self._ends = own, peer
        self.asked: list[bytes] = []

    def getsockname(self) -> tuple[str, int, int, int]:
        return self._ends[0], 1, 0, 0

    def getpeername(self) -> tuple[str, int, int, int]:
        return self._ends[1], 2, 0, 0

    def setsockopt(self, level: int, option: int, value: bytes) -> None:
        assert (level, option) == (socket.IPPROTO_TCP, socket.TCP_CONGESTION)
        self.asked.append(value)
        raise PermissionError(1, "Operation not permitted")


@skipUnless(sys.platform.startswith("linux"), "congestion controls have names on Linux")
class PacingTests(SocketTestCase):
    """spare_pacing and spare_pacing_at: BBR's timers are for networks. Where the socket may not be set all goes on."""

    def system(self, control: bytes) -> None:
        """Let this be the system's congestion control."""
        path = self.mktemp()
        Path(path).write_bytes(control + b"\n")
        self.patch(sockets, "_DEFAULT_CONTROL", path)
        sockets._paces.cache_clear()
        self.addCleanup(sockets._paces.cache_clear)

    def asked(self, own: str, peer: str) -> list[bytes]:
        """Return what a connection that stands is asked for."""
        sock: Any = _Between(own, peer)
        spare_pacing(sock)
        found: list[bytes] = sock.asked
        return found

    def asked_at(self, host: str) -> list[bytes]:
        """Return what a socket of an address is asked for."""
        sock: Any = _Between("", "")
        spare_pacing_at(sock, host)
        found: list[bytes] = sock.asked
        return found

    def test_within_this_machine(self) -> None:
        """Without BBR, whichever its version; one that stands also at all addresses that are the machine's own."""
        for control in (b"bbr", b"bbr3"):
            self.system(control)
            for own, peer in (
                ("127.0.0.1", "127.0.0.1"), ("127.0.0.1", "127.0.0.2"), ("::1", "::1"),
                ("192.0.2.1", "192.0.2.1"), ("::ffff:127.0.0.1", "::ffff:127.0.0.9"),
            ):  # fmt: skip
                self.assertEqual(self.asked(own, peer), [b"reno"], (own, peer))
            for host in ("127.0.0.1", "127.8.0.1", "::1", "::ffff:127.0.0.1"):
                self.assertEqual(self.asked_at(host), [b"reno"], host)

    def test_beyond_it(self) -> None:
        """What leaves the machine, or may come from elsewhere, is sent as its administrator wants it."""
        self.system(b"bbr")
        for own, peer in (("192.0.2.1", "192.0.2.2"), ("2001:db8::1", "2001:db8::2"), ("10.127.0.1", "10.127.0.2")):
            self.assertEqual(self.asked(own, peer), [], (own, peer))
        for host in ("", "0.0.0.0", "::", "192.0.2.1", "1.127.0.0", "localhost"):
            self.assertEqual(self.asked_at(host), [], host)

    def test_another_control(self) -> None:
        """Where the system has any other control, or does not say, nothing is asked for."""
        for control in (b"cubic", b"dctcp", b"reno", b""):
            self.system(control)
            self.assertEqual((self.asked("::1", "::1"), self.asked_at("::1")), ([], []), control)
        self.patch(sockets, "_DEFAULT_CONTROL", "/nowhere")
        sockets._paces.cache_clear()
        self.assertEqual(self.asked_at("::1"), [])

    def test_real(self) -> None:
        """The kernel's own sockets take it at any time; one that is closed, or of another family, is left alone."""
        self.system(b"bbr")
        one, other = self.pair()
        spare_pacing(one)
        self.assertEqual(control_of(one), b"reno")
        one.sendall(b"x")
        self.assertEqual(other.recv(1), b"x")
        one.close()
        spare_pacing(one)
        spare_pacing(self.unix_pair()[0])
        with socket.socket() as fresh, socket.create_server(("127.0.0.1", 0)) as server:
            for sock in (fresh, server):
                spare_pacing_at(sock, "127.0.0.1")
            fresh.connect(server.getsockname())
            accepted, _ = server.accept()
            with accepted:
                self.assertEqual([control_of(sock) for sock in (fresh, accepted)], [b"reno", b"reno"])


def control_of(sock: socket.socket) -> bytes:
    """Return the name of a socket's congestion control."""
    return sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 16).rstrip(b"\0")
