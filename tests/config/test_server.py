"""The keys of `server:`, what they take, and what they become."""

from __future__ import annotations

from pydantic import ValidationError

from gotunnel.address import HostPort
from gotunnel.config.model import LimitsConfig, PenaltiesConfig, ServerConfig
from gotunnel.config.places import OWN_PORT
from tests.config.files import SERVER, TOKEN, FileTestCase


class ServerTests(FileTestCase):
    """A server's section."""

    def server(self, lines: str) -> ServerConfig:
        """Load a section with a token and these lines."""
        server = self.load(f"{SERVER}  {lines}\n").server
        assert server is not None
        return server

    def test_defaults(self) -> None:
        """A token is enough; everything else has the default of the reference."""
        server = self.load(SERVER).server
        assert server is not None
        self.assertEqual(server.addr, HostPort("0.0.0.0", 17000))
        self.assertEqual((server.log_level, server.relay, server.allow_plain_legs), ("info", "auto", False))
        self.assertEqual((server.tls.mode, server.tls.cert, server.tls.key), ("required", None, None))
        self.assertEqual((server.heartbeat, server.heartbeat_timeout, server.handshake_timeout), (10, 30, 5))
        self.assertEqual(
            (server.leg_wait, server.drain_timeout, server.allow_ports), (10, 10, ("1024-65535",))
        )
        limits = {"unauthenticated": 256, "unauthenticated_per_address": 32, "mappings": 128}
        limits |= {"legs": 4096, "visitors": 4096, "pending": 1024, "messages": 100}
        self.assertEqual(server.limits, LimitsConfig(**limits))

    def test_profile_with_space(self) -> None:
        """Space around a word does not count: what accepts the word also sees which one it is."""
        server = self.load(f"{SERVER}  profile: ${{PROFILE}}\n", {"PROFILE": "kubernetes "}).server
        assert server is not None
        self.assertEqual((server.profile, server.heartbeat, server.heartbeat_timeout), ("kubernetes", 5, 15))

    def test_addr(self) -> None:
        """A port alone, with or without a colon, listens on every address; an IPv6 address needs brackets."""
        for text, host, port in (
            ("17001", "0.0.0.0", 17001),
            ('"17001"', "0.0.0.0", 17001),
            ('":17001"', "0.0.0.0", 17001),
            ("10.0.0.1:1", "10.0.0.1", 1),
            ('"[::]:17001"', "::", 17001),
            ("10.0.0.1", "10.0.0.1", 17000),
            ("127.0.0.1:0", "127.0.0.1", 0),
            ('" 10.0.0.1:1 "', "10.0.0.1", 1),
        ):
            self.assertEqual(self.server(f"addr: {text}").addr, HostPort(host, port), text)
        for text in (
            '""',
            "a b",
            "::1",
            "10.0.0.1:65536",
            "10.0.0.256:1",
            "-1",
            "1.5",
            "[1]",
            "{a: 1}",
            "true",
            "x:1",
            "localhost:17000",
        ):
            problem = self.problem(f"{SERVER}  addr: {text}\n")
            self.assertEqual((problem.line, problem.key), (3, "server.addr"), text)

    def test_log_level(self) -> None:
        """The original's four words; `warning` is told what it is called here."""
        for word in ("debug", "info", "warn", "error"):
            self.assertEqual(self.server(f"log_level: {word}").log_level, word)
        self.assertIn("did you mean warn?", self.problem(f"{SERVER}  log_level: warning\n").cure)
        for word in ("trace", "WARN", "1", "[info]", '""'):
            self.assertIn(
                "is not one of debug, info, warn, error", self.problem(f"{SERVER}  log_level: {word}\n").wrong
            )

    def test_seconds(self) -> None:
        """Durations are plain numbers within bounds; no infinity, no unit, no flag."""
        self.assertEqual(self.server("leg_wait: 2.5").leg_wait, 2.5)
        self.assertEqual(self.server("drain_timeout: 0").drain_timeout, 0)
        self.assertEqual(self.server("handshake_timeout: 10").handshake_timeout, 10)
        for text in ("11", "0", "-1", "true", "10s", ".inf", ".nan", "nan", "1e1", '"inf"', "[5]", '""'):
            problem = self.problem(f"{SERVER}  handshake_timeout: {text}\n")
            self.assertEqual(problem.cure, "write seconds from 0.1 to 10", text)

    def test_heartbeat(self) -> None:
        """A timeout that no heartbeat could keep alive is refused, with the number to write."""
        self.assertEqual(self.server("heartbeat: 29.5").heartbeat, 29.5)
        problem = self.problem(f"{SERVER}  heartbeat: 30\n")
        self.assertEqual(problem.key, "server.heartbeat_timeout")
        self.assertIn("90", problem.cure)

    def test_allow_ports(self) -> None:
        """Numbers and ranges, one or a list; they stay what core.ports reads."""
        self.assertEqual(self.server("allow_ports: 443").allow_ports, (443,))
        self.assertEqual(self.server("allow_ports: 1024 - 2048").allow_ports, ("1024-2048",))
        self.assertEqual(self.server('allow_ports: [443, "6443", 1-2]').allow_ports, (443, 6443, "1-2"))
        for text in (
            "0",
            "65536",
            "a",
            "2-1",
            "1-",
            "-2",
            "1-2-3",
            '""',
            "1-65536",
            "1.5",
            "true",
            "22:22",
            "1,2",
        ):
            problem = self.problem(
                f"{SERVER}  allow_ports: [443, {text!s}]\n"
                if text != "1,2"
                else f"{SERVER}  allow_ports: [443, '1,2']\n"
            )
            self.assertEqual(problem.key, "server.allow_ports[1]", text)
        self.assertEqual(len(self.problems(f"{SERVER}  allow_ports: [a, 443, 70000]\n")), 2)
        self.assertIn("no port at all", self.problem(f"{SERVER}  allow_ports: []\n").wrong)

    def test_limits(self) -> None:
        """Whole numbers from 1; each has its own key in the message."""
        self.assertEqual(self.server("limits: {legs: 7}").limits.legs, 7)
        keys = [
            problem.key
            for problem in self.problems(
                f"{SERVER}  limits: {{legs: 0, pending: 1.5, visitors: x, mappings: true}}\n"
            )
        ]
        self.assertEqual(
            sorted(keys), [f"server.limits.{key}" for key in ("legs", "mappings", "pending", "visitors")]
        )

    def test_penalties(self) -> None:
        """The defaults are OpenSSH's; networks are networks, and the maximum is not below the minimum."""
        self.assertEqual(self.server("penalties: {}").penalties, PenaltiesConfig())
        found = self.server("penalties: {enabled: off, exempt: [10.0.0.0/8, 192.0.2.7, '2001:db8::/32']}").penalties
        self.assertFalse(found.enabled)
        self.assertEqual(found.exempt, ("10.0.0.0/8", "192.0.2.7/32", "2001:db8::/32"))
        self.assertEqual(self.server("penalties: {exempt: []}").penalties.exempt, ())
        for text, words in (
            ("exempt: [10.0.0.1/8]", 'write "10.0.0.0/8"'),
            ("exempt: nowhere", "is not a network"),
            ("exempt: [10]", "quote it"),
            ("maximum: 3", "less than minimum"),
            ("auth_failure: -1", "not between 0 and"),
        ):
            problem = self.problem(f"{SERVER}  penalties: {{{text}}}\n")
            self.assertIn(words, f"{problem.wrong}; {problem.cure}", text)

    def test_certificate(self) -> None:
        """cert and key come together, exist, and are relative to the file that names them."""
        cert, key = self.write("c", "cert.pem"), self.write("k", "key.pem")
        tls = self.server(f"tls: {{cert: cert.pem, key: '{key}'}}").tls
        self.assertEqual((tls.cert, tls.key), (cert, key))
        for text, key_path in (
            ("cert: cert.pem", "server.tls.key"),
            ("key: key.pem", "server.tls.key"),
            ("cert: none.pem, key: key.pem", "server.tls.cert"),
            ("cert: cert.pem, key: '.'", "server.tls.key"),
            ('cert: "a\\0b", key: key.pem', "server.tls.cert"),
            (f"cert: cert.pem, key: {'x' * 300}", "server.tls.key"),
        ):
            self.assertEqual(self.problem(f"{SERVER}  tls: {{{text}}}\n").key, key_path)

    def test_pasted_key(self) -> None:
        """A private key that was pasted into the file is not repeated."""
        self.write("c", "cert.pem")
        text = f"{SERVER}  tls:\n    cert: cert.pem\n    key: |\n      -----BEGIN PRIVATE KEY-----\n      {TOKEN}\n"
        problem = self.problem(text)
        self.assertIn("PEM text", problem.wrong)
        self.assertNotIn(TOKEN, str(problem))

    def test_unused_certificate(self) -> None:
        """A certificate beside `mode: off` is a warning."""
        self.write("c", "c.pem")
        file = self.load(f"{SERVER}  tls: {{mode: off, cert: c.pem, key: c.pem}}\n")
        self.assertEqual(file.warnings, ["server.tls.cert: is not used, since server.tls.mode is off"])

    def test_frozen(self) -> None:
        """A loaded configuration cannot be changed."""
        server = self.server("addr: 1")
        self.assertRaises(ValidationError, setattr, server, "addr", HostPort("1.1.1.1", 1))

    def test_built_in_python(self) -> None:
        """Models can be built without a file, from Python's own types, with the same rules."""
        server = ServerConfig(token=TOKEN, addr=HostPort("127.0.0.1", 0), allow_ports=[6443])
        self.assertEqual((server.addr.port, server.allow_ports), (0, (6443,)))
        error = self.assertRaises(ValidationError, ServerConfig, token="changeme")
        self.assertIn("placeholder", str(error))


