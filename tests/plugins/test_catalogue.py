"""Which plugins there are, and what becomes of those that are broken."""

from __future__ import annotations

import sys
from pathlib import Path

from twisted.plugin import IPlugin, getPlugins
from zope.interface.verify import verifyObject

import gotunnel.plugins
from gotunnel.catalogue import OWN, Broken, Catalogue
from gotunnel.interfaces import EXTENSIONS, IExtension, IHealthCheck
from gotunnel.plugin import Options, Plugin
from tests.plugins.places import PlaceTestCase

GOOD = 'good = Plugin(IHealthCheck, "good", lambda *_: None, summary="says yes")\n'


class CatalogueTests(PlaceTestCase):
    """Found by the rules of twisted.plugin."""

    def broken(self) -> dict[str, str]:
        """Return the reasons by the last part of the module's name."""
        return {each.name.rpartition(".")[2]: each.reason for each in Catalogue().broken()}

    def test_own(self) -> None:
        """Gotunnel's own: all are sound, and the list of their modules is what the folder holds."""
        found, broken = Catalogue().all()
        self.assertEqual(broken, ())
        for each in found:
            self.assertTrue(verifyObject(IExtension, each.extension), each.name)
            self.assertTrue(each.extension.summary, each.name)
            for name, info in each.extension.options.model_fields.items():
                self.assertTrue(info.description, (each.name, name))
        here = {path.stem for path in Path(gotunnel.plugins.__file__).parent.glob("*.py")} - {"__init__"}
        self.assertEqual(here, OWN)
        self.assertEqual({each.kind for each in found}, set(EXTENSIONS))

    def test_of_others(self) -> None:
        """One that lies in another folder of the package, which has no `__init__`; Twisted's own function agrees."""
        folder = self.place()
        self.module(folder, "acme", GOOD)
        plugin = Catalogue().find("health", "good")
        self.assertEqual((plugin.name, plugin.kind, plugin.summary), ("good", IHealthCheck, "says yes"))
        self.assertIn("good", Catalogue().names("health"))
        found = {each.extension for each in Catalogue().all()[0]}
        self.addCleanup((Path(gotunnel.plugins.__file__).parent / "dropin.cache").unlink, missing_ok=True)
        self.assertEqual(found, {each for each in getPlugins(IExtension, gotunnel.plugins) if IPlugin.providedBy(each)})

    def test_installed_meanwhile(self) -> None:
        """What was not there a moment ago is found: a role that runs can be told of it by a reload."""
        folder = self.place()
        self.assertIsNone(Catalogue().find("health", "good"))
        self.module(folder, "acme", GOOD)
        self.assertIsNotNone(Catalogue().find("health", "good"))

    def test_kind(self) -> None:
        """A name belongs to its kind."""
        self.assertIsNone(Catalogue().find("relay", "tcp"))

    def test_broken(self) -> None:
        """Whatever is wrong with a module, it is named with its reason, and the others are found; none has a traceback
        or a second line."""
        folder = self.place()
        self.module(folder, "aa_syntax", "def (:\n")
        self.module(folder, "ab_import", "import no_such_module_anywhere\n")
        self.module(folder, "ac_exit", "raise SystemExit('a long\\nreason')\n")
        self.module(folder, "ad_name", 'x = Plugin(IHealthCheck, "Bad Name", print)\n')
        self.module(folder, "ae_kind", 'x = Plugin(IHealthCheck.__class__, "x", print)\n')
        self.module(folder, "af_options", 'x = Plugin(IHealthCheck, "x", print, options=dict)\n')
        self.module(
            folder, "ag_reserved",
            'class O(Options):\n    interval: int = 1\nx = Plugin(IHealthCheck, "x", print, options=O)\n',
        )  # fmt: skip
        self.module(
            folder, "ah_half",
            "from twisted.plugin import IPlugin\nfrom zope.interface import implementer\n"
            "@implementer(IPlugin, IExtension)\nclass Half:\n    name = 'half'\nx = Half()\n",
        )  # fmt: skip
        self.module(
            folder, "ai_hostile",
            "class Hostile:\n    def __getattribute__(self, name):\n        raise RuntimeError('no ' + name)\n"
            "x = Hostile()\n",
        )  # fmt: skip
        self.module(folder, "good", GOOD)
        found = self.broken()
        self.assertIsNotNone(Catalogue().find("health", "good"))
        for name, words in {
            "aa_syntax": "SyntaxError: ",
            "ab_import": "ModuleNotFoundError: No module named 'no_such_module_anywhere'",
            "ac_exit": "SystemExit: a long reason",
            "ad_name": "'Bad Name' is no name of a plugin",
            "ae_kind": "is no interface that a plugin can bring",
            "af_options": "are no subclass of gotunnel.plugin.Options",
            "ag_reserved": "may not be called interval",
            "ah_half": "half",
            "ai_hostile": "RuntimeError: no ",
        }.items():
            self.assertIn(words.lower(), found.pop(name).lower(), name)
        self.assertEqual(found, {})
        self.assertEqual([each for each in Catalogue().broken() if "\n" in each.reason], [])
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_mended(self) -> None:
        """One that could not be imported is tried again."""
        folder = self.place()
        path = self.module(folder, "acme", "import no_such_module_anywhere\n")
        self.assertEqual(list(self.broken()), ["acme"])
        path.unlink()
        self.module(folder, "acme", GOOD)
        self.assertEqual(self.broken(), {})

    def test_two_of_a_name(self) -> None:
        """Gotunnel's own cannot be replaced; of two others the first module wins. Who loses is told why."""
        folder = self.place()
        self.module(folder, "aa", GOOD + 'thief = Plugin(IHealthCheck, "tcp", print, summary="reads along")\n')
        self.module(folder, "ab", GOOD)
        self.assertEqual(Catalogue().find("health", "tcp").summary, "the target accepts a connection")
        reasons = [each for each in Catalogue().broken() if "already" in each.reason]
        self.assertEqual([each.name for each in reasons], ["gotunnel.plugins.aa", "gotunnel.plugins.ab"])
        self.assertIn("gotunnel.plugins.aa has a plugin good", reasons[1].reason)

    def test_not_imported(self) -> None:
        """Who names one of gotunnel's own imports nothing of anybody else."""
        folder = self.place()
        self.module(folder, "heavy", GOOD)
        self.assertIsNotNone(Catalogue().find("health", "http"))
        self.assertNotIn("gotunnel.plugins.heavy", sys.modules)

    def test_read_only(self) -> None:
        """Nothing is written: no cache that could be stale, and none that lacks permission."""
        folder = self.place()
        self.module(folder, "acme", GOOD)
        folder.chmod(0o500)
        self.addCleanup(folder.chmod, 0o700)
        self.assertIsNotNone(Catalogue().find("health", "good"))
        self.assertEqual([each.name for each in folder.iterdir() if "cache" in each.name and "py" not in each.name], [])

    def test_no_place(self) -> None:
        """A folder that is on the path and not on the disk is nothing."""
        gotunnel.plugins.__path__.append("/nowhere/gotunnel/plugins")
        self.addCleanup(gotunnel.plugins.__path__.remove, "/nowhere/gotunnel/plugins")
        self.assertEqual(Catalogue().all()[1], ())

    def test_lazy(self) -> None:
        """What makes it may be named as text: it is imported when it is used, and not before."""
        folder = self.place()
        self.module(folder, "acme", 'x = Plugin(IHealthCheck, "x", "fractions.Fraction")\n')
        plugin = Catalogue().find("health", "x")
        self.assertEqual(str(plugin.make(1, 3)), "1/3")

    def test_broken_is_a_value(self) -> None:
        """What is broken has all that an operator needs."""
        folder = self.place()
        path = self.module(folder, "acme", "1/0\n")
        (one,) = Catalogue().broken()
        self.assertEqual(one, Broken("gotunnel.plugins.acme", str(path), "ZeroDivisionError: division by zero"))

    def test_options(self) -> None:
        """A plugin without options has none, and an option may not be called as a key beside it."""
        plugin = Plugin(IHealthCheck, "x", print)
        self.assertIs(plugin.options, Options)
