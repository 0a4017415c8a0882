"""YAML that is wrong, or that means something else than it seems to."""

from __future__ import annotations

from gotunnel.config.scalars import read_plain
from gotunnel.config.source import MAX_VALUES
from tests.config.files import CLIENT, SERVER, TOKEN, FileTestCase


class SyntaxTests(FileTestCase):
    """Files on which a YAML parser gives up."""

    def test_tabs(self) -> None:
        """A tab as indentation is called one."""
        for text in ("server:\n\taddr: 1\n", "server:\n  addr: 1\n\tlog_level: info\n"):
            problem = self.problem(text)
            self.assertIn("a tab indents this line", problem.wrong)
            self.assertEqual(problem.line, text.count("\n", 0, text.index("\t")) + 1)

    def test_broken(self) -> None:
        """A quote that never ends, a bracket that never closes, a line out of step: one line each."""
        for text in (
            'server:\n  addr: "x\n',
            "server: {addr: 1\n",
            "server:\n    addr: 1\n  token: 2\n",
            "a: b: c\n",
            "@\n",
        ):
            problem = self.problem(text)
            self.assertIsNotNone(problem.line, text)
            self.assertTrue(problem.wrong.startswith("is not YAML"), str(problem))

    def test_no_token_in_syntax_errors(self) -> None:
        """A token that is no YAML does not show up in the message."""
        for broken in (
            "!{}!x",
            "*{}",
            "&{}",
            "%{}",
            "!{}",
            "'{}' x",
            '"{}" x',
            "[{}",
            "- {}: {}",
            "*{} x",
            "&{} &{} x",
        ):
            for section in ("server:\n  token: ", "client:\n  name: a\n  server_addr: b\n  token: "):
                text = section + broken.replace("{}", TOKEN) + "\n"
                for problem in self.problems(text):
                    self.assertNotIn(TOKEN[:8], str(problem))

    def test_second_document(self) -> None:
        """Only one document is read, so a second one is an error."""
        problem = self.problem(SERVER + "---\n" + CLIENT)
        self.assertEqual((problem.line, problem.wrong), (3, "a second document begins here (---)"))

    def test_escape_of_nothing(self) -> None:
        """Escapes that are no characters are refused, whatever chr() thinks of them."""
        for escape in ("\\UFFFFFFFF", "\\U00110000", "\\uD800"):
            self.assertIn(
                "escape", self.problems(f'server:\n  token: "{TOKEN}"\n  addr: "{escape}"\n')[0].wrong
            )

    def test_tag(self) -> None:
        """Tags are refused, those of Python objects first."""
        for tag in ("!!python/object/apply:os.system", "!!str", "!x", "!"):
            problem = self.problem(f"{SERVER}  log_level: {tag} info\n")
            self.assertIn("YAML tag", problem.wrong)

    def test_depth(self) -> None:
        """Depth is bounded before Python's stack is."""
        problem = self.problem("server: " + "[" * 5000 + "]" * 5000)
        self.assertIn("levels deep", problem.wrong)

    def test_alias_bomb(self) -> None:
        """Nine lines that would be a billion values are refused at once."""
        lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
        lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
        problem = self.problem("\n".join(lines))
        self.assertIn(f"more than {MAX_VALUES} values", problem.wrong)

    def test_many_aliases(self) -> None:
        """Aliases are counted, too."""
        problem = self.problem("a: &a 1\nb: [" + "*a, " * 101 + "]\n")
        self.assertIn("aliases", problem.wrong)

    def test_alias(self) -> None:
        """One alias, as for a token that both sections share, is fine; one of itself is not."""
        text = f'server:\n  token: &t "{TOKEN}"\nclient:\n  name: a\n  token: *t\n  server_addr: b\n  local_ports: 22\n'
        client = self.load(text).client
        assert client is not None
        self.assertEqual(client.token.get_secret_value(), TOKEN)
        self.assertIn("alias of no anchor", self.problems("server: &s {tls: *s}\n")[0].wrong)

    def test_merge_key(self) -> None:
        """`<<` is not understood, and says so."""
        problem = self.problem("server:\n  <<: {addr: 1}\n" + SERVER[8:])
        self.assertIn("merge key", problem.wrong)

    def test_complex_key(self) -> None:
        """A key that is a list is refused."""
        self.assertIn("has a key that is not a word", [p.wrong for p in self.problems(SERVER + "  [a, b]: c\n")])

    def test_no_value(self) -> None:
        """A key without a value is no default."""
        for text in ("", " ~", " null"):
            problem = self.problem(f"{SERVER}  addr:{text}\n")
            self.assertEqual((problem.line, problem.key, problem.wrong), (3, "server.addr", "has no value"))
        self.assertEqual(self.problem("server:\n").key, "server")


