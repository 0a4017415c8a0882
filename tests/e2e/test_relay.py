"""The native relay where it is named though the reactor is another one than gotunnel's."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from unittest import skipUnless

from gotunnel.net.fast.compiled import NATIVE
from tests.e2e.harness import TunnelTestCase
from tests.e2e.peers import Service, echo


class RelayTests(TunnelTestCase):
    """On Twisted's reactor for asyncio, as `twist` runs it."""

    @skipUnless(sys.platform.startswith("linux") and find_spec(NATIVE), "the native relay was not built")
    def test_another_reactor(self) -> None:
        """Both ends carry visitors, on a plain leg and inside TLS, small and large; and the log says what it is."""
        server = self.server(runner="asyncio", relay="native")
        ports = {name: self.port() for name in ("plain", "sealed")}
        service = Service(self, echo)
        mappings = {name: (service.address, port) for name, port in ports.items()}
        client = self.client(mappings, runner="asyncio", relay="native", plain=["plain"])
        for role in (server, client):
            role.wait_for("moved by the native relay, the fast one in part compiled on the reactor's own descriptors")
        for port in ports.values():
            for text in (b"a word", b"much " * 100_000):
                self.assert_echo(port, text=text)
