"""Endpoints as strings: what they may say, what is said of wrong ones, and that they work."""

from __future__ import annotations

import os
from typing import Any

from twisted.internet.endpoints import clientFromString, serverFromString
from twisted.trial.unittest import SynchronousTestCase

from gotunnel.api import ConfigError, TunnelClientEndpoint, TunnelServerEndpoint
from gotunnel.api.strings import CLIENT_OPTIONS, SERVER_OPTIONS
from tests.api.base import ApiTestCase, Service
from tests.integration.base import TOKEN, Peer, reactor


class ParsingTests(SynchronousTestCase):
    """Nothing connects."""

    def setUp(self) -> None:
        """Name the token as a service would."""
        self.patch(os, "environ", {**os.environ, "GOTUNNEL_TOKEN": TOKEN})

    def test_server(self) -> None:
        """Every option of the table is taken."""
        path = self.mktemp()
        with open(path, "w") as file:
            file.write(TOKEN)
        os.chmod(path, 0o600)
        endpoint = serverFromString(
            reactor,
            rf"gotunnel:server.example\:17000:remote=192.0.2.1\:8080:name=web:token_file={path}:tls=off:relay=portable"
            r":profile=kubernetes:timeout=5:mapping=site:encrypt=no:public=yes:clients=a,b-*:group=g:drain=3"
            r":health=http,path=/well\:0,interval=2",
        )
        self.assertIsInstance(endpoint, TunnelServerEndpoint)
        assert isinstance(endpoint, TunnelServerEndpoint)
        settings = endpoint.tunnel._settings
        self.assertEqual(
            (settings.server, settings.name, settings.token_file, settings.tls, settings.relay, settings.profile),
            ("server.example:17000", "web", path, False, "portable", "kubernetes"),
        )
        self.assertEqual(endpoint.remote, "192.0.2.1:8080")
        self.assertEqual(
            endpoint._options,
            {
                "mapping": "site", "encrypt": False, "public": True, "clients": ("a", "b-*"), "group": "g",
                "drain": 3.0, "health": {"type": "http", "path": "/well:0", "interval": 2},
            },
        )  # fmt: skip
        self.assertEqual(endpoint.tunnel._timeout, 5.0)

    def test_client(self) -> None:
        """Likewise; the port of the server may stand behind an unescaped colon, or be absent."""
        for server in (r"server.example\:17000", "server.example:17000", "server.example"):
            endpoint = clientFromString(reactor, rf"gotunnel:{server}:dial=10.0.0.7\:5432:keep=2:encrypt=no")
            assert isinstance(endpoint, TunnelClientEndpoint)
            self.assertEqual(endpoint.tunnel._settings.server, "server.example:17000")
            self.assertEqual((endpoint.target, endpoint._options), ("10.0.0.7:5432", {"keep": 2.0, "encrypt": False}))
        named = clientFromString(reactor, r"gotunnel:s:dial=mapping\:edge/web")
        assert isinstance(named, TunnelClientEndpoint)
        self.assertEqual(named.target, "mapping:edge/web")

    def test_server_of_environment(self) -> None:
        """Without a server in the string the variable names it."""
        os.environ["GOTUNNEL_SERVER"] = "other.example"
        endpoint = serverFromString(reactor, "gotunnel:remote=0")
        assert isinstance(endpoint, TunnelServerEndpoint)
        self.assertEqual(endpoint.tunnel._settings.server, "other.example:17000")

    def test_wrong(self) -> None:
        """One line each, that names the option and the cure; no secret is repeated."""
        os.environ.pop("GOTUNNEL_SERVER", None)
        for text, words in (
            ("gotunnel:remote=1", "server: is missing; name it"),
            ("gotunnel:a:b:remote=1", "a:b: is not one address; write colons in a value as \\:"),
            ("gotunnel:s", "remote: is missing; add remote=8080"),
            ("gotunnel:s:remote=x", "remote: "),
            ("gotunnel:s:remote=1:tls=maybe", "tls: 'maybe' is neither yes nor no"),
            ("gotunnel:s:remote=1:timeout=soon", "timeout: 'soon' is not a number of seconds"),
            ("gotunnel:s:remote=1:drain=nan", "drain: nan is not a number of seconds; give a number from 0 to 86400"),
            ("gotunnel:s:remote=1:drain=-1", "drain: -1.0 is not a number of seconds"),
            ("gotunnel:s:remote=1:health=ping", "health.type: 'ping' is not one of "),
            ("gotunnel:s:remote=1:health=http,/x", "health: '/x' is not an option with its value; write the kind"),
            ("gotunnel:s:remote=1:health=http,interval=[", "health.interval: "),
            ("gotunnel:s:remote=1:ca=/nowhere.pem", "ca: '/nowhere.pem' cannot be read: no such file or directory"),
            (f"gotunnel:s:remote=1:ca={__file__}", f"ca: {__file__}: there is no PEM certificate in it; name a file"),
            (f"gotunnel:s:remote=1:cert={__file__}:key={__file__}", f"cert: {__file__}: there is no usable certif"),
            ("gotunnel:s:tls=maybe:remote=x:drain=soon", "tls: 'maybe' is neither yes nor no; write yes or no | gotu"),
            ("gotunnel:s:remote=1:name=", "name: is empty"),
            ("gotunnel:s:remote=1:name=a b", "name: "),
            ("gotunnel:s:remote=1:colour=red", "colour: is not an option of such an endpoint; the options are name, "),
            ("gotunnel:s:remote=1:proxy_protocol=v2", "proxy_protocol: has no meaning for a protocol factory: getP"),
            ("gotunnel:s:remote=1:protocol=udp", "protocol: is for datagrams, and whoever takes an endpoint listens "),
            ("gotunnel:s:remote=1:idle=5", "idle: is for datagrams, and whoever takes an endpoint listens "),
            (f"gotunnel:s:remote=1:token={TOKEN}", "token: would appear in the list of processes"),
            ("gotunnel:s:remote=1:token_file=/nowhere", "token_file: /nowhere cannot be read"),
            ("gotunnel:s:remote=1:pin=x", "pin: "),
            ("gotunnel:s:remote=1:relay=slow", "relay: "),
            ("gotunnel:s:remote=1:public=no", "remote: has no meaning with public: false"),
            ("gotunnel:s:public=no", "clients: nobody could reach this mapping"),
        ):
            with self.assertRaises(ConfigError) as caught:
                serverFromString(reactor, text)
            self.assertTrue(str(caught.exception).startswith(f"gotunnel: {words}"), str(caught.exception))
            self.assertNotIn(TOKEN, str(caught.exception))
            self.assertNotIn("\n", str(caught.exception))
        for text, words in (
            ("gotunnel:s", "dial: is missing"),
            ("gotunnel:s:dial=nowhere", "dial: "),
            ("gotunnel:s:dial=a\\:1:proxy_protocol=v1", "proxy_protocol: has no meaning for a connection of this"),
            ("gotunnel:s:dial=a\\:1:remote=1", "remote: is not an option of such an endpoint"),
        ):
            with self.assertRaises(ConfigError) as caught:
                clientFromString(reactor, text)
            self.assertTrue(str(caught.exception).startswith(f"gotunnel: {words}"), str(caught.exception))

    def test_all_at_once(self) -> None:
        """All that is wrong is said, once each and in one line, also where it is found by different readers; what was
        refused is not called missing."""
        for parse, text, options in (
            (serverFromString, f"gotunnel:s:remote=x:drain=soon:ca={__file__}:colour=red", "drain colour ca remote"),
            (serverFromString, "gotunnel:s:remote=:mapping=a b", "remote"),
            (clientFromString, "gotunnel:s:dial=nowhere:keep=-1:name=a b", "keep name dial"),
        ):
            error: Any = self.assertRaises(ConfigError, parse, reactor, text)
            self.assertEqual([problem.key for problem in error.problems], options.split(), str(error))
            self.assertEqual(str(error).count("\n"), 0)
            self.assertEqual(str(error).count(" | "), len(options.split()) - 1)

    def test_no_token(self) -> None:
        """There must be one, and the error says how."""
        del os.environ["GOTUNNEL_TOKEN"]
        with self.assertRaises(ConfigError) as caught:
            serverFromString(reactor, "gotunnel:s:remote=1")
        self.assertEqual(
            str(caught.exception),
            "gotunnel: token: there is none; name a token_file, or set the variable GOTUNNEL_TOKEN",
        )

    def test_tables(self) -> None:
        """The options here are those that the pages list."""
        self.assertLessEqual(set(CLIENT_OPTIONS) - {"dial", "keep"}, set(SERVER_OPTIONS))


