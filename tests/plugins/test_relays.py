"""Relays by name: those that gotunnel has, and one of somebody else's."""

from __future__ import annotations

from importlib.util import find_spec

from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from gotunnel.catalogue import Catalogue
from gotunnel.config.model import ServerConfig
from gotunnel.config.plugged import RelayConfig
from gotunnel.errors import GotunnelError
from gotunnel.interfaces import IRelay
from gotunnel.net import choice
from gotunnel.net.descriptors import Descriptors
from gotunnel.net.fast.compiled import NATIVE
from tests.config.files import CLIENT, SERVER, FileTestCase
from tests.integration.base import TOKEN, IntegrationTestCase
from tests.plugins.places import PlaceTestCase, ReactorPlaceTestCase

ACME = '''
class O(Options):
    loud: bool = Field(default=False, description="x")
    broken: bool = Field(default=False, description="x")

def acme(reactor, options, dial_timeout, descriptors):
    from gotunnel.net.relay import PortableRelay
    if options.broken:
        raise GotunnelError("relay: acme cannot run here; write relay: auto")
    class Acme(PortableRelay):
        name = "acme"
        loud = options.loud
    return Acme(reactor, dial_timeout, descriptors)

relay = Plugin(IRelay, "acme", acme, options=O)
'''


class OwnTests(SynchronousTestCase):
    """Those of gotunnel."""

    def test_contract(self) -> None:
        """Each is a relay, under its own name; the native one where it was built."""
        for name in ("portable", "fast", "native") if find_spec(NATIVE) else ("portable", "fast"):
            reactor = MemoryReactorClock()
            relay = Catalogue().find("relay", name).make(reactor, None, 10.0, Descriptors(reactor))
            self.addCleanup(relay.stop)
            self.assertTrue(verifyObject(IRelay, relay))
            self.assertEqual(relay.name, name)

    def test_unfit(self) -> None:
        """One that cannot run here says so, as ever."""
        self.patch(choice, "_obstacle", lambda: "needs Linux")
        reactor = MemoryReactorClock()
        for name in ("fast", "native"):
            relay = Catalogue().find("relay", name)
            error = self.assertRaises(GotunnelError, relay.make, reactor, None, 10.0, Descriptors(reactor))
            self.assertEqual(str(error), f"relay: {name} cannot be had here: it needs Linux; write relay: auto")


class ConfiguredTests(PlaceTestCase, FileTestCase):
    """`relay` of either role."""

    def setUp(self) -> None:
        super().setUp()
        self.module(self.place(), "acme", ACME)

    def test_named(self) -> None:
        """Words of gotunnel's own stay words; a plugin has options."""
        for text in ("auto", "portable", "native", "acme", "{plugin: acme}"):
            expected = text.removeprefix("{plugin: ").removesuffix("}")
            file = self.load(f"{SERVER}  relay: {text}\n{CLIENT}  local_ports: 22\n  relay: {text}\n")
            assert file.server is not None and file.client is not None
            self.assertEqual((str(file.server.relay), str(file.client.relay)), (expected, expected))
            self.assertEqual(isinstance(file.server.relay, RelayConfig), expected == "acme")
        for text, key, why in (
            ("quick", "server.relay", "'quick' is not one of auto, portable, fast, native, acme"),
            ("{plugin: acme, loud: 7}", "server.relay.loud", "is not what the plugin acme takes: "),
            ("3", "server.relay", "3 is not a plugin"),
        ):
            found = self.problem(f"{SERVER}  relay: {text}\n")
            self.assertEqual(found.key, key)
            self.assertTrue(found.wrong.startswith(why), found.wrong)


class RunningTests(ReactorPlaceTestCase, IntegrationTestCase):
    """Roles that move bytes by it."""

    async def test_used(self) -> None:
        """The bytes of a visitor pass through it, at both ends; one that cannot run is a mistake of the file."""
        self.module(self.place(), "acme", ACME)
        target, _ = await self.target()
        named = {"plugin": "acme", "loud": True}
        server = await self.server(relay=named)
        client = await self.open_client(server, self.mapping(target), relay=named)
        for role in (server, client):
            self.assertEqual((role.relay.name, role.relay.loud), ("acme", True))  # type: ignore[attr-defined]
        await self.echoes(self.port_of(client))
        self.assertIn("bytes are moved by the relay acme, a plugin", self.lines())
        broken = ServerConfig.model_validate({"token": TOKEN, "relay": {"plugin": "acme", "broken": True}})
        with self.assertRaises(GotunnelError) as caught:
            choice.choose_relay(broken.relay, MemoryReactorClock())
        self.assertEqual(str(caught.exception), "relay: acme cannot run here; write relay: auto")
