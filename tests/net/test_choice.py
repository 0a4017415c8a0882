"""Which relay is chosen, and what is said of it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from unittest import skipUnless

from twisted.internet.task import Clock
from twisted.logger import globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from gotunnel.logs import set_level
from gotunnel.net import choice
from gotunnel.net.choice import RelayUnfit, check_relay, choose_relay
from gotunnel.net.fast import compiled
from gotunnel.net.fast.compiled import NATIVE
from gotunnel.net.fast.poller import Pump
from gotunnel.net.fast.reactor import make_pump
from gotunnel.net.fast.sources import digest
from gotunnel.net.relay import PortableRelay
from tests.processes import DEADLINE, ROOT

LINUX = sys.platform.startswith("linux")
BUILT = LINUX and find_spec(NATIVE) is not None
BEST = "it was built, and relay: auto uses it then"
NOT_BUILT = "was not built when gotunnel was installed, which takes a C compiler and Python's headers"
STALE = "was built from other sources than this tree has now; install gotunnel anew (pip install -e .)"

BY_ITSELF = """
from gotunnel.net.choice import choose_relay, install_reactor
install_reactor()
from twisted.internet import reactor
from twisted.logger import globalLogPublisher
globalLogPublisher.addObserver(lambda event: print(event["log_format"].format(**event)))
print(choose_relay("auto", reactor).name)
"""


class ChoiceTests(SynchronousTestCase):
    """The wish, and what the system can do."""

    def setUp(self) -> None:
        self.said: list[str] = []
        set_level("info")  # another test of this process may have started a role with a level of its own

        def observe(event: dict[str, object]) -> None:
            if event.get("log_namespace") == "gotunnel.net.choice":
                self.said.append(str(event["log_format"]).format(**event))

        globalLogPublisher.addObserver(observe)
        self.addCleanup(globalLogPublisher.removeObserver, observe)

    def test_portable(self) -> None:
        """Who asks for it has it anywhere."""
        self.assertIsInstance(choose_relay("portable", Clock()), PortableRelay)
        self.assertEqual(self.said, ["bytes are moved by the portable relay: as configured"])

    def test_unfit(self) -> None:
        """Where the fast one cannot run, auto takes the other and says why, and fast is an error with its cure."""
        # What asks for the platform when it is loaded is loaded already, with the relay.
        self.patch(choice.sys, "platform", "win32")
        self.assertEqual(choose_relay("auto", Clock()).name, "portable")
        self.assertEqual(self.said, ["bytes are moved by the portable relay: the fast one needs Linux"])
        for wish in ("fast", "native"):
            refused = self.assertRaises(RelayUnfit, choose_relay, wish, Clock())
            self.assertEqual(str(refused), f"relay: {wish} cannot be had here: it needs Linux; write relay: auto")

    @skipUnless(LINUX, "the fast relay needs Linux")
    def test_fast(self) -> None:
        """It is what auto takes where nothing is compiled, and says why; without its loop it says that, too."""
        self.patch(compiled, "NATIVE", "gotunnel.net.fast._absent")
        for wish in ("auto", "fast"):
            self.assertEqual(choose_relay(wish, Clock()).name, "fast")
        begins = "bytes are moved by the fast relay on the reactor's own descriptors: "
        self.assertEqual(self.said, [f"{begins}the native one {NOT_BUILT}", f"{begins}as configured"])

    @skipUnless(LINUX, "the fast relay needs Linux")
    def test_not_built(self) -> None:
        """Who names the native one where it was not built hears that, and what to write; so does who only checks."""
        self.patch(compiled, "NATIVE", "gotunnel.net.fast._absent")
        for ask in (lambda: choose_relay("native", Clock()), lambda: check_relay("native")):
            refused = self.assertRaises(RelayUnfit, ask)
            self.assertEqual(str(refused), f"relay: native cannot be had here: it {NOT_BUILT}; write relay: auto")
        check_relay("auto")

    @skipUnless(LINUX, "the fast relay needs Linux")
    def test_switched_off(self) -> None:
        """Who does not trust what is compiled need not install anew: neither the relay nor the loop is it then."""
        self.patch(os, "environ", {**os.environ, "GOTUNNEL_NATIVE": "0"})
        self.assertEqual(choose_relay("auto", Clock()).name, "fast")
        self.assertTrue(self.said[0].endswith(": the native one is switched off by GOTUNNEL_NATIVE=0"), self.said)
        self.assertIs(type(make_pump()), Pump)

    @skipUnless(LINUX, "the fast relay needs Linux")
    def test_broken(self) -> None:
        """One that was built for another Python or another library is no reason to stop, and is named."""
        folder = Path(self.mktemp())
        folder.mkdir(parents=True)
        (folder / "gotunnel_broken.py").write_text("raise ImportError('undefined symbol: _Py_Gone')\n")
        self.patch(sys, "path", [str(folder), *sys.path])
        self.patch(compiled, "NATIVE", "gotunnel_broken")
        self.assertEqual(choose_relay("auto", Clock()).name, "fast")
        why = "cannot be loaded (undefined symbol: _Py_Gone); install gotunnel anew"
        self.assertTrue(self.said[0].endswith(f": the native one {why}"), self.said)
        refused = self.assertRaises(RelayUnfit, check_relay, "native")
        self.assertEqual(str(refused), f"relay: native cannot be had here: it {why}; write relay: auto")

    @skipUnless(BUILT, "the native relay was not built")
    def test_stale(self) -> None:
        """One that was built from other sources than lie beside it is not used, its loop included, and what to do is
        said; who names it hears the same. One without sources beside it, as in a wheel, is taken as it is."""
        folder = Path(self.mktemp())
        shutil.copytree(compiled.SOURCES, folder)
        self.patch(compiled, "SOURCES", folder)
        self.assertIsNone(compiled.lacking())
        other = folder.rename(f"{folder}-changed")
        (other / "leg.c").rename(other / "legs.c")
        self.patch(compiled, "SOURCES", other)
        self.assertEqual(choose_relay("auto", Clock()).name, "fast")
        self.assertTrue(self.said[0].endswith(f": the native one {STALE}"), self.said)
        self.assertIs(type(make_pump()), Pump)
        refused = self.assertRaises(RelayUnfit, check_relay, "native")
        self.assertEqual(str(refused), f"relay: native cannot be had here: it {STALE}; write relay: auto")
        self.patch(compiled, "SOURCES", other / "none")
        self.assertIsNone(compiled.lacking())
        (other / "odd" / "folder.c").mkdir(parents=True)
        self.patch(compiled, "SOURCES", other / "odd")
        self.assertIn("cannot be compared with its sources (", str(compiled.lacking()))

    @skipUnless(LINUX, "the fast relay needs Linux")
    def test_sources(self) -> None:
        """Any change to the sources is another digest: of a byte, of a name, of where one ends; nothing else is one."""
        folder = Path(self.mktemp())
        folder.mkdir()
        self.assertEqual(digest(folder), "")
        found = set()
        for files in ({"a.c": "ab"}, {"a.c": "a"}, {"a.h": "a"}, {"a.c": "a", "b.c": ""}, {"a.c": "", "b.c": "a"}):
            for path in folder.iterdir():
                path.unlink()
            for name, text in files.items():
                (folder / name).write_text(text)
            found.add(digest(folder))
            (folder / ".b.c").touch()
            self.assertIn(digest(folder), found)
        self.assertEqual(len(found), 5)

    @skipUnless(BUILT, "the native relay was not built")
    def test_native(self) -> None:
        """On any reactor it is what auto takes, too, and the log says why."""
        for wish in ("native", "auto"):
            self.assertEqual(choose_relay(wish, Clock()).name, "native")
        said = "bytes are moved by the native (partly compiled) relay on the reactor's own descriptors"
        self.assertEqual(self.said, [f"{said}: as configured", f"{said}: {BEST}"])

    @skipUnless(LINUX, "the fast relay needs Linux")
    def test_by_itself(self) -> None:
        """In a process as the roles begin one, auto is the native relay if it was built, else the fast one."""
        done = subprocess.run(
            [sys.executable, "-c", BY_ITSELF], cwd=ROOT, capture_output=True, text=True, timeout=DEADLINE
        )
        native = f"bytes are moved by the native (partly compiled) relay: {BEST}\nnative\n"
        fast = f"bytes are moved by the fast relay: the native one {NOT_BUILT}\nfast\n"
        self.assertEqual((done.stdout, done.stderr), (native if BUILT else fast, ""))