class WorkingTests(ApiTestCase):
    """A server and a client endpoint, as strings, share one session."""

    async def test_both(self) -> None:
        """What one string listens on, the other reaches by the server's port."""
        server = await self.server(
            token=None, clients=({"name": "me", "token": TOKEN, "allow_dial": ["127.0.0.1:1-65535"]},)
        )
        self.patch(os, "environ", {**os.environ, "GOTUNNEL_TOKEN": TOKEN})
        head = rf"gotunnel:127.0.0.1\:{server.address.port}:name=me"
        service, factory = Service(), Service(Peer)
        listening: Any = serverFromString(reactor, rf"{head}:remote=127.0.0.1\:0")
        port = await listening.listen(service)
        dialling: Any = clientFromString(reactor, rf"{head}:dial=127.0.0.1\:{port.getHost().port}")
        protocol: Any = await dialling.connect(factory)
        protocol.transport.write(b"round")
        await self.until(lambda: protocol.received == b"round", "the echo")
        self.assertEqual(len(server.hub.peers), 1)
        self.assertIs(listening.tunnel._session, dialling.tunnel._session)
        protocol.transport.loseConnection()
        await self.until(lambda: service.made[0].ended, "the end")
        await port.stopListening()
        await self.until(lambda: not listening.tunnel.connected, "nothing is left")
