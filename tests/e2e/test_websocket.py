"""A WebSocket conversation through the tunnel, with an implementation of RFC 6455 at both ends that is not ours."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator

from twisted.trial.unittest import SkipTest

from tests.e2e.harness import TunnelTestCase
from tests.e2e.services import silence
from tests.processes import DEADLINE

try:
    from websockets.exceptions import ConnectionClosed
    from websockets.sync.client import ClientConnection, connect
    from websockets.sync.server import ServerConnection, serve
except ModuleNotFoundError:
    websockets = False
else:
    websockets = True

MIB = 1 << 20


class WebSocketTests(TunnelTestCase):
    """One service behind one mapping. Neither library sends pings of its own, so that a silence is one."""

    def setUp(self) -> None:
        super().setUp()
        if not websockets:
            raise SkipTest("websockets is not installed: pip install 'websockets>=15'")
        self.closed: list[tuple[int, str] | None] = []
        self.pushed = threading.Event()
        service = serve(self.converse, self.host, 0, max_size=None, ping_interval=None)
        thread = threading.Thread(target=service.serve_forever, daemon=True)
        thread.start()
        self.addCleanup(thread.join, DEADLINE)
        self.addCleanup(service.shutdown)
        self.addCleanup(self.pushed.set)
        port = service.socket.getsockname()[1]
        self.server_process, self.client_process, self.public = self.tunnel(
            f"{self.host}:{port}", heartbeat=0.2, heartbeat_timeout=0.6
        )

    def converse(self, peer: ServerConnection) -> None:
        """The service: speaks first, sends back what comes, and knows three orders."""
        peer.send("welcome")
        try:
            for message in peer:
                if message == "ping me":
                    peer.send("yes" if peer.ping().wait(DEADLINE) else "no")
                elif message == "push":
                    self.pushed.wait(DEADLINE)
                    peer.send("pushed")
                elif message == "close":
                    peer.close(4001, "enough")
                else:
                    peer.send(message)
        except ConnectionClosed as error:  # what any code but 1000 and 1001 is
            self.closed.append((error.rcvd.code, error.rcvd.reason) if error.rcvd else None)

    @contextlib.contextmanager
    def visitor(self) -> Iterator[ClientConnection]:
        """Connect through the tunnel, and hear the welcome."""
        sock = self.visit(self.public)
        address = f"ws://{self.host}:{self.public}/"
        with connect(address, sock=sock, proxy=None, max_size=None, ping_interval=None) as peer:
            self.assertEqual(peer.recv(DEADLINE), "welcome")
            yield peer

    def test_messages(self) -> None:
        """Text, bytes, nothing, large messages, one in fragments, and pings of either end."""
        with self.visitor() as peer:
            for message in ("über, 隧道, 🚇", b"\x00\xff", "", b"", os.urandom(4 * MIB), "x" * MIB):
                peer.send(message)
                self.assertEqual(peer.recv(DEADLINE), message)
            peer.send([b"in ", b"three ", b"fragments"])
            self.assertEqual(peer.recv(DEADLINE), b"in three fragments")
            self.assertTrue(peer.ping().wait(DEADLINE))
            peer.send("ping me")
            self.assertEqual(peer.recv(DEADLINE), "yes")

    def test_push_after_silence(self) -> None:
        """The service may be silent for many heartbeat timeouts, and then speak first."""
        with self.visitor() as peer:
            peer.send("push")
            silence(self, 2)
            self.assertRaises(TimeoutError, peer.recv, 0)
            self.pushed.set()
            self.assertEqual(peer.recv(DEADLINE), "pushed")
        self.assertEqual(self.server_process.count("client client lost"), 0)
        self.assertEqual(self.client_process.count("connection to the server .* lost"), 0)

    def test_service_closes(self) -> None:
        """The service's closing code and reason reach the visitor, whose answer reaches the service."""
        with self.visitor() as peer:
            peer.send("close")
            closed = self.assertRaises(ConnectionClosed, peer.recv, DEADLINE)
            self.assertEqual((closed.rcvd.code, closed.rcvd.reason), (4001, "enough"))
            self.assert_closed((4001, "enough"))

    def test_visitor_closes(self) -> None:
        """And the other way round."""
        with self.visitor() as peer:
            peer.close(4002, "no more")
            self.assert_closed((4002, "no more"))

    def assert_closed(self, expected: tuple[int, str]) -> None:
        """The service has heard this closing code and reason, and the server has seen a clean end."""
        self.wait_until(lambda: bool(self.closed), "the end at the service")
        self.assertEqual(self.closed, [expected])
        self.server_process.wait_for("visitor .* ended: completed")
