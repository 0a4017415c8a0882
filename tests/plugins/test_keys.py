"""Who clients are that prove that they hold a token: the server's own two, one more file, one more token, and those of
others; what each may do, and that none of them opens a door for a name that is somebody else's."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from twisted.internet.testing import EventLoggingObserver
from twisted.logger import formatEvent, globalLogPublisher
from zope.interface.verify import verifyObject

from gotunnel.catalogue import Catalogue
from gotunnel.config.explain import explain
from gotunnel.config.identityfile import FileIdentity, written
from gotunnel.config.model import ServerConfig
from gotunnel.core.identities import KEYS
from gotunnel.errors import AuthRejected, ConfigError, GotunnelError
from gotunnel.interfaces import IKeyAuthenticator
from gotunnel.server.keyauthenticators import FiledIdentities, FiledToken, IdentityKeys, TokenKeys
from gotunnel.server.keyring import Keyring
from gotunnel.server.plugins import plugins_prepared
from gotunnel.wire.messages import MappingRequest
from tests.config.files import SERVER, FileTestCase
from tests.plugins.places import PlaceTestCase
from tests.server.world import OTHER_TOKEN, TOKEN, ServerTestCase, World, identity

THIRD = "0b1f6ad95c42e07b1f6ad95c42338e07"
FOURTH = "5c42338e07e07b1f0b1f6ad96ad95c42"

RING = '''
from zope.interface import implementer
from gotunnel.core.logins import Accepted
from gotunnel.wire.handshake import derive_key

@implementer(IKeyAuthenticator)
class Ring:
    """Knows one client, and does what `fails` says."""

    size = 2
    version = 1
    fails = ()
    asked = []

    def __init__(self, reactor, options):
        pass

    def owns(self, client):
        self._say("owns", client)
        return client == "theirs"

    def keys(self, client, now):
        self._say("keys", client)
        return (derive_key("TOKEN", client) if client == "theirs" else b"n" * 32, b"m" * 32)

    def accept(self, client, key, now):
        self._say("accept", client)
        return Accepted("them") if client == "theirs" and key == derive_key("TOKEN", client) else None

    def _say(self, what, client):
        self.asked.append((what, client))
        if what in self.fails:
            raise RuntimeError("no idea about TOKEN")

ring = Plugin(IKeyAuthenticator, "ring", Ring)
'''


class KeysTestCase(PlaceTestCase, ServerTestCase):
    """A server without sockets, with authenticators of its own choice."""

    def setUp(self) -> None:
        self.module(self.place(), "ring", RING.replace("TOKEN", FOURTH))
        self.hosts = 0
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.log = EventLoggingObserver.createWithCleanup(self, globalLogPublisher)

    @property
    def ring(self) -> Any:
        """The class of the plugin above."""
        return sys.modules["gotunnel.plugins.ring"].Ring

    def file(self, name: str, text: str) -> str:
        """Write a file that only its owner may read."""
        path = self.folder / name
        path.write_text(text)
        path.chmod(0o600)
        return str(path)

    def clients(self, *clients: FileIdentity) -> str:
        """Write one more clients file."""
        path = self.file("new", written(clients).decode())
        os.replace(path, self.folder / "more.json")
        return str(self.folder / "more.json")

    def serving(self, *authenticators: Any, **config: Any) -> World:
        """Return a server that has these."""
        world = self.world(**config)
        self.now_with(world, *authenticators)
        return world

    def now_with(self, world: World, *authenticators: Any) -> None:
        """It has these from now on, as after a reload."""
        named = ServerConfig.model_validate({"token": TOKEN, "authenticators": list(authenticators)}).authenticators
        plugins_prepared(world.hub, world.hub.config.model_copy(update={"authenticators": named}), world.clock)()
        world.hub.identities_changed(world.hub.identities)

    def refused(self, world: World, name: str, token: str) -> None:
        """A login fails as each one does, and nobody is there then."""
        self.hosts += 1  # each from elsewhere: what that costs an address is not the matter here
        host = f"198.51.100.{self.hosts}"
        error = self.assertRaises(AuthRejected, world.login, name, host=host, token=token)
        said = "the client name or the token is wrong"
        self.assertEqual((error.code, error.reason), ("auth_failed", said))

    def lines(self) -> list[str]:
        """Return what the log says."""
        return [formatEvent(event) for event in self.log]


class OwnTests(KeysTestCase):
    """Those of gotunnel's own: found by name, true to the contract, and asked."""

    def test_contract(self) -> None:
        """Each of them keeps the contract, those that a server makes of its configuration too."""
        catalogue = Catalogue()
        path, token = self.clients(identity("a", OTHER_TOKEN)), self.file("token", THIRD)
        made = []
        for name, options in (("identities", {"file": path}), ("token", {"token_file": token})):
            plugin = catalogue.find("keys", name)
            made.append(plugin.make(None, plugin.options.model_validate(options)))
        own = self.serving().hub.keyring.authenticators
        self.assertEqual([type(each) for each in made + own], [FiledIdentities, FiledToken, IdentityKeys, TokenKeys])
        for each in made + own:
            verifyObject(IKeyAuthenticator, each)
            for name in ("a", "nobody"):
                keys = each.keys(name, 0.0)
                self.assertEqual([len(key) for key in keys], [32] * each.size)
        self.assertNotIn(TOKEN, repr(own))

    def test_own_are_asked(self) -> None:
        """The server's own two are asked about each login, whoever it is, and a client comes in by their word alone."""
        config = ServerConfig.model_validate({"clients": [{"name": "listed", "token": OTHER_TOKEN}]})
        world = self.serving(clients=config.clients)
        asked: list[tuple[str, str]] = []

        def listen(kind: Any, method: str) -> None:
            real = getattr(kind, method)

            def heard(it: Any, client: str, *rest: Any) -> Any:
                asked.append((f"{kind.__name__}.{method}", client))
                return real(it, client, *rest)

            self.patch(kind, method, heard)

        for kind in (IdentityKeys, TokenKeys):
            for method in ("keys", "accept"):
                listen(kind, method)
        world.login("anybody")
        world.login("listed", token=OTHER_TOKEN)
        keys = ["IdentityKeys.keys", "TokenKeys.keys"]
        anybody, listed = ([what for what, client in asked if client == name] for name in ("anybody", "listed"))
        self.assertEqual(anybody, [*keys, "IdentityKeys.accept", "TokenKeys.accept"])
        self.assertEqual(listed, [*keys, "IdentityKeys.accept"])
        self.patch(TokenKeys, "accept", lambda *_: None)
        self.refused(world, "another", TOKEN)

    def test_as_many_keys_for_all(self) -> None:
        """As many keys are compared for each name, whosever it is, and all different."""
        config = ServerConfig.model_validate({"clients": [{"name": "listed", "token": OTHER_TOKEN}]})
        more = {"plugin": "identities", "file": self.clients(identity("filed", THIRD), identity("revoked"))}
        one = {"plugin": "token", "token_file": self.file("token", FOURTH), "clients": "ci-*"}
        world = self.serving(more, "ring", one, clients=config.clients)
        for name in ("listed", "filed", "revoked", "theirs", "ci-1", "unknown"):
            keys = world.hub.keys_for(name)
            count = KEYS + 1 + KEYS + 2 + 1
            self.assertEqual((len(keys), {len(key) for key in keys}), (count, {32}), name)


