"""The native relay where the reactor is another one than gotunnel's: `auto` takes it there, too."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from unittest import skipUnless

from gotunnel.net.fast.compiled import NATIVE
from tests.e2e.harness import TunnelTestCase
from tests.e2e.peers import Service, echo

SAID = r"moved by the native \(partly compiled\) relay on the reactor's own descriptors"

PROGRAM = """
import sys
from importlib import import_module

name, server, token, target, plain, sealed = sys.argv[1:]
import_module(f"twisted.internet.{name}reactor").install()

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.logger import globalLogBeginner, textFileLogObserver

from gotunnel.api import Tunnel

async def main():
    tunnel = Tunnel(server, token=token, name=name)
    await tunnel.expose(target, plain, encrypt=False)
    await tunnel.expose(target, sealed)

globalLogBeginner.beginLoggingTo([textFileLogObserver(sys.stderr)], redirectStandardIO=False)
reactor.callWhenRunning(lambda: Deferred.fromCoroutine(main()))
reactor.run()
"""


@skipUnless(sys.platform.startswith("linux") and find_spec(NATIVE), "the native relay was not built")
class RelayTests(TunnelTestCase):
    """Both ends carry visitors, on a plain leg and inside TLS, small and large; and the log says what it is."""

    def carry(self, *ports: int) -> None:
        """Be the visitors."""
        for port in ports:
            for text in (b"a word", b"much " * 100_000):
                self.assert_echo(port, text=text)

    def test_roles(self) -> None:
        """On Twisted's reactor for asyncio, as `twist` runs it."""
        server = self.server(runner="asyncio", relay="auto")
        ports = {name: self.port() for name in ("plain", "sealed")}
        service = Service(self, echo)
        mappings = {name: (service.address, port) for name, port in ports.items()}
        client = self.client(mappings, runner="asyncio", relay="auto", plain=["plain"])
        for role in (server, client):
            role.wait_for(SAID)
        self.carry(*ports.values())

    def test_programs(self) -> None:
        """Programs with reactors of their own, of each kind that waits for descriptors."""
        self.server()
        service = Service(self, echo)
        path = self.write("program.py", PROGRAM)
        for name in ("select", "poll", "epoll", "asyncio"):
            ports = self.port(), self.port()
            words = [name, f"{self.host}:{self.control}", self.token, service.address, *map(str, ports)]
            program = self.launch(name, [sys.executable, path, *words])
            program.wait_for("mapping .* open", 2)
            self.assertEqual(program.count(SAID), 1, program.said)
            self.carry(*ports)
            program.stop()