class UnknownKeyTests(FileTestCase):
    """Keys that nobody reads."""

    def cure(self, text: str) -> str:
        """Return what is suggested for the one unknown key."""
        problem = self.problem(text)
        self.assertEqual(problem.wrong, "is not a known key")
        return problem.cure

    def test_close(self) -> None:
        """A slip of the finger, a dash or capitals are recognised."""
        for key, meant in (
            ("log-level", "log_level"),
            ("Addr", "addr"),
            ("alow_ports", "allow_ports"),
            ("heart_beat", "heartbeat"),
        ):
            self.assertIn(meant, self.cure(f"{SERVER}  {key}: 1\n"))
        self.assertIn("mode", self.cure(f"{SERVER}  tls: {{moed: off}}\n"))
        self.assertIn("did you mean server", self.cure(f"{SERVER}sever: 1\n"))

    def test_other_section(self) -> None:
        """A key of another section is sent there."""
        self.assertIn("client.server_addr", self.cure(f"{SERVER}  server_addr: a\n"))
        self.assertIn("server.allow_ports", self.cure(f"{SERVER}allow_ports: 1\n"))
        self.assertIn("server.tls.cert", self.cure(f"{SERVER}  cert: a\n"))
        self.assertIn("server.allow_ports", self.cure(f"{SERVER}alow_ports: 1\n"))

    def test_nothing_like_it(self) -> None:
        """Otherwise the keys that exist are listed."""
        self.assertEqual(self.cure(f"{SERVER}  tls: {{zzz: 1}}\n"), "remove it; known here: mode, cert, key, client_ca")

    def test_escaped(self) -> None:
        """A key with a control character cannot reach the terminal."""
        problem = self.problem(f'{SERVER}  "a\\e[31m": 1\n')
        self.assertEqual(problem.key, "server.a\\x1b[31m")