class TokenTests(KeysTestCase):
    """One more shared token."""

    def test_for_some(self) -> None:
        """It opens the names it is for and no other, with the rights that stand beside it; the server's own token opens
        all names still."""
        token = self.file("token", THIRD)
        rights = {"allow_ports": ["20000-20009"]}
        world = self.serving({"plugin": "token", "token_file": token, "clients": "ci-*", **rights})
        client = world.login("ci-1", token=THIRD)
        results = client.register(MappingRequest("low", 19999), MappingRequest("web", 20001))
        self.assertEqual([(each.status, each.code) for each in results], [("fail", "acl_denied"), ("ok", None)])
        self.assertIn("is let in by the authenticator token", "\n".join(self.lines()))
        self.refused(world, "edge", THIRD)
        world.login("edge").publish(19999)
        world.login("ci-2").publish(19998)

    def test_disabled(self) -> None:
        """Disabled it opens nothing; gone from the configuration, it has its clients cut."""
        options = {"plugin": "token", "token_file": self.file("token", THIRD)}
        world = self.serving({**options, "disabled": True})
        self.refused(world, "edge", THIRD)
        self.now_with(world, options)
        client = world.login("edge", token=THIRD)
        self.now_with(world, options, "ring")
        self.assertFalse(client.transport.gone)
        self.now_with(world, "ring")
        self.assertTrue(client.transport.gone)

    def test_replaced(self) -> None:
        """Another token in its file is the only one from then on, as an operator wants whose token was seen: who came
        by the former one is cut. A file that holds none changes nothing, and is said once."""
        path = self.file("token", THIRD)
        world = self.serving({"plugin": "token", "token_file": path})
        client, other = world.login("one", token=THIRD), world.login("two")
        self.file("token", "short")
        for _ in range(3):
            world.hub.expire()
        self.assertFalse(client.transport.gone)
        self.assertEqual(sum("authenticator token has changed but cannot be used" in line for line in self.lines()), 1)
        self.file("token", FOURTH)
        world.hub.expire()
        self.assertEqual([each.transport.gone for each in (client, other)], [True, False])
        self.refused(world, "one", THIRD)
        world.login("one", token=FOURTH)
        self.assertFalse([line for line in self.lines() if FOURTH in line or THIRD in line])

    def test_of_no_warning(self) -> None:
        """Who comes in by it is not counted as one that holds the server's own token."""
        world = self.serving({"plugin": "token", "token_file": self.file("token", THIRD)})
        world.login("one", token=THIRD)
        world.login("two")
        self.assertFalse(any("several clients use one token" in line for line in self.lines()))
        world.login("three")
        self.assertTrue(any("several clients use one token" in line for line in self.lines()))

    def test_overheard(self) -> None:
        """A token that clients of version 1 send in clear opens nothing else, whoever would know it."""
        v1 = ServerConfig.model_validate({"token": TOKEN, "v1": {"enabled": True, "token": THIRD}}).v1
        token = {"plugin": "token", "token_file": self.file("token", THIRD)}
        file = {"plugin": "identities", "file": self.clients(identity("a", THIRD))}
        for named, name in ((token, "token"), (file, "identities")):
            error = self.assertRaises(GotunnelError, self.serving, named, v1=v1)
            said = f"a token of the authenticator {name} is that of server.v1 too, and crosses the wire in clear; give"
            self.assertTrue(str(error).startswith(said), str(error))

    def test_no_token(self) -> None:
        """A file without a token that can be one stops the start, in one line without what is in it."""
        gone = "cannot be read: no such file or directory"
        for text, said in (("short", "configuration: server.authenticators: "), (None, gone)):
            path = str(self.folder / "nowhere") if text is None else self.file("token", text)
            error = self.assertRaises(GotunnelError, self.serving, {"plugin": "token", "token_file": path})
            self.assertIn(said, str(error))
            self.assertNotIn("\n", str(error))


