"""The keys of `client:` but for what it publishes."""

from __future__ import annotations

from gotunnel.address import HostPort
from tests.config.files import CLIENT, ClientTestCase


class ClientTests(ClientTestCase):
    """Everything but mappings."""

    def test_defaults(self) -> None:
        """A name, a token, a server and a port are enough."""
        client = self.client("local_ports: 22")
        self.assertEqual((client.name, client.log_level, client.tls.mode), ("edge-07", "info", "required"))
        self.assertEqual(
            (client.dial_timeout, client.drain_timeout, client.heartbeat_interval), (10, 10, None)
        )
        self.assertEqual((client.tls.ca, client.tls.server_name, client.token_file), (None, None, None))

    def test_required(self) -> None:
        """What has no default is asked for, all of it, with an example each."""
        problems = self.problems("client:\n  log_level: info\n")
        keys = [problem.key for problem in problems]
        self.assertEqual(
            sorted(keys), ["client.mappings", "client.name", "client.server_addr", "client.token"]
        )
        self.assertEqual({problem.line for problem in problems}, {1})
        self.assertIn("local_ports: [6443]", str(problems))
        self.assertIn("tunnel.example.com:17000", str(problems))

    def test_server_addr(self) -> None:
        """The port is 17000 unless named; a host must be named."""
        for text, host, port in (
            ("a.example", "a.example", 17000),
            ("a:1", "a", 1),
            ('"[2001:db8::1]:7"', "2001:db8::1", 7),
        ):
            text = CLIENT.replace('"tunnel.example.com:17000"', text) + "  local_ports: 22\n"
            client = self.load(text).client
            assert client is not None
            self.assertEqual(client.server_addr, HostPort(host, port))
        for text in (
            "17000",
            '":17000"',
            "a:0",
            "a:x",
            "http://a",
            '""',
            "<server_ip>:17000",
            "a:1:2",
            "1.2.3",
            "[a]",
        ):
            problem = self.problem(CLIENT.replace('"tunnel.example.com:17000"', text) + "  local_ports: 22\n")
            self.assertEqual((problem.line, problem.key), (4, "client.server_addr"), text)

    def test_name(self) -> None:
        """Names have the characters of the wire contract."""
        for name in ("a b", "ä", "x" * 65, '""', "a/b", '"a\\n"', "[a]"):
            problem = self.problem(
                CLIENT.replace("edge-07", name if name != '"a\\n"' else '"a\\nb"') + "  local_ports: 22\n"
            )
            self.assertEqual((problem.line, problem.key), (2, "client.name"), name)

    def test_tls(self) -> None:
        """A CA file must exist; a server name is a name."""
        ca = self.write("c", "ca.pem")
        tls = self.client("local_ports: 22\n  tls: {ca: ca.pem, server_name: a.example}").tls
        self.assertEqual((tls.ca, tls.server_name), (ca, "a.example"))
        self.assertEqual(self.client("local_ports: 22\n  tls: {server_name: '::1'}").tls.server_name, "::1")
        for text, key in (
            ("ca: none", "ca"),
            ("server_name: 'a:1'", "server_name"),
            ("mode: on", "mode"),
            ("server_name: -a", "server_name"),
        ):
            self.assertEqual(
                [found for found, _ in self.refused(f"local_ports: 22\n  tls: {{{text}}}")],
                [f"client.tls.{key}"],
            )

    def test_dial_timeout(self) -> None:
        """What the server would not wait for is refused, and says so."""
        self.assertEqual(self.client("local_ports: 22\n  dial_timeout: 14").dial_timeout, 14)
        (problem,) = self.problems(f"{CLIENT}  local_ports: 22\n  dial_timeout: 15\n")
        self.assertIn("client.dial_timeout: 15 is not between 0.1 and 14 seconds", str(problem))
        self.assertIn("after 15 the server gives the visitor up", str(problem))

    def test_heartbeat_interval(self) -> None:
        """The original's key is understood."""
        self.assertEqual(self.client("local_ports: 22\n  heartbeat_interval: 15").heartbeat_interval, 15)
        self.assertEqual(len(self.refused("local_ports: 22\n  heartbeat_interval: 0")), 1)