class OwnPortsTests(FileTestCase):
    """A server's own ports: a file that gives one to two things is refused, rather than that the server is told by the
    system that somebody has it: itself."""

    def test_twice(self) -> None:
        """By whichever address it would be the same; the line names the second one."""
        ws = "listeners: [{plugin: websocket, listen: %s}]"
        for lines, key in (
            ("addr: 17000\n  admin: {addr: 17000}", "server.admin.addr"),
            ("addr: 17000\n  " + ws % "17000", "server.listeners[0].listen"),
            ("addr: '127.0.0.1:17000'\n  " + ws % "'[::]:17000'", "server.listeners[0].listen"),
            ("addr: 17000\n  admin: {addr: 443}\n  " + ws % "'127.0.0.1:443'", "server.admin.addr"),
            ("addr: 17000\n  listeners: [{plugin: websocket, listen: 443}, {plugin: websocket, listen: 443}]",
             "server.listeners[1].listen"),
        ):
            found = self.problem(f"{SERVER}  {lines}\n")
            self.assertEqual((found.key, found.wrong), (key, OWN_PORT), lines)

    def test_different(self) -> None:
        """Another address is another place, and port 0 is any free one."""
        for lines in (
            "addr: '127.0.0.1:17000'\n  admin: {addr: '127.0.0.2:17000'}",
            "addr: '0.0.0.0:17000'\n  admin: {addr: '[::1]:17000'}",
            "addr: 17000\n  listeners: [{plugin: websocket, listen: 0}, {plugin: websocket, listen: 0}]",
        ):
            self.assertIsNotNone(self.load(f"{SERVER}  {lines}\n").server, lines)
