"""Version 1 in a file: off unless it is switched on, with a secret of its own, and nothing that it cannot do."""

from __future__ import annotations

from gotunnel.config.explain import explain
from tests.config.files import CLIENT, OTHER_TOKEN, SERVER, TOKEN, FileTestCase

V1 = f'  v1: {{enabled: true, token: "{OTHER_TOKEN}"}}\n'


class ServerTests(FileTestCase):
    """`server.v1`."""

    def test_off(self) -> None:
        """It is off by default, and then needs no token; one that is there already does not switch it on."""
        for lines in ("", "  v1: {}\n", f'  v1: {{token: "{OTHER_TOKEN}"}}\n'):
            server = self.load(SERVER + lines).server
            assert server is not None
            self.assertFalse(server.v1.enabled)
            self.assertEqual(server.warnings, [])

    def test_on(self) -> None:
        """With a token, in the file or in one of its own; it is never that of the environment."""
        server = self.load(SERVER + V1).server
        assert server is not None and server.v1.token is not None
        self.assertEqual(server.v1.token.get_secret_value(), OTHER_TOKEN)
        self.assertEqual(server.v1.allow_ports, ("1024-65535",))
        self.write(f"{OTHER_TOKEN}\n", "v1-token")
        server = self.load(SERVER + "  v1: {enabled: true, token_file: v1-token, allow_ports: 10250}\n").server
        assert server is not None and server.v1.token is not None
        self.assertEqual((server.v1.token.get_secret_value(), server.v1.allow_ports), (OTHER_TOKEN, (10250,)))
        problem = self.problem("server:\n  v1: {enabled: true}\n", {"GOTUNNEL_TOKEN": TOKEN})
        self.assertEqual((problem.key, problem.wrong), ("server.v1.token", "there is no token"))

    def test_same_token(self) -> None:
        """The token of version 1 is no other one of the file: not the server's, wherever that comes from, and not that
        of a client that speaks version 2."""
        same = f'  v1: {{enabled: true, token: "{TOKEN}"}}\n'
        for text, env in ((SERVER + same, {}), ("server:\n" + same, {"GOTUNNEL_TOKEN": TOKEN})):
            problem = self.problem(text, env)
            self.assertEqual(problem.key, "server.v1.token")
            self.assertIn("another token of this server", problem.wrong)
            self.assertNotIn(TOKEN, str(problem))
        self.write(TOKEN, "v1-token")
        problem = self.problem(SERVER + "  v1: {enabled: false, token_file: v1-token}\n")
        self.assertIn("another token", problem.wrong)
        client = f'client:\n  name: e\n  token: "{OTHER_TOKEN}"\n  server_addr: h\n  local_ports: 22\n'
        self.assertEqual(self.problem(SERVER + V1 + client).key, "client.token")
        self.assertIsNotNone(self.load(SERVER + V1 + client + "  v1: true\n").client)

    def test_bad_tokens(self) -> None:
        """What is no token for version 2 is none for version 1; two sources are an error."""
        for token in ("changeme", "short"):
            problem = self.problem(f'{SERVER}  v1: {{enabled: true, token: "{token}"}}\n')
            self.assertEqual(problem.key, "server.v1.token")
        self.write(OTHER_TOKEN, "v1-token")
        problem = self.problem(f'{SERVER}  v1: {{enabled: true, token: "{OTHER_TOKEN}", token_file: v1-token}}\n')
        self.assertIn("both name a token", problem.wrong)
        problem = self.problem(SERVER + "  v1: {enabled: true, token_file: nowhere}\n")
        self.assertIn("cannot be read", problem.wrong)
        (self.folder / "v1-token").chmod(0o644)
        self.assertIn("chmod 600", self.problem(SERVER + "  v1: {token_file: v1-token}\n").cure)

    def test_shapes(self) -> None:
        """What is no group of keys, and unknown keys in it, are refused in one line each."""
        self.assertEqual(self.problem(SERVER + "  v1: true\n").key, "server.v1")
        self.assertEqual(self.problem(SERVER + "  v1: {enable: true}\n").key, "server.v1.enable")

    def test_check(self) -> None:
        """`gotunnel check` says what is let in, and warns."""
        lines = explain(self.load(SERVER + V1.replace("}", ", allow_ports: [10250]}")))
        self.assertTrue(any("Go clients of version 1" in line and "10250" in line for line in lines), lines)
        self.assertTrue(any(line.startswith("warning: server.v1.enabled") for line in lines), lines)
        self.assertFalse(any("version 1" in line for line in explain(self.load(SERVER))))
        self.assertFalse(any(OTHER_TOKEN in line for line in lines))


class ClientTests(FileTestCase):
    """`client.v1`."""

    def test_on(self) -> None:
        """What version 1 can do is accepted, with a warning, also for a service that has no port number."""
        lines = (
            "  v1: true\n  tls: {mode: off}\n  mappings:\n"
            "  - {name: a, local: 22, remote: 20022, health: tcp}\n"
            "  - {name: b, local: 'unix:/x', remote: 20023, encrypt: false}\n"
        )
        file = self.load(CLIENT + lines)
        assert file.client is not None
        self.assertTrue(file.client.v1)
        said = explain(file)
        self.assertIn("with version 1", said[0])
        self.assertTrue(any(line.startswith("warning: client.v1") for line in said), said)
        plain = self.load(CLIENT + "  local_ports: 22\n").client
        assert plain is not None
        self.assertFalse(plain.v1)

    def test_beyond(self) -> None:
        """What it cannot do is refused, all at once, each in a line that names the mapping."""
        lines = (
            "  v1: true\n  heartbeat_interval: 30\n  tls: {server_name: h}\n  local_ports: 22\n  remote_port: 0\n"
            "  transport: websocket\n"
            "  mappings:\n"
            "  - {name: bound, local: 22, remote: '127.0.0.1:20022'}\n"
            "  - {name: any, local: 23, remote: 0}\n"
            "  - {name: secret, local: 24, remote: 20024, encrypt: true}\n"
            "  - {name: shared, local: 26, remote: 26, group: api}\n"
            "  - {name: hidden, local: 25, public: false, clients: [worker]}\n"
            "  forwards:\n"
            "  - {listen: 6443, dial: '127.0.0.1:6443'}\n"
        )
        problems = self.problems(CLIENT + lines)
        self.assertEqual({problem.key for problem in problems}, {"client.v1"})
        words = ("'bound'", "'any'", "'secret'", "127.0.0.1:22", "'hidden'", "'shared'", "no forwards", "tls stands")
        for word in (*words, "heartb", "by TCP alone"):
            self.assertEqual(len([p for p in problems if word in p.wrong]), 1, word)
        self.assertEqual(len(problems), 10)

    def test_tls_modes(self) -> None:
        """TLS that is asked for is not silently left out."""
        for tls in ("{mode: required}", "{mode: off, server_name: h}"):
            problem = self.problem(f"{CLIENT}  v1: true\n  local_ports: 22\n  tls: {tls}\n")
            self.assertIn("no TLS", problem.wrong)
