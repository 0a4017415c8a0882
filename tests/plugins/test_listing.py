"""`gotunnel plugins`."""

from __future__ import annotations

import json

from gotunnel import __version__
from gotunnel.cli.main import main
from tests.cli.runner import Runner
from tests.plugins.places import PlaceTestCase


class ListingTests(PlaceTestCase):
    """What is found, where from, its options, and what is broken."""

    def setUp(self) -> None:
        self.folder = self.place()
        source = (
            'class O(Options):\n    level: int = Field(default=3, description="how loud")\n    word: str\n'
            'acme = Plugin(IHealthCheck, "acme", dict, options=O, summary="asks acme")\n'
        )
        self.module(self.folder, "acme", source)

    def test_text(self) -> None:
        """A plugin, where it is from, and a line for each option."""
        done = Runner().invoke(main, ["plugins"])
        self.assertEqual(done.exit_code, 0, done.output)
        text = done.output
        tcp = "health tcp: the target accepts a connection\n    from gotunnel.plugins.health of gotunnel "
        self.assertIn(tcp + __version__, text)
        self.assertIn("health acme: asks acme\n    from gotunnel.plugins.acme of no distribution\n", text)
        self.assertIn("    level (int; default 3): how loud\n    word (str; required)\n", text)

    def test_words_of_others(self) -> None:
        """In Chinese, too, they are whole, also where a part of them looks like a sentence of ours."""
        options = 'class O(Options):\n    flag: str = Field(description="file, there while the target is well")\n'
        plugin = 'flag = Plugin(IHealthCheck, "flag", dict, options=O, summary="whether the target is well")\n'
        self.module(self.folder, "flag", options + plugin)
        text = Runner().invoke(main, ["plugins"], env={"GOTUNNEL_LANG": "zh"}).output
        self.assertIn("health flag: whether the target is well\n", text)
        self.assertIn("：file, there while the target is well\n", text)

    def test_broken(self) -> None:
        """One that is broken is named with its file and its reason; the exit code is 1, and the rest is listed."""
        path = self.module(self.folder, "bad", "import no_such_module_anywhere\n")
        done = Runner().invoke(main, ["plugins"])
        self.assertEqual(done.exit_code, 1)
        self.assertIn("health acme: asks acme", done.output)
        said = f"broken: gotunnel.plugins.bad ({path}): ModuleNotFoundError: No module named 'no_such_module_anywhere'"
        self.assertIn(said, done.output)

    def test_json(self) -> None:
        """The same as one object."""
        self.module(self.folder, "bad", "1/0\n")
        done = Runner().invoke(main, ["plugins", "--json"])
        listed = json.loads(done.output)
        acme = next(each for each in listed["plugins"] if each["name"] == "acme")
        self.assertEqual(acme["kind"], "health")
        self.assertEqual(
            acme["options"],
            [
                {"name": "level", "takes": "int", "required": False, "default": "3", "description": "how loud"},
                {"name": "word", "takes": "str", "required": True, "default": "", "description": ""},
            ],
        )
        self.assertEqual([each["reason"] for each in listed["broken"]], ["ZeroDivisionError: division by zero"])
        self.assertEqual(done.exit_code, 1)
