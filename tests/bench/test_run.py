"""Every measure once, with counts that mean nothing, against gotunnel and the naive pair: does it run and end?"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from xml.etree import ElementTree

from twisted.trial.unittest import SkipTest

from bench.cpu import parents
from bench.ours import ours
from gotunnel.net.fast.compiled import NATIVE
from tests.processes import DEADLINE, ROOT, ProcessTestCase

CPU = ("round-trip", "round-trip-64", "connection", "connection-16", "download", "upload", "growth-10")
OTHER = ("first-byte", "download-8-rate", "start-server", "rest-client", "memory-20-server", "memory-20-client")


class RunTests(ProcessTestCase):
    """The command as a user gives it."""

    def setUp(self) -> None:
        super().setUp()
        if not sys.platform.startswith("linux"):
            raise SkipTest("bench reads /proc of Linux")

    def bench(self, *words: str) -> tuple[int, str, str]:
        """Run it in the tree that it belongs to; its temporary folder is the test's."""
        process = self.begin(*words)
        out, err = process.communicate(timeout=4 * DEADLINE)
        return process.returncode, out, err

    def begin(self, *words: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "bench", *words],
            cwd=ROOT, env=self.environment(TMPDIR=str(self.folder)),
            text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        self.addCleanup(self._end, process)
        return process

    def test_everything(self) -> None:
        """It ends by itself with a figure for every measure, a file and a picture, and leaves nothing behind."""
        json_path, svg_path = self.folder / "new" / "run.json", self.folder / "new" / "run.svg"
        code, out, err = self.bench(
            "--tiny", "--only", "tls", "plain", "--json", str(json_path), "--svg", str(svg_path)
        )
        self.assertEqual(code, 0, out + err)
        found = json.loads(json_path.read_text())
        self.assertEqual([each["name"] for each in found["tested"]], ["naive", "tls", "plain"])
        for figure in (*CPU, *OTHER):
            self.assertEqual(set(found["samples"][figure]), {"naive", "tls", "plain"}, figure)
        for figure in CPU:
            for subject in ("naive", "tls", "plain"):
                self.assertGreater(found["samples"][figure][subject][0], 0, (figure, subject))
        ElementTree.parse(svg_path)
        self.assertIn("Limits: ", out)
        self.assertEqual(list(self.folder.glob("gotunnel-bench.*")), [])

    def test_floors(self) -> None:
        """The relays that do nothing but relay carry bulk too; the run says by which congestion control."""
        json_path, floors = self.folder / "run.json", ("bare", "spliced", "spliced-reno")
        code, out, err = self.bench(
            "--tiny", "--only", "bulk", *floors, "--json", str(json_path), "--svg", str(self.folder / "run.svg")
        )
        self.assertEqual(code, 0, out + err)
        samples = json.loads(json_path.read_text())["samples"]
        for figure in ("download", "download-8", "upload", "upload-8"):
            self.assertEqual(set(samples[figure]), {"naive", *floors}, figure)
        control = Path("/proc/sys/net/ipv4/tcp_congestion_control").read_text().strip()
        self.assertIn(f", TCP {control}, ", out)

    def test_interrupted(self) -> None:
        """Ctrl-C ends the tunnels too, and removes their folder."""
        process = self.begin("--quick", "--only", "naive", "--json", str(self.folder / "no.json"))
        assert process.stderr is not None
        self.assertIn("round 1", process.stderr.readline())
        children = [child for child, parent in parents().items() if parent == process.pid]
        self.assertEqual(len(children), 4, "target, load, and the two roles of the naive pair")
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=DEADLINE)
        self.assertEqual(process.returncode, 130)
        self.assertEqual([child for child in children if Path(f"/proc/{child}").exists()], [])
        self.assertEqual([path.name for path in self.folder.iterdir()], [])

    def test_list(self) -> None:
        """Names are shown without measuring anything."""
        code, out, _ = self.bench("--list")
        self.assertEqual(code, 0)
        for name in ("round-trip", "crowd", "naive", "tls", "plain", "rathole"):
            self.assertIn(name, out)

    def test_relays(self) -> None:
        """Each relay that runs here is a subject, the one first that is taken by itself; the portable one is always
        measured beside it, others when they are named."""
        here = ["native", "fast", "portable"] if find_spec(NATIVE) else ["fast", "portable"]
        subjects = {each.name: (each.notes, each.on_request) for each in ours()}
        self.assertEqual(
            subjects,
            {
                way + (f"-{relay}" if relay != here[0] else ""): (relay, relay not in (here[0], "portable"))
                for relay in here
                for way in ("tls", "plain")
            },
        )

    def test_no_place_for_results(self) -> None:
        """Where the results cannot be written, nothing is measured first."""
        (self.folder / "file").write_text("")
        for option in ("--json", "--svg"):
            for place in (self.folder, self.folder / "file" / "run.json"):
                code, out, err = self.bench("--tiny", "--only", "start", option, str(place))
                self.assertEqual((code, out), (2, ""), err)
                self.assertIn(f"{place}: it", err)

    def test_wrong_name(self) -> None:
        """A name that does not exist is refused, with those that do."""
        code, _, err = self.bench("--only", "nonsense")
        self.assertEqual(code, 2)
        self.assertIn("round-trip", err)