class IdentitiesTests(KeysTestCase):
    """One more clients file."""

    def test_rights(self) -> None:
        """Its clients come in by their own keys, with their own rights; nobody else's token opens their names."""
        path = self.clients(identity("team-1", THIRD, allow_ports=["30000"]), identity("revoked"))
        shared = {"plugin": "token", "token_file": self.file("token", FOURTH)}
        world = self.serving(shared, {"plugin": "identities", "file": path})
        client = world.login("team-1", token=THIRD)
        results = client.register(MappingRequest("low", 1999), MappingRequest("web", 30000))
        self.assertEqual([each.status for each in results], ["fail", "ok"])
        for token in (TOKEN, FOURTH):
            self.refused(world, "team-1", token)
            self.refused(world, "revoked", token)
            world.login("other", token=token)

    def test_own_come_first(self) -> None:
        """A name of the server's own clients is theirs, whatever another file says."""
        config = ServerConfig.model_validate({"clients": [{"name": "edge", "token": OTHER_TOKEN}]})
        path = self.clients(identity("edge", THIRD))
        world = self.serving({"plugin": "identities", "file": path}, clients=config.clients)
        self.refused(world, "edge", THIRD)
        world.login("edge", token=OTHER_TOKEN)

    def test_changed(self) -> None:
        """A change of the file takes effect within a second: who is revoked is cut, rights change, and one who takes a
        name is its only owner; a file that cannot be read changes nothing and is said once."""
        path = self.clients(identity("a", THIRD), identity("b", FOURTH))
        world = self.serving({"plugin": "identities", "file": path})
        one, two, shared = world.login("a", token=THIRD), world.login("b", token=FOURTH), world.login("c")
        port = two.publish(2000)
        self.clients(identity("a"), identity("b", FOURTH, allow_ports=["3000"]), identity("c", OTHER_TOKEN))
        world.hub.expire()
        self.assertEqual([each.transport.gone for each in (one, two, shared)], [True, False, True])
        world.clock.advance(0)
        world.clock.advance(0)
        self.assertFalse(port.open)
        self.assertIn("the rights of this client have changed", str(two.heard()))  # and so it comes again
        two = world.login("b", b"two", token=FOURTH)
        two.publish(3000)
        Path(path).write_text("{")
        for _ in range(3):
            world.hub.expire()
        self.assertFalse(two.transport.gone)
        self.assertEqual(sum("has changed but cannot be used" in line for line in self.lines()), 1)
        Path(path).unlink()
        world.hub.expire()
        self.assertFalse(two.transport.gone)

    def test_expires(self) -> None:
        """One who may stay until a moment is cut then."""
        world = self.world()
        path = self.clients(identity("a", THIRD, expires=world.wall + 60))
        self.now_with(world, {"plugin": "identities", "file": path})
        client = world.login("a", token=THIRD)
        world.wall += 61
        world.hub.expire()
        self.assertTrue(client.transport.gone)
        self.refused(world, "a", THIRD)

    def test_not_there(self) -> None:
        """A file that is not there, or is none, stops the start with its reason."""
        options = {"plugin": "identities", "file": str(self.folder / "nowhere.json")}
        self.assertIn("cannot be read", str(self.assertRaises(ConfigError, self.serving, options)))


