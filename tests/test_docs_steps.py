"""Runs the commands of the tutorial, in both languages."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from unittest import SkipTest

from twisted.trial.unittest import SynchronousTestCase

from tests.pages import DOCS, LANGUAGES, ROOT, blocks
from tests.ports import free_ports


class FirstStepsTests(SynchronousTestCase):
    """The tutorial, as somebody would copy it into a shell; only its ports are others, since tests run side by side."""

    def test_run(self) -> None:
        """It fetches the page, names the target's fault, and leaves no process behind."""
        bash = shutil.which("bash")
        if bash is None or shutil.which("curl") is None:
            raise SkipTest("bash or curl is not installed")
        for language in LANGUAGES:
            output = self.run_page(bash, (DOCS / language / "first-steps.md").read_text("utf-8"))
            self.assertIn("\nhello through the tunnel\n", output)
            self.assertIn("server: listens for clients on 127.0.0.1:", output)
            # 56: reset while it reads. A reset that is faster than curl shows as another code.
            self.assertRegex(output, r"\ncurl failed with [1-9]")
            self.assertRegex(output, r"did not reach its target: 127\.0\.0\.1:\d+: connection refused")
            self.assertNotIn("Traceback", output)

    def run_page(self, bash: str, text: str) -> str:
        """Run the commands of a page in an empty folder and return what they print."""
        script = "\n".join(block.text for block in blocks(text) if block.words == ("sh",))
        for old, new in zip(("8000", "17000", "18000"), free_ports(self, 3), strict=True):
            script = re.sub(rf"\b{old}\b", str(new), script)
        folder = Path(self.mktemp()).absolute()
        folder.mkdir()
        programs = folder / "programs"
        programs.mkdir()
        for name, code in (
            ("gotunnel", "from gotunnel.cli.main import main; main(prog_name='gotunnel')"),
            ("gotunnel-server", "from gotunnel.cli.roles import server; server(prog_name='gotunnel-server')"),
            ("gotunnel-client", "from gotunnel.cli.roles import client; client(prog_name='gotunnel-client')"),
        ):
            program = programs / name
            program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -c "{code}" "$@"\n')
            program.chmod(0o755)
        environment = {key: value for key, value in os.environ.items() if not key.startswith("GOTUNNEL_")}
        environment["PATH"] = f"{programs}:{os.environ['PATH']}"
        environment["PYTHONPATH"] = f"{ROOT}:{os.environ.get('PYTHONPATH', '')}"
        process = subprocess.Popen(
            [bash, "-c", script],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,  # so that all of it can be ended
        )
        try:
            output, _ = process.communicate(timeout=90)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            output, _ = process.communicate()
            self.fail(f"the commands did not end:\n{output}")
        self.assertRaises(ProcessLookupError, os.killpg, process.pid, 0)
        return output
