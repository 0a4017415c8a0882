"""The fuzz targets themselves: each stands its corpus and some hundred seeded mutations of it, and would find what it
is there to find."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from gotunnel.core.rights import Rights
from gotunnel.net.fast import frames
from gotunnel.server.reception import Reception
from gotunnel.wire import openform, strictjson
from gotunnel.wire.legs import LegFrame
from tests.fuzz import engine
from tests.fuzz.mutator import mutations
from tests.fuzz.targets import legbodies
from tests.processes import ProcessTestCase

SEED = 20261123
SLOW = ("client", "session", "stranger", "config")


class TargetTests(SynchronousTestCase):
    """All targets, for a moment."""

    def test_stand(self) -> None:
        """No input makes a target raise, or logs an error."""
        for name in engine.NAMES:
            count = 60 if name in SLOW else 600
            findings = Path(self.mktemp())
            tried = engine.try_some(name, count, SEED, findings)
            self.assertEqual(tried, count + len(engine.corpus(name)))
            self.assertFalse(findings.exists())
            self.assertEqual(self.flushLoggedErrors(), [], name)

    def test_corpora(self) -> None:
        """Every target has a corpus and every corpus a target; all of it is small."""
        folders = {path.name for path in (engine.FOLDER / "corpus").iterdir()}
        self.assertEqual(folders, set(engine.NAMES))
        self.assertGreater(len(engine.NAMES), 10)
        for name in engine.NAMES:
            inputs = engine.corpus(name)
            self.assertGreater(len(inputs), 2, name)
            self.assertLess(sum(map(len, inputs)), 16384, name)

    def found(self, name: str, count: int) -> bool:
        """Whether a target finds something within so many mutations; then its input is kept."""
        findings = Path(self.mktemp())
        try:
            engine.try_some(name, count, SEED, findings)
        except engine.Found as found:
            (kept,) = findings.iterdir()
            self.assertIn(str(kept), str(found))
            again = iter([kept.read_bytes()])
            self.assertRaises(engine.Found, engine.try_inputs, name, engine.target(name), again, findings)
            return True
        self.flushLoggedErrors()
        return False

    def test_finds(self) -> None:
        """A number that overflows, a frame type that is let through, a place that is never given back, a right that
        nobody checks, a reader of OPENs that overlooks what is behind: each is found."""

        def read_loosely(body: bytes) -> openform.Fields | None:
            return openform.read(body[: body.rfind(b"}") + 1])

        planted: tuple[tuple[str, object, str, Callable[..., object]], ...] = (
            ("strictjson", strictjson._DECODER, "scan_once", json.JSONDecoder().scan_once),
            ("legframes", frames, "checked_header", lambda header: (LegFrame(header >> 24 & 7), header & 0xFFFFFF)),
            ("stranger", Reception, "gone", lambda reception, door: None),
            ("session", Rights, "check_port", lambda rights, bind, port: None),
            ("legbodies", legbodies, "read_open", read_loosely),
        )
        for name, place, attribute, broken in planted:
            patch = self.patch(place, attribute, broken)
            self.assertTrue(self.found(name, 3000), name)
            patch.restore()


class MutatorTests(SynchronousTestCase):
    """The engine that needs nothing."""

    def test_seeded(self) -> None:
        """The same seed makes the same inputs, another one others; the corpus comes first, and none is long."""
        known = [b"abc", b"", b"\x00" * 8000]
        one, same, other = (list(itertools.islice(mutations(known, seed), 300)) for seed in (1, 1, 2))
        self.assertEqual(one, same)
        self.assertEqual(one[:3], known)
        self.assertNotEqual(one, other)
        self.assertGreater(len(set(one)), 200)
        self.assertLessEqual(max(map(len, one)), 8192)

    def test_empty(self) -> None:
        """There must be something to begin with."""
        self.assertRaises(ValueError, next, mutations([], 1))


class CommandTests(ProcessTestCase):
    """`python -m tests.fuzz`."""

    def test_runs(self) -> None:
        """It tries each target for its share of the time, says how many inputs it tried, and exits with 0."""
        names = ["frames", "clienthello"]
        code, out, err = self.run_python(
            "-m", "tests.fuzz", "--engine", "plain", "--seconds", "0.4", "--only", *names, "--findings", "found"
        )
        self.assertEqual((code, err), (0, ""))
        self.assertEqual([line.split()[0] for line in out.splitlines()], names)
        self.assertFalse((self.folder / "found").exists())

    def test_input(self) -> None:
        """One file can be tried again."""
        (self.folder / "one").write_bytes(b"{}")
        code, _, err = self.run_python("-m", "tests.fuzz", "--only", "strictjson", "--input", "one")
        self.assertEqual((code, err), (0, ""))
