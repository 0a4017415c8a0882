"""Keeps the documentation true: links, configurations and the table of keys, and that both languages say the same.
How well it reads is for people to judge."""

from __future__ import annotations

import hashlib
import importlib.util
import re
from itertools import zip_longest
from pathlib import Path
from types import ModuleType

import yaml
from twisted.trial.unittest import SynchronousTestCase

from gotunnel.config.load import load
from gotunnel.errors import ConfigError
from tests.pages import DOCS, LANGUAGES, PAGES, ROOT, blocks, broken_links, headings, markdown, pairs, prose


def secret(name: str) -> str:
    """Return a token, another one for each name."""
    return hashlib.sha256(name.encode()).hexdigest()


def generator() -> ModuleType:
    """Return docs/generate.py as a module; docs/ is no package."""
    spec = importlib.util.spec_from_file_location("docs_generate", DOCS / "generate.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class LanguageTests(SynchronousTestCase):
    """English and Chinese are the same documentation."""

    def test_pages(self) -> None:
        """Both have the same files, and there are some."""
        self.assertGreaterEqual(len(PAGES), 10)
        self.assertEqual(sorted(path.name for path in (DOCS / "zh").glob("*.md")), PAGES)

    def test_headings(self) -> None:
        """Each page has as many headings, of the same levels in the same order."""
        for name, english, chinese in pairs():
            levels = [[level for level, _ in headings(text)] for text in (english, chinese)]
            self.assertEqual(levels[0][:1], [1], name)
            self.assertEqual(levels[0], levels[1], name)

    def test_blocks(self) -> None:
        """Commands and configurations are the same, their comments aside."""
        for name, english, chinese in pairs():
            kept = [
                [
                    (block.words, re.sub(r"\s+#.*", "", block.text))
                    for block in blocks(text)
                    if block.words[:1] in [("sh",), ("yaml",), ("json",)]
                ]
                for text in (english, chinese)
            ]
            for one, other in zip_longest(*kept):
                self.assertEqual(one, other, name)

    def test_tables(self) -> None:
        """Tables have as many rows, and name the same things in their code."""
        for name, english, chinese in pairs():
            rows = [re.findall(r"^\|.*\|$", prose(text), re.MULTILINE) for text in (english, chinese)]
            for one, other in zip_longest(*rows, fillvalue=""):
                code = [sorted(re.findall(r"`([^`]+)`", row)) for row in (one, other)]
                self.assertEqual(code[0], code[1], f"{name}: {one}")

    def test_chinese_is_chinese(self) -> None:
        """No page of the Chinese half was left in English, nor the reverse."""
        for name, english, chinese in pairs():
            if name == "glossary.md":
                continue
            han = [len(re.findall(r"[\u4e00-\u9fff]", prose(text))) for text in (english, chinese)]
            self.assertLess(han[0], 10, name)
            self.assertGreater(han[1], 100, name)


class LinkTests(SynchronousTestCase):
    """Every relative link leads somewhere."""

    def test_links(self) -> None:
        """To a file that exists, and to a heading in it where it names one."""
        for path in markdown():
            self.assertEqual(broken_links(path), [], path.relative_to(ROOT))

    def test_index(self) -> None:
        """The index of each language names every page."""
        for language in LANGUAGES:
            index = (DOCS / language / "index.md").read_text("utf-8")
            for name in PAGES:
                if name != "index.md":
                    self.assertIn(f"]({name})", index)

    def test_finds_broken_ones(self) -> None:
        """The search sees a missing file and a missing heading."""
        page = Path(self.mktemp())
        page.write_text("# A b\n[x](#a-b) [y](#c) [z](none.md) [w](https://example.com/none)\n", "utf-8")
        self.assertEqual(broken_links(page), ["#c", "none.md"])

    def test_nothing_of_a_machine(self) -> None:
        """No page names a folder of the machine that it was written on."""
        for path in markdown():
            self.assertIsNone(re.search(r"/(work|tmp|root|home/\w+)/", path.read_text("utf-8")), path.name)


class ConfigurationTests(SynchronousTestCase):
    """Configurations in the pages."""

    def load(self, text: str) -> list[str]:
        """Load a block as config.yaml of a folder with all that it may name; return the warnings."""
        folder = Path(self.mktemp())
        folder.mkdir()
        for name in re.findall(r"(?:token_file|cert|key|ca): ([\w.-]+)", text):
            (folder / name).write_text(secret(name))
            (folder / name).chmod(0o600)
        (folder / "config.yaml").write_text(text, "utf-8")
        env = {name: secret(name) for name in re.findall(r"\$\{(\w+_TOKEN)\}", text)}
        if "token" not in text:
            env["GOTUNNEL_TOKEN"] = secret("token")
        return load(folder / "config.yaml", env).warnings

    def test_all_load(self) -> None:
        """Every YAML block loads without a warning, or is marked as one that is warned of or refused."""
        count = 0
        for path in markdown():
            for block in blocks(path.read_text("utf-8")):
                if block.words[:1] != ("yaml",):
                    continue
                count += 1
                if block.words == ("yaml", "refused"):
                    self.assertRaises(ConfigError, self.load, block.text)
                elif block.words == ("yaml", "warned"):
                    self.assertTrue(self.load(block.text), f"{path.name}: no warning:\n{block.text}")
                else:
                    self.assertEqual(block.words, ("yaml", "config"), path.name)
                    self.assertEqual(self.load(block.text), [], f"{path.name}:\n{block.text}")
        self.assertGreater(count, 30)

    def test_refused(self) -> None:
        """A refused file is followed by the very lines that it draws."""
        for language in LANGUAGES:
            found = blocks((DOCS / language / "configuration.md").read_text("utf-8"))
            at = next(index for index, block in enumerate(found) if block.words == ("yaml", "refused"))
            refused = self.assertRaises(ConfigError, self.load, found[at].text)
            lines = [re.sub(r"^.*?config\.yaml", "config.yaml", line) for line in str(refused).splitlines()]
            self.assertEqual(lines, found[at + 1].text.splitlines())

    def test_reference(self) -> None:
        """The table of keys is what docs/generate.py makes; run it after a change."""
        generate = generator()
        for language in LANGUAGES:
            text = (DOCS / language / "configuration.md").read_text("utf-8")
            self.assertEqual(text, generate.replaced(text, language), "run: python docs/generate.py")

    def test_catalogue(self) -> None:
        """Every key has Chinese words, and the catalogue has none that nothing uses."""
        generate = generator()
        chinese = "\n".join(generate.reference("zh"))
        for english, words in generate.catalogue().items():
            pattern = re.escape(words.replace("|", "\\|")).replace(r"\#", r"[\d.]+")
            self.assertIsNotNone(re.search(pattern, chinese), f"nothing needs {english!r} any more")

    def test_missing_words(self) -> None:
        """A key without Chinese words is named."""
        generate = generator()
        catalogue = generate.catalogue()
        del catalogue["time between pings"]
        self.patch(generate, "catalogue", lambda: catalogue)
        missing = self.assertRaises(generate.MissingWords, generate.reference, "zh")
        self.assertIn("`server.heartbeat`: time between pings", str(missing))


class CatalogueFileTests(SynchronousTestCase):
    """docs/zh/reference.yaml as a file."""

    def test_no_key_twice(self) -> None:
        """YAML readers take the last of two equal keys without a word."""
        text = (DOCS / "zh" / "reference.yaml").read_text("utf-8")
        lines = [line for line in text.splitlines() if line and not line.startswith("#")]
        self.assertEqual(len(yaml.safe_load(text)), len(lines))
