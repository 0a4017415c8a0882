"""`server.clients`: tokens and rights of each client, and what is wrong with them."""

from __future__ import annotations

import json
from pathlib import Path

from gotunnel.config.explain import explain
from gotunnel.config.load import load_server
from gotunnel.config.model import ServerConfig
from gotunnel.errors import ConfigError
from tests.config.files import OTHER_TOKEN, SERVER, TOKEN, FileTestCase

THIRD = "5d0e9b7c13f84a62b5c8e1f0972d3a64"


class ClientsTestCase(FileTestCase):
    """Loads servers with clients."""

    def server(self, clients: str, head: str = "server:\n") -> ServerConfig:
        """Load a section without a shared token, and with these clients in flow style."""
        server = self.load(f"{head}  clients: {clients}\n").server
        assert server is not None
        return server

    def refused(self, clients: str, head: str = "server:\n") -> list[tuple[str, str]]:
        """Return keys and reasons of what is wrong; no token is shown."""
        problems = self.problems(f"{head}  clients: {clients}\n")
        for problem in problems:
            for token in (TOKEN, OTHER_TOKEN, THIRD):
                self.assertNotIn(token, str(problem))
        return [(problem.key, problem.wrong) for problem in problems]

    def tokens(self, server: ServerConfig) -> list[str]:
        """Return the tokens of the first client."""
        return [token.get_secret_value() for token in server.clients[0].token]


class RightsTests(ClientsTestCase):
    """What may be said of a client."""

    def test_everything(self) -> None:
        """Ports, addresses, limits, and whether it is kept out."""
        (client,) = self.server(
            f"[{{name: worker-1, token: {TOKEN}, allow_ports: [10250, 30000-30100], allow_bind: ['10.0.0.1', '::1'],"
            " limits: {mappings: 3, legs: 4, visitors: 5, pending: 6}, disabled: true}]"
        ).clients
        self.assertEqual((client.name, client.disabled), ("worker-1", True))
        self.assertEqual((client.allow_ports, client.allow_bind), ((10250, "30000-30100"), ("10.0.0.1", "::1")))
        self.assertEqual(client.limits.model_dump(), {"mappings": 3, "legs": 4, "visitors": 5, "pending": 6})

    def test_defaults(self) -> None:
        """A name and a token are enough; the rest is the server's."""
        (client,) = self.server(f"[{{name: a, token: {TOKEN}}}]").clients
        self.assertEqual((client.allow_ports, client.allow_bind, client.disabled), (None, None, False))
        self.assertEqual(set(client.limits.model_dump().values()), {None})

    def test_mistakes(self) -> None:
        """Each is named with its place."""
        found = self.refused(
            f"[{{name: 'a b', token: {TOKEN}}}, {{name: a, token: {OTHER_TOKEN}, allow_ports: [0, 70000]}},"
            f" {{name: b, token: {THIRD}, allow_bind: [example.com, '10.0.0.1%eth0'], limits: {{legs: 0}}, ports: 1}}]"
        )
        self.assertEqual(
            [key for key, _ in found],
            [
                "server.clients[0].name",
                "server.clients[1].allow_ports[0]",
                "server.clients[1].allow_ports[1]",
                "server.clients[2].allow_bind[0]",
                "server.clients[2].allow_bind[1]",
                "server.clients[2].limits.legs",
                "server.clients[2].ports",
            ],
        )
        for text in ("{}", "a", f"{{name: a, token: {TOKEN}}}", "[a]", "[1]", "[[]]"):
            self.assertTrue(self.refused(text), text)

    def test_one_name_twice(self) -> None:
        """A client name belongs to one identity."""
        named = zip("aba", (TOKEN, THIRD, OTHER_TOKEN), strict=True)
        (found,) = self.refused(f"[{', '.join(f'{{name: {name}, token: {token}}}' for name, token in named)}]")
        self.assertEqual(found, ("server.clients[2].name", "a is the name of clients[0] already"))

    def test_empty_lists(self) -> None:
        """A list that allows nothing at all is a slip, and says so."""
        found = self.refused(f"[{{name: a, token: {TOKEN}, allow_ports: [], allow_bind: []}}]")
        self.assertEqual([wrong for _, wrong in found], ["allows no port at all", "allows no address at all"])


