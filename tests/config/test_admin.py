"""The `admin` group of either role."""

from __future__ import annotations

from typing import Any

from gotunnel.address import HostPort
from gotunnel.config.load import load
from gotunnel.config.model import AdminConfig
from gotunnel.errors import ConfigError
from tests.config.files import FileTestCase

TOKEN = "7f3a9c51e8d24b60af17c3925be8d046"
OPERATORS = "c94e01b7d6f85a2338e07b1f6ad95c42"


class AdminTests(FileTestCase):
    """What is taken, and what is refused."""

    def admin(self, text: str) -> AdminConfig:
        """Return the group of a server whose file has this behind `admin:`."""
        server = load(self.write(f'server:\n  token: "{TOKEN}"\n  admin: {text}\n'), {}).server
        assert server is not None
        return server.admin

    def refused(self, text: str) -> str:
        """Return what is said of it."""
        return str(self.assertRaises(ConfigError, self.admin, text))

    def test_default(self) -> None:
        """A socket, no address, no token."""
        it = self.admin("{}")
        self.assertEqual((it.enabled, it.socket, it.addr, it.token), (True, None, None, None))

    def test_off(self) -> None:
        """One word turns it off, whatever YAML makes of it."""
        for word in ("false", "no", "off", '"off"', "{enabled: false}"):
            self.assertFalse(self.admin(word).enabled, word)
        self.assertTrue(self.admin("true").enabled)

    def test_address(self) -> None:
        """A port alone is on loopback; beyond that there must be a token."""
        self.assertEqual(self.admin("{addr: 17080}").addr, HostPort("127.0.0.1", 17080))
        self.assertEqual(self.admin('{addr: "[::1]:17080"}').addr, HostPort("::1", 17080))
        for address in ('"0.0.0.0:17080"', '"192.0.2.1:17080"', '"[::]:17080"'):
            said = self.refused(f"{{addr: {address}}}")
            self.assertIn("server.admin.token: there is no token", said)
            self.assertIn("name a token_file", said)
        self.assertIn("only an IP address can be bound", self.refused('{addr: "admin.example:17080"}'))

    def test_secret_of_its_own(self) -> None:
        """It travels without TLS, and whoever scrapes metrics has it: so it is no token of clients, shared, own or of
        version 1, nor that of a client's own file."""
        said = self.refused(f'{{addr: 17080, token: "{TOKEN}"}}')
        self.assertIn("server.admin.token: is a token of clients too", said)
        self.assertIn("gotunnel token", said)
        for more, key in (
            (f'  clients: [{{name: edge, token: ["{OPERATORS}"]}}]\n', "server.admin.token"),
            (f'  v1: {{enabled: true, token: "{OPERATORS}", allow_ports: [8080]}}\n', "server.v1.token"),
        ):
            text = f'server:\n  token: "{TOKEN}"\n  admin: {{addr: 17080, token: "{OPERATORS}"}}\n{more}'
            said = str(self.assertRaises(ConfigError, load, self.write(text), {}))
            self.assertIn(f"{key}: is a", said)
            self.assertNotIn(OPERATORS, said)
        client = f'client:\n  name: edge\n  server_addr: "h:1"\n  local_ports: 1\n  token: "{TOKEN}"\n'
        text = f'{client}  admin: {{addr: 17080, token: "{TOKEN}"}}\n'
        said = str(self.assertRaises(ConfigError, load, self.write(text), {}))
        self.assertIn("client.admin.token: is a token of clients too", said)

    def test_token_file(self) -> None:
        """The token can be in a file; the environment's one is not it."""
        path = self.write(f"{OPERATORS}\n", "admin.token")
        path.chmod(0o600)
        it = self.admin('{addr: "0.0.0.0:17080", token_file: admin.token}')
        assert it.token is not None
        self.assertEqual(it.token.get_secret_value(), OPERATORS)
        self.assertIn("both name a token", self.refused(f'{{token: "{OPERATORS}", token_file: admin.token}}'))
        path.chmod(0o644)
        self.assertIn("chmod 600", self.refused("{token_file: admin.token}"))

    def test_refused(self) -> None:
        """Each mistake has its line, and its cure."""
        for text, words in (
            ("{soket: x}", "server.admin.soket"), ("{socket: /run/x.sock}", "is not a unix socket"),
            ('{socket: "unix:/run/x\\0y"}', "has a NUL character"),
            ("{hosts: ['a b']}", "is not a host's name"), ("17080", "server.admin"), ("[1]", "server.admin"),
        ):  # fmt: skip
            self.assertIn(words, self.refused(text), text)

    def test_client(self) -> None:
        """The client has the same group."""
        section: Any = f'client:\n  name: a\n  server_addr: b\n  local_ports: [1]\n  token: "{TOKEN}"\n  admin: off\n'
        client = load(self.write(section), {}).client
        assert client is not None
        self.assertFalse(client.admin.enabled)