class DuplicateTests(FileTestCase):
    """A key that stands twice."""

    def test_both_lines(self) -> None:
        """Both lines are named, at every depth."""
        problem = self.problem(SERVER + "  addr: 1\n  log_level: info\n  addr: 2\n")
        self.assertEqual((problem.line, problem.key), (5, "server.addr"))
        self.assertEqual(problem.wrong, "is in line 3 and again in line 5")
        problem = self.problem(SERVER + SERVER)
        self.assertEqual((problem.line, problem.key), (3, "server"))
        problem = self.problem(CLIENT + "  mappings:\n  - {local: 1,\n     remote: 2, local: 3}\n")
        self.assertEqual((problem.line, problem.key), (7, "client.mappings[0].local"))

    def test_not_shown(self) -> None:
        """A second token is not repeated either."""
        problem = self.problem(f'{SERVER}  token: "{TOKEN}"\n')
        self.assertNotIn(TOKEN, str(problem))


class SurpriseTests(FileTestCase):
    """Unquoted values that YAML readers do not agree about."""

    def test_sexagesimal(self) -> None:
        """22:22 is 1342 to YAML 1.1; wherever it stands it is refused, with the quotes that it needs."""
        for line in ("addr: 22:22", "log_level: info\n  addr: 22:22"):
            problem = self.problem(f"{SERVER}  {line}\n")
            self.assertEqual(problem.wrong, "YAML can read 22:22 as the number 1342")
            self.assertEqual(problem.cure, 'quote it: "22:22"')
        problem = self.problem(f"{CLIENT}  mappings: [{{local: 1, remote: 1:30}}]\n")
        self.assertEqual(problem.cure, 'quote it: "1:30"')
        self.assertIn("1342", self.problem(f"{CLIENT}  local_ports: [22:22]\n").wrong)

    def test_words(self) -> None:
        """A client that is called no, on, y, true or 1e5 is told to put its name into quotes."""
        for name in (
            "no",
            "No",
            "yes",
            "on",
            "OFF",
            "y",
            "N",
            "true",
            "False",
            "1e5",
            "123",
            "1.5",
            "0x1F",
            "1_000",
            "2024-01-01",
        ):
            problem = self.problem(CLIENT.replace("edge-07", name) + "  local_ports: 22\n")
            self.assertEqual((problem.line, problem.key), (2, "client.name"), name)
            self.assertTrue(problem.cure.startswith("quote it: "), str(problem))
            quoted = self.load(CLIENT.replace("edge-07", f'"{name}"') + "  local_ports: 22\n").client
            assert quoted is not None
            self.assertEqual(quoted.name, name)

    def test_off_is_a_mode(self) -> None:
        """`mode: off` needs no quotes: nothing else can be meant."""
        server = self.load(SERVER + "  tls: {mode: off}\n").server
        assert server is not None
        self.assertEqual(server.tls.mode, "off")

    def test_flags(self) -> None:
        """A flag may be written in all the ways that YAML has, and in no other."""
        for word, value in (
            ("true", True),
            ("yes", True),
            ("on", True),
            ("False", False),
            ("no", False),
            ("off", False),
        ):
            server = self.load(f"{SERVER}  allow_plain_legs: {word}\n").server
            assert server is not None
            self.assertIs(server.allow_plain_legs, value)
        for word in ("1", "0", "maybe", "[]", '""'):
            self.assertIn(
                "neither true nor false", self.problem(f"{SERVER}  allow_plain_legs: {word}\n").wrong
            )

    def test_octal_port(self) -> None:
        """010 is 8 to YAML 1.1, and nobody means that."""
        self.assertIn("the number 8", self.problem(CLIENT + "  local_ports: [010]\n").wrong)

    def test_token_of_digits(self) -> None:
        """A token that YAML takes for a number has to be quoted, since its spelling is lost; it is not shown."""
        for token in (
            "12345678901234567890",
            "98765432109876543",
            "0x1234567890abcdef12",
            "123456789e1234567890",
        ):
            problem = self.problem(f"server:\n  token: {token}\n")
            self.assertEqual(problem.key, "server.token")
            self.assertIn("quote it", problem.cure)
            self.assertNotIn(token, str(problem))

    def test_read_plain(self) -> None:
        """What is a number, a flag or nothing to every reader is that; the rest is text."""
        for text, value in (
            ("12", 12),
            ("-1", -1),
            ("0", 0),
            ("1.5", 1.5),
            ("true", True),
            ("~", None),
            ("", None),
            ("a", "a"),
            ("1024-65535", "1024-65535"),
            ("10.0.0.1:22", "10.0.0.1:22"),
            (".", "."),
            ("-", "-"),
            ("0.0.0.0", "0.0.0.0"),
        ):
            self.assertEqual(read_plain(text), value)
            self.assertEqual(getattr(read_plain(text), "meaning", ""), "")
        for text, meaning in (
            ("1:30", "the number 90"),
            ("-1:30:00", "the number -5400"),
            ("017", "the number 15"),
            (".inf", "a number"),
        ):
            self.assertEqual(getattr(read_plain(text), "meaning", ""), meaning, text)
