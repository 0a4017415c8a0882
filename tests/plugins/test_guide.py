"""The guide for those who write plugins is true: its first plugin is found, configured, and works."""

from __future__ import annotations

import re
from pathlib import Path

from twisted.internet.task import Clock

from gotunnel.catalogue import Catalogue
from gotunnel.client.checks import check_for
from gotunnel.config.model import MappingConfig
from gotunnel.errors import GotunnelError
from gotunnel.interfaces import EXTENSIONS
from tests.plugins.places import PlaceTestCase
from tests.processes import ROOT


class GuideTests(PlaceTestCase):
    """docs/*/plugins.md."""

    def block(self, language: str) -> str:
        """Return the first plugin."""
        text = (ROOT / "docs" / language / "plugins.md").read_text("utf-8")
        (found,) = re.findall(r"```python plugin\n(.*?)```", text, re.DOTALL)
        return str(found)

    def test_first_plugin(self) -> None:
        """It has about 20 lines, is the same in both languages, is found, and judges as it says."""
        source = self.block("en")
        self.assertEqual(source, self.block("zh"))
        self.assertLessEqual(sum(bool(line.strip()) for line in source.splitlines()), 20)
        (self.place() / "flag.py").write_text(source)
        self.assertEqual(Catalogue().broken(), ())
        flag = Path(self.mktemp())
        health = {"type": "flag", "flag": str(flag)}
        mapping = MappingConfig.model_validate({"local": 8000, "remote": 18000, "health": health})
        check = check_for(Clock(), mapping)
        self.assertEqual(str(self.failureResultOf(check.probe(), GotunnelError).value), "the flag is down")
        flag.touch()
        self.assertIsNone(self.successResultOf(check.probe()))

    def test_kinds(self) -> None:
        """The table of kinds is complete: each kind, its interface, and gotunnel's own by name."""
        for language in ("en", "zh"):
            text = (ROOT / "docs" / language / "plugins.md").read_text("utf-8")
            rows = dict(re.findall(r"^\| `(\w+)` \| (`I.*) \|$", text, re.MULTILINE))
            self.assertEqual(rows.keys(), EXTENSIONS.keys())
            for kind, interface in EXTENSIONS.items():
                names = {found.name for found in Catalogue().all()[0] if found.kind == kind}
                self.assertTrue(rows[kind].startswith(f"`{interface.__name__}` |"), kind)
                self.assertEqual(set(re.findall(r"`([^`]+)`", rows[kind].rpartition("|")[2])), names, kind)