class TokenTests(ClientsTestCase):
    """Where a client's token comes from."""

    def test_two(self) -> None:
        """A list of two, or a file with two lines, in any spacing."""
        server = self.server(f"[{{name: a, token: [{TOKEN}, {OTHER_TOKEN}]}}]")
        self.assertEqual(self.tokens(server), [TOKEN, OTHER_TOKEN])
        self.write(f"\n  {TOKEN}\n\n{OTHER_TOKEN}  \n", "a.token")
        self.assertEqual(self.tokens(self.server("[{name: a, token_file: a.token}]")), [TOKEN, OTHER_TOKEN])
        self.write(TOKEN, "b.token")
        server = self.server("[{name: b, token_file: b.token}]")
        self.assertEqual((self.tokens(server), server.clients[0].token_file), ([TOKEN], self.folder / "b.token"))

    def test_variable(self) -> None:
        """A variable in the text; GOTUNNEL_TOKEN by itself is the shared one, and no client's."""
        text = 'server:\n  clients: [{name: a, token: "${A}"}]\n'
        server = self.load(text, {"A": TOKEN, "GOTUNNEL_TOKEN": OTHER_TOKEN}).server
        assert server is not None and server.token is not None
        self.assertEqual((self.tokens(server), server.token.get_secret_value()), ([TOKEN], OTHER_TOKEN))
        self.assertEqual(
            self.problem("server:\n  clients: [{name: a}]\n", {"GOTUNNEL_TOKEN": TOKEN}).key, "server.clients[0].token"
        )

    def test_refused(self) -> None:
        """None, three, both places, weak ones, and what a token file must not be: as for the shared token."""
        self.write(f"{TOKEN}\n{OTHER_TOKEN}\n{THIRD}\n", "three")
        self.write("\n \n", "empty")
        self.write(f"{TOKEN}\nchangeme\n", "weak")
        self.write(TOKEN, "open").chmod(0o644)
        here, weak = self.folder, "the token is a placeholder that everybody can guess"
        for text, key, wrong in (
            ("", "token", "there is no token"),
            (f", token: {TOKEN}, token_file: three", "token", "token and token_file both name a token"),
            (", token: []", "token", "there is no token"),
            (f", token: [{TOKEN}, {OTHER_TOKEN}, {THIRD}]", "token", "holds 3 tokens"),
            (", token: changeme", "token", weak),
            (f", token: [{TOKEN}, short]", "token[1]", "the token is shorter than 16 characters"),
            (", token: 1234567890123456", "token", "YAML can read this token as a number or a word of its own"),
            (", token: {a: b}", "token", "the token is not text"),
            (", token_file: none", "token_file", f"{here / 'none'} cannot be read: no such file or directory"),
            (", token_file: open", "token_file", f"{here / 'open'} can be read or changed by others (mode 0644)"),
            (", token_file: three", "token_file", f"{here / 'three'}: holds 3 tokens"),
            (", token_file: empty", "token_file", f"{here / 'empty'}: the token is empty"),
            (", token_file: weak", "token_file", f"{here / 'weak'}: {weak}"),
        ):
            self.assertEqual(self.refused(f"[{{name: a{text}}}]"), [(f"server.clients[0].{key}", wrong)], text)

    def test_common_tokens(self) -> None:
        """One token for two names, or for a name and the server, is a warning; so is a weak one. None shows it."""
        text = (
            f"{SERVER}  clients: [{{name: a, token: {OTHER_TOKEN}}}, {{name: b, token: [{THIRD}, {OTHER_TOKEN}]}},"
            f" {{name: c, token: {TOKEN}}}, {{name: d, token: correct-horse-battery-staple}},"
            " {name: e, token: [0f1e2d3c4b5a69788796a5b4c3d2e1f0, 0f1e2d3c4b5a69788796a5b4c3d2e1f0]}]\n"
        )
        warnings = self.load(text).warnings
        self.assertEqual(len(warnings), 3, warnings)
        self.assertTrue(warnings[0].startswith("server.clients[1].token: the token of b is that of a too"), warnings)
        self.assertTrue(warnings[1].startswith("server.clients[2].token: the token of c is that of server.token too"))
        self.assertTrue(warnings[2].startswith("server.clients[3].token: the token of d looks like words"), warnings)
        for token in (TOKEN, OTHER_TOKEN, THIRD):
            self.assertNotIn(token, "".join(warnings))

    def test_no_secret_in_repr(self) -> None:
        """Neither a model nor its dump as JSON shows a token."""
        server = self.server(f"[{{name: a, token: [{TOKEN}, {OTHER_TOKEN}]}}]")
        for shown in (repr(server), str(server), server.model_dump_json()):
            self.assertNotIn(TOKEN, shown)
            self.assertNotIn(OTHER_TOKEN, shown)


