"""Sockets of systemd are shared out by what they are: the control port's by its name, a listener's by its address."""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from gotunnel.address import HostPort
from gotunnel.config.model import ServerConfig
from gotunnel.net.descriptors import Descriptors
from gotunnel.net.systemd import ActivationError, Handed
from gotunnel.server.activation import shared_out
from gotunnel.server.listeners import Listener

ADDR = HostPort("127.0.0.1", 17000)
HERE = "127.0.0.1"


class SharedOutTests(SynchronousTestCase):
    """Which socket goes where."""

    def held(self, name: str, host: str = HERE) -> Handed:
        """Return one that systemd would hand over under this name."""
        sock = socket.create_server((host, 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
        self.addCleanup(sock.close)
        return Handed(name, sock)

    def listener(self, address: HostPort) -> Listener:
        """Return one whose configuration says this address."""
        named: Any = [{"plugin": "websocket", "listen": str(address)}]
        config = ServerConfig(token="b5e81a0c97d2463f", listeners=named)
        clock: Any = Clock()
        return Listener(clock, config, config.listeners[0], Descriptors(clock))

    def test_control(self) -> None:
        """The one that is named so, or the only one that is no listener's, whatever its name; none if all are those of
        listeners."""
        control, web = self.held("control"), self.held("web")
        other = self.held("gotunnel-server.socket")
        for handed, expected in (
            ([web, control], control), ([control], control), ([other], other), ([other, web], other), ([web], None),
        ):  # fmt: skip
            listener = self.listener(web.address)
            found = shared_out(handed, ADDR, [listener])
            self.assertIs(found, None if expected is None else expected.socket)
            self.assertEqual(listener.has_socket, web in handed)

    def test_any_address(self) -> None:
        """ListenStream=443 is [::]:443, and a listener's 443 is 0.0.0.0:443: they are the same place, and it listens
        where the socket does."""
        web = self.held("web", "::")
        listener = self.listener(HostPort("0.0.0.0", web.address.port))
        self.assertIsNone(shared_out([web], ADDR, [listener]))
        self.assertEqual(listener.address, web.address)

    def test_one_each(self) -> None:
        """A listener takes one; a second socket for the same place is left over."""
        web = self.held("web")
        again = Handed("again", web.socket)
        with self.assertRaises(ActivationError):
            shared_out([self.held("control"), web, again], ADDR, [self.listener(web.address)])

    def test_left_over(self) -> None:
        """Two control ports, two that may be it, and one that is nobody's, each in one line."""
        for names, words in (
            (("control", "control"), "FileDescriptorName=control"), (("a", "b"), "FileDescriptorName=control"),
            (("control", "web"), "(web), but no listener of the configuration listens"),
        ):  # fmt: skip
            with self.assertRaises(ActivationError) as caught:
                shared_out([self.held(name) for name in names], ADDR, [self.listener(HostPort(HERE, 1))])
            self.assertIn(words, str(caught.exception))

    def test_plugin_that_cannot(self) -> None:
        """A listener of others that knows no sockets of systemd is named."""
        web = self.held("web")
        listener = self.listener(web.address)

        class Deaf:
            address = web.address

        listener._made = Deaf()
        with self.assertRaises(ActivationError) as caught:
            shared_out([web], ADDR, [listener])
        self.assertIn("the listener websocket cannot listen on a socket of systemd", str(caught.exception))