class OthersTests(KeysTestCase):
    """Somebody else's."""

    def test_let_in(self) -> None:
        """Its client comes in by the key that it knows, and by no other; it is asked for keys about every login."""
        world = self.serving("ring")
        world.login("theirs", token=FOURTH)
        self.refused(world, "theirs", TOKEN)
        self.refused(world, "unknown", FOURTH)
        world.login("edge")
        asked = [client for what, client in self.ring.asked if what == "keys"]
        self.assertEqual(asked, ["theirs", "theirs", "unknown", "edge"])
        self.ring.asked.clear()

    def test_taken_back(self) -> None:
        """When its version differs it is asked about its clients again, and who is accepted no more is cut."""
        world = self.serving("ring")
        client = world.login("theirs", token=FOURTH)
        self.patch(self.ring, "accept", lambda *_: None)
        world.hub.expire()
        self.assertFalse(client.transport.gone)
        self.patch(self.ring, "version", 2)
        world.hub.expire()
        self.assertTrue(client.transport.gone)

    def test_fails(self) -> None:
        """Whatever fails in it lets nobody in, in the words of a wrong token, and is logged once, without what it says;
        as long as it cannot say whose a name is, no name is opened but those of the server's own clients."""
        config = ServerConfig.model_validate({"clients": [{"name": "listed", "token": OTHER_TOKEN}]})
        for what, shared in (("keys", True), ("accept", True), ("owns", False)):
            world = self.serving("ring", clients=config.clients)
            self.patch(self.ring, "fails", (what,))
            world.login("listed", token=OTHER_TOKEN)
            if shared:
                self.refused(world, "theirs", FOURTH)
                world.login("edge")
            else:
                self.refused(world, "edge", TOKEN)
            self.patch(self.ring, "fails", ())
            world.login("theirs", token=FOURTH)
            said = [line for line in self.lines() if f"the authenticator ring failed in {what}" in line]
            self.assertEqual(len(said), 1, said)
        self.assertNotIn(FOURTH, "\n".join(self.lines()))

    def test_nonsense(self) -> None:
        """Answers that are none of what they may be let nobody in; a size that is none stops the start."""
        world = self.serving("ring")
        for method, answer in (("keys", []), ("keys", ["x" * 32, "y" * 32]), ("accept", True), ("keys", None)):
            with_it = self.patch(self.ring, method, lambda *_, answer=answer: answer)
            self.refused(world, "theirs", FOURTH)
            with_it.restore()
        for size in (0, 9, True, None):
            self.patch(self.ring, "size", size)
            error = self.assertRaises(GotunnelError, Keyring, None, world.hub.keyring.configs)
            self.assertIn("the authenticator ring has no size from 1 to 8", str(error))


class ConfigTests(FileTestCase):
    """What a file says of them."""

    def test_modes(self) -> None:
        """Nothing is shown to them, and so they may be there without TLS; what a start says tells them from those who
        see tokens."""
        token = self.write(THIRD, "other")
        named = f"  authenticators: {{plugin: token, token_file: {token}, clients: ci-*}}\n"
        file = self.load(f"{SERVER}{named}  tls: {{mode: 'off'}}\n")
        server = file.server
        assert server is not None
        self.assertEqual([(each.plugin, each.shown) for each in server.authenticators], [("token", False)])
        told = "server: also lets in, by their keys, what these plugins know: token"
        self.assertIn(told, explain(file))
        found = self.problem(f"{SERVER}  authenticators: {{plugin: token}}\n")
        self.assertEqual((found.key, found.wrong), ("server.authenticators[0].token_file", "is missing"))