class NobodyTests(ClientsTestCase):
    """A server that nobody could connect to."""

    def test_refused(self) -> None:
        """Without a token and without clients it is refused, with the ways out."""
        for text in ("server: {addr: 17000}\n", "server: {clients: []}\n", "server: {authenticators: []}\n"):
            problem = self.problem(text)
            self.assertEqual((problem.key, problem.wrong), ("server.token", "there is no token"))
            for cure in ("gotunnel token", "token_file", "GOTUNNEL_TOKEN", "clients", "clients_file"):
                self.assertIn(cure, problem.cure)

    def test_accepted(self) -> None:
        """Clients alone, a clients file alone, and clients elsewhere are enough, and no token stays none."""
        self.assertIsNone(self.server(f"[{{name: a, token: {TOKEN}}}]").token)
        server = self.load("server: {clients_file: all.json}\n").server
        assert server is not None
        self.assertEqual((server.token, server.clients_file), (None, self.folder / "all.json"))
        path = self.write("server: {addr: 17000}\n")
        self.assertEqual(load_server(path, {}, clients_elsewhere=True).clients, ())
        self.assertRaises(ConfigError, load_server, path, {})

    def test_with_other_mistakes(self) -> None:
        """It is told together with the others."""
        self.assertEqual(len(self.problems("server: {addr: x, hearbeat: 1}\n")), 3)


class ExplainTests(ClientsTestCase):
    """What `gotunnel check` says of them."""

    def lines(self, text: str) -> list[str]:
        """Return the lines about clients; no line shows a token."""
        found = explain(self.load(text))
        for token in (TOKEN, OTHER_TOKEN, THIRD):
            self.assertNotIn(token, json.dumps(found))
        return [line for line in found if line.startswith("server: client ")]

    def test_lines(self) -> None:
        """Names, ports, addresses, limits; who is kept out."""
        path = Path(self.write(f"{TOKEN}\n{OTHER_TOKEN}\n", "two"))
        lines = self.lines(
            "server:\n  allow_ports: [443, 1024-2048]\n  clients:\n"
            "  - {name: a, token_file: two, allow_ports: [10250, 30000-30100], allow_bind: ['10.0.0.1', '::1']}\n"
            f"  - {{name: b, token: {THIRD}, limits: {{mappings: 3, pending: 6}}, allow_dial: []}}\n"
            "  - {name: c, token: 0f1e2d3c4b5a69788796a5b4c3d2e1f0, disabled: true}\n"
        )
        self.assertEqual(
            lines,
            [
                f"server: client a has two tokens of its own from {path}; may publish the ports 10250, 30000-30100 on "
                "10.0.0.1 and ::1 only",
                "server: client b has a token of its own; may publish the ports 443, 1024-2048, may reach nothing by "
                "forwards; has at most 3 mappings, 6 waiting visitors",
                "server: client c was refused: it is disabled",
            ],
        )

    def test_token(self) -> None:
        """Whether there is a token for others is said."""
        self.assertIn(
            "server: has no token for all; only clients with a token of their own get in",
            explain(self.load(f"server:\n  clients: [{{name: a, token: {TOKEN}}}]\n")),
        )
        self.assertIn(
            "server: has its token for clients that have none of their own",
            explain(self.load(f"{SERVER}  clients: [{{name: a, token: {OTHER_TOKEN}}}]\n")),
        )
