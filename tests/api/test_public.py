"""What is public and stable of the library, pinned; and that it can be imported before a reactor is chosen."""

from __future__ import annotations

import inspect
import subprocess
import sys
from typing import Any

from twisted.internet.interfaces import IListeningPort, IStreamClientEndpoint, IStreamServerEndpoint
from twisted.plugin import getPlugins
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyClass, verifyObject

from gotunnel import api, errors
from tests.pages import ROOT

TUNNEL = (
    "(self, server: 'str | None' = None, *, name: 'str | None' = None, token: 'str | None' = None, "
    "token_file: 'str | None' = None, pin: 'str | None' = None, ca: 'str | None' = None, cert: 'str | None' = None, "
    "key: 'str | None' = None, server_name: 'str | None' = None, tls: 'bool' = True, relay: 'str' = 'auto', "
    "profile: 'str' = 'default', timeout: 'float' = 30.0, drain: 'float' = 0.0, reactor: 'Any' = None) -> 'None'"
)
EXPOSE = (
    "(self, what: 'int | str | IProtocolFactory | IStreamClientEndpoint | DatagramProtocol', "
    "remote: 'int | str | None' = None, *, mapping: 'str | None' = None, protocol: 'str | None' = None, "
    "idle: 'float | None' = None, encrypt: 'bool' = True, health: 'Any' = None, clients: 'Sequence[str]' = (), "
    "public: 'bool' = True, group: 'str | None' = None, proxy_protocol: 'str' = 'off', timeout: 'float | None' = None, "
    "drain: 'float | None' = None) -> 'Deferred[PublicPort]'"
)
DIAL = (
    "(self, target: 'str', factory: 'IProtocolFactory', *, encrypt: 'bool' = True, timeout: 'float | None' = None, "
    "keep: 'float' = 0.0) -> 'Deferred[IProtocol]'"
)

PUBLIC: dict[str, set[str]] = {
    "AuthRejected": {"code", "reason", "retry_after"},
    "Background": {"close", "expose"},
    "BackgroundPort": {"close"},
    "ConfigError": {"problems"},
    "Connected": {"server"},
    "DialFailed": {"code", "reason"},
    "Event": set(),
    "Expose": set(),
    "GotunnelError": set(),
    "Lost": {"reason", "server"},
    "MappingClosed": {"mapping", "reason"},
    "MappingOpened": {"address", "mapping"},
    "NotConnected": set(),
    "PortUnavailable": {"code", "reason"},
    "PublicPort": {"address", "connected", "getHost", "observe", "startListening", "stopListening"},
    "Tunnel": {"check", "close", "connect", "connected", "dial", "expose", "observe", "ports", "reactor"},
    "TunnelAddress": {"text"},
    "TunnelClientEndpoint": {"connect"},
    "TunnelServerEndpoint": {"listen"},
    "expose": set(),
}  # fmt: skip
"""Every name, and what each class has. To take something away, or to change what a call takes, breaks programs: it
needs a new major version, and a line in the changelog."""


class PublicTests(SynchronousTestCase):
    """The names and what they take."""

    def test_names(self) -> None:
        """No name is missing, and none is public by accident."""
        self.assertEqual(sorted(PUBLIC), sorted(api.__all__))

    def test_members(self) -> None:
        """Each class has what is listed, and nothing else without an underscore."""
        for name, members in PUBLIC.items():
            thing = getattr(api, name)
            if inspect.isclass(thing) and not issubclass(thing, Exception):
                self.assertEqual({word for word in dir(thing) if word[0] != "_"} - _INSTANCE, members - _INSTANCE, name)

    def test_signatures(self) -> None:
        """The calls take what they took."""
        self.assertEqual(str(inspect.signature(api.Tunnel.__init__)), TUNNEL)
        self.assertEqual(str(inspect.signature(api.Tunnel.expose)), EXPOSE)
        self.assertEqual(str(inspect.signature(api.Tunnel.dial)), DIAL)
        self.assertEqual(
            str(inspect.signature(api.expose)),
            "(what: 'int | str | IProtocolFactory | IStreamClientEndpoint | DatagramProtocol', "
            "remote: 'int | str | None' = None, *, server: 'str | None' = None, **options: 'Any') -> 'Expose'",
        )

    def test_errors(self) -> None:
        """The errors are those of gotunnel.errors, and have one root."""
        for name in PUBLIC:
            thing: Any = getattr(api, name)
            if inspect.isclass(thing) and issubclass(thing, Exception):
                self.assertIs(thing, getattr(errors, name))
                self.assertTrue(issubclass(thing, errors.GotunnelError))

    def test_interfaces(self) -> None:
        """What Twisted takes for a port or an endpoint is one."""
        verifyClass(IListeningPort, api.PublicPort)
        verifyClass(IStreamServerEndpoint, api.TunnelServerEndpoint)
        verifyClass(IStreamClientEndpoint, api.TunnelClientEndpoint)

    def test_plugin(self) -> None:
        """Twisted finds the parser, for both kinds."""
        from twisted.internet.interfaces import (
            IStreamClientEndpointStringParserWithReactor,
            IStreamServerEndpointStringParser,
        )

        for kind in (IStreamServerEndpointStringParser, IStreamClientEndpointStringParserWithReactor):
            (found,) = [plugin for plugin in getPlugins(kind) if plugin.prefix == "gotunnel"]
            verifyObject(kind, found)

    def test_no_reactor(self) -> None:
        """A program that imports it can choose its reactor yet; the plugin file imports nothing of it."""
        script = "import sys, gotunnel.api; print('twisted.internet.reactor' in sys.modules)"
        done = subprocess.run(
            [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
        )
        self.assertEqual((done.stdout, done.stderr), ("False\n", ""))


_INSTANCE = {"code", "reason", "retry_after", "problems"}
"""Attributes of instances, which `dir` of a class does not show."""
