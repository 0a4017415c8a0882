"""Plugins that a configuration names: their options, and what is said of mistakes."""

from __future__ import annotations

from typing import Any

from gotunnel.config.difference import difference
from gotunnel.config.effects import Effect
from gotunnel.config.explain import explain
from gotunnel.config.model import ClientConfig
from tests.config.files import CLIENT, SERVER, ClientTestCase
from tests.plugins.places import PlaceTestCase

PLUGIN = '''
from pathlib import Path
from typing import Annotated, Literal
from gotunnel.plugin import ReadableFile, count, wrong
from pydantic import SecretStr, field_validator

class Acme(Options):
    """Options."""

    level: Annotated[int, count(1, 9)] = Field(default=3, description="how loud")
    colour: Literal["red", "green"] = Field(default="red", description="write red or green")
    key: SecretStr | None = Field(default=None, description="what proves it")
    file: ReadableFile | None = None
    path: str = Field(default="x", description="a key that http has as well")
    even: int = Field(default=2, description="write an even number")

    @field_validator("even")
    @classmethod
    def _even(cls, value: int) -> int:
        if value % 2:
            raise ValueError("it is odd")
        return value

class Needs(Options):
    word: str = Field(description="the word to say")

acme = Plugin(IHealthCheck, "acme", dict, options=Acme)
needs = Plugin(IHealthCheck, "needs", dict, options=Needs)
'''


class OptionsTests(PlaceTestCase, ClientTestCase):
    """`health` with a plugin of somebody else's."""

    def setUp(self) -> None:
        super().setUp()
        self.plugins = self.place()
        self.module(self.plugins, "acme", PLUGIN)

    def health(self, text: str) -> Any:
        return self.client(f"mappings: [{{local: 80, remote: 80, health: {text}}}]").mappings[0].health

    def wrong(self, text: str) -> list[tuple[str, str, str]]:
        """Return what is wrong: the key below health, why, and the cure."""
        found = self.problems(f"{CLIENT}  mappings:\n    - local: 80\n      remote: 80\n      health:\n{text}")
        for each in found:
            self.assertGreaterEqual(each.line or 0, 8, each)
        return [(each.key.removeprefix("client.mappings[0].health."), each.wrong, each.cure) for each in found]

    def test_options(self) -> None:
        """They stand beside the common keys, and become a model of the plugin's own; paths are those of the file."""
        file = self.write("x", "some.pem")
        health = self.health("{type: acme, interval: 7, level: 4, colour: green, key: s3cret, file: some.pem, path: y}")
        self.assertEqual((health.type, health.interval), ("acme", 7))
        options = health.options
        self.assertEqual((options.level, options.colour, options.file, options.path), (4, "green", file, "y"))
        self.assertNotIn("s3cret", repr(health))

    def test_short(self) -> None:
        """One word is enough where nothing is required."""
        self.assertEqual(self.health("acme").options.level, 3)

    def test_explained(self) -> None:
        """`gotunnel check` names it."""
        file = self.load(f"{CLIENT}  mappings: [{{local: 80, remote: 81, health: acme}}]\n")
        self.assertTrue(any("while a probe finds it there (acme every 10 s)" in line for line in explain(file)))

    def test_explained_roles(self) -> None:
        """And the plugins of a role, and what a client shows."""
        self.write("x", "passwords")
        text = (
            f"{SERVER}  authenticators: {{plugin: htpasswd, file: passwords}}\n"
            "  access: networks\n  port_allocator: sticky\n  observers: metrics\n"
        )
        lines = explain(self.load(text))
        for line in (
            "server: asks about clients that show their token: htpasswd",
            "server: asks about ports, dials and visitors: networks",
            "server: asks which port a mapping gets that names none: sticky",
            "server: reports each visitor to: metrics",
        ):
            self.assertIn(line, lines)
        pin = "sha256:HgzT7CzTvx3pL3ArkxqunE/HZBaQO6hH9XN3RI4ErDQ="
        client = f"{CLIENT}  local_ports: 22\n  bearer: true\n  tls: {{pin: '{pin}'}}\n  observers: metrics\n"
        lines = explain(self.load(client))
        self.assertIn("client edge-07: shows its token to that server", lines)
        self.assertIn("client edge-07: reports each visitor to: metrics", lines)

    def test_mistakes(self) -> None:
        """All at once, each with its key, its line and its cure; no value that may be a secret is quoted."""
        found = self.wrong(
            "        type: acme\n        level: 12\n        colour: blue\n        colou: red\n        even: 3\n"
            "        file: nowhere.pem\n        key: [s3cret]\n"
        )
        self.assertEqual([key for key, _, _ in found], ["level", "colour", "colou", "even", "file", "key"])
        said = {key: (why, cure) for key, why, cure in found}
        self.assertEqual(said["level"], ("12 is not between 1 and 9", "write a whole number from 1 to 9"))
        self.assertIn("is not what the plugin acme takes: ", said["colour"][0])
        self.assertEqual(said["colour"][1], "write red or green")
        self.assertEqual(said["colou"], ("is not an option of the plugin acme", "did you mean colour?"))
        self.assertEqual(said["even"], ("is not what the plugin acme takes: it is odd", "write an even number"))
        self.assertEqual(said["key"][1], "what proves it")
        self.assertNotIn("s3cret", str(found))

    def test_missing(self) -> None:
        """What is required is asked for."""
        (found,) = self.wrong("        type: needs\n")
        self.assertEqual(found, ("word", "is missing", "add word: the plugin needs needs it"))

    def test_reported_once(self) -> None:
        """What was no YAML is reported as that alone."""
        (found,) = self.wrong("        type: needs\n        word: !x y\n")
        self.assertEqual(found[0], "word")

    def test_unknown(self) -> None:
        """A name that nobody has: which there are, a guess, and those that are broken."""
        self.module(self.plugins, "bad", "import no_such_module_anywhere\n")
        (found,) = self.wrong("        type: akme\n")
        self.assertEqual(found[0], "type")
        self.assertEqual(found[1], "'akme' is not one of tcp, http, command, acme, needs")
        self.assertIn("did you mean acme? write one of these words, or install the plugin that has it", found[2])
        self.assertIn("gotunnel.plugins.bad (ModuleNotFoundError: No module named", found[2])

    def test_own_keys_stay(self) -> None:
        """Keys of http are none of tcp, as ever; and what a model made is no key."""
        ((key, why, _),) = self.wrong("        type: tcp\n        level: 3\n")
        self.assertEqual((key, why), ("level", "is not a known key"))
        ((key, why, _),) = self.wrong("        type: http\n        options: {}\n")
        self.assertEqual((key, why), ("options", "is not a known key"))

    def test_difference(self) -> None:
        """Another option is another health: a running client takes it up at once."""

        def section(level: int) -> ClientConfig:
            health = f"{{type: acme, level: {level}}}"
            return self.client(f"mappings: [{{name: a, local: 80, remote: 80, health: {health}}}]")

        found = difference("client", section(3), section(4))
        self.assertEqual((dict(found.keys), found.restart), ({"client.mappings": Effect.NOW}, ()))
        self.assertEqual(found.lists["client.mappings"].changed, ("a",))
        self.assertFalse(difference("client", section(3), section(3)))
