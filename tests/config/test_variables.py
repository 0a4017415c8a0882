"""`${VAR}` in the values of a file."""

from __future__ import annotations

from tests.config.files import CLIENT, SERVER, TOKEN, FileTestCase


class VariableTests(FileTestCase):
    """`${VAR}` in values."""

    def test_expands(self) -> None:
        """Variables expand inside text, several at once, and numbers can come from them."""
        text = "server:\n  token: ${TOKEN}\n  addr: '${HOST}:${PORT}'\n"
        text += "  heartbeat: ${BEAT}\n  allow_ports: ['${PORT}']\n"
        server = self.load(
            text, {"TOKEN": TOKEN, "HOST": "::1".join("[]"), "PORT": "18000", "BEAT": "5"}
        ).server
        assert server is not None
        self.assertEqual(
            (str(server.addr), server.heartbeat, server.allow_ports), ("[::1]:18000", 5.0, (18000,))
        )
        self.assertEqual(server.token.get_secret_value(), TOKEN)

    def test_undefined(self) -> None:
        """A variable that is not set is named, once."""
        problem = self.problem(SERVER + "  addr: ${NO_SUCH}\n", {"OTHER": "1"})
        self.assertEqual((problem.line, problem.key), (3, "server.addr"))
        self.assertIn("NO_SUCH", problem.wrong)

    def test_escape(self) -> None:
        """$${ is a literal ${, and a lone $ is itself."""
        client = self.load(CLIENT + "  mappings: [{name: 'a$b $${C} $$', local: 1, remote: 1}]\n").client
        assert client is not None
        self.assertEqual(client.mappings[0].name, "a$b ${C} $$")

    def test_malformed(self) -> None:
        """Other things of a shell are refused and not repeated, since a token may look like that."""
        for value in ("${", "${}", "${1}", "${A:-b}", "${A", "${A-B}"):
            problem = self.problem(f"server:\n  token: 'x{value}'\n", {"A": TOKEN})
            self.assertEqual(problem.wrong, "has a ${ that is no ${NAME}")

    def test_values_are_not_yaml(self) -> None:
        """What a variable holds is text: it makes no keys, and is expanded once."""
        problem = self.problem(SERVER + "  tls: '${X}'\n", {"X": "{mode: off}"})
        self.assertEqual(problem.key, "server.tls")
        problem = self.problem(SERVER + "  log_level: '${X}'\n", {"X": "${Y}", "Y": "info"})
        self.assertEqual(problem.key, "server.log_level")

    def test_not_shown(self) -> None:
        """A secret that a variable puts into the wrong place is not shown; the variable is."""
        for line in (
            "addr",
            "log_level",
            "heartbeat",
            "allow_ports",
            "allow_plain_legs",
            "tls",
            "token_file",
            "limits",
        ):
            problems = self.problems(
                f"{'server:' if line == 'token_file' else SERVER.rstrip()}\n  {line}: '${{SECRET}}'\n",
                {"SECRET": TOKEN},
            )
            self.assertNotIn(TOKEN, str(problems))
        for line in (
            "name: '${S}'",
            "mappings: [{local: '${S}', remote: '${S}', name: \"\\t${S}\"}]",
            "local_ports: '${S}'",
        ):
            text = CLIENT.replace("  name: edge-07\n", "") + (
                "  local_ports: 22\n" if "name: '" in line else "  name: a\n"
            )
            problems = self.problems(f"{text}  {line}\n", {"S": TOKEN + "\x00"})
            self.assertNotIn(TOKEN, str(problems))

    def test_in_a_list(self) -> None:
        """An item that cannot be expanded is told once, beside what else is wrong with the list."""
        keys = [problem.key for problem in self.problems(SERVER + "  allow_ports: ['${X}', 1, abc]\n")]
        self.assertEqual(keys, ["server.allow_ports[0]", "server.allow_ports[2]"])
