"""What is over is let go at once. What keeps itself, in a circle of references, waits for Python's collector instead:
that counts objects, and not the memory that TLS takes beside them, and old ones it looks at after tens of thousands of
new ones. So a role would keep legs by the hundred that have ended long ago."""

from __future__ import annotations

import gc
import ssl
import sys
from collections import Counter
from typing import Any, ClassVar
from unittest import skipUnless

from gotunnel.net.biotls import BioTls
from gotunnel.net.fast.compiled import lacking
from gotunnel.net.flow import Flow
from gotunnel.net.greeting import Greeting
from gotunnel.net.ipendpoint import _Attempt
from gotunnel.net.legbase import LegBase
from gotunnel.net.targetflow import _Target
from gotunnel.net.targetsocket import TargetSocket
from gotunnel.server.flows import _Source
from gotunnel.server.greeting import ServerGreeting

from .udp import HOST, UdpTestCase

KINDS = (
    BioTls, Flow, Greeting, LegBase, ServerGreeting, TargetSocket, ssl.SSLObject, _Attempt, _Source, _Target,
)  # fmt: skip


def alive() -> dict[int, Any]:
    """Return what there is of those kinds, used or not."""
    return {id(each): each for each in gc.get_objects() if isinstance(each, KINDS)}


class PortableTests(UdpTestCase):
    """The relay that runs everywhere."""

    relay = "portable"
    no: ClassVar = {"BioTls", "SSLObject", "Greeting", "ServerGreeting"}
    """Kinds of which there is none while legs live: what this relay does without, and what goes with the proof."""

    def setUp(self) -> None:
        super().setUp()
        gc.collect()
        gc.disable()
        self.addCleanup(gc.enable)

    async def test_legs_and_flows(self) -> None:
        """Visitors inside TLS and in clear, a flow, and a client that comes and goes: nothing of it is left, though
        nobody has collected garbage, but what belongs to the control connection. That its session keeps, which is a
        circle: there is one for each time that a client connects."""
        before = alive()
        echo, _ = await self.target()
        server = await self.udp_server(allow_plain_legs=True)
        service, _ = self.service()
        mappings = (self.mapping(echo), self.mapping(echo, "plain", encrypt=False), self.udp(service))
        client = await self.open_client(server, *mappings)
        for name in ("web", "plain"):
            visitor = await self.echoes(self.port_of(client, name))
            visitor.transport.loseConnection()
        asker = self.asker()
        asker.transport.write(b"hallo", (HOST, self.port_of(client, "dns")))
        await self.until(lambda: asker.got, "an answer")
        here = {type(each) for key, each in alive().items() if key not in before}
        self.assertEqual({kind.__name__ for kind in KINDS if not any(issubclass(each, kind) for each in here)}, self.no)
        await self.stop(client)
        await self.until(lambda: not server.hub.left, "nothing of the client is left")
        await self.pause(0.05)
        left = Counter(type(each).__name__ for key, each in alive().items() if key not in before)
        self.assertEqual(left, {"_Attempt": 1})


@skipUnless(sys.platform.startswith("linux"), "the fast relay needs Linux")
class FastTests(PortableTests):
    """The fast relay."""

    relay = "fast"
    no: ClassVar = {"Greeting", "ServerGreeting"}


class NativeTests(FastTests):
    """The same, compiled."""

    relay = "native"

    @skipUnless(lacking() is None, "the extension was not built")
    async def test_legs_and_flows(self) -> None:
        """Its objects are C's, which the collector knows all the same."""
        await super().test_legs_and_flows()
