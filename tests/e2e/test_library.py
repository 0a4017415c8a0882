"""The library as its pages show it, with real processes: the programs of one, and the commands of the other."""

from __future__ import annotations

import http.client
import itertools
import os
import re
import signal
import socket
import subprocess
import sys
from typing import Any

from tests.e2e.harness import Program, TunnelTestCase, need
from tests.pages import DOCS, LANGUAGES, blocks
from tests.processes import DEADLINE

VISITOR = "127.9.8.7"
"""Where the visitor comes from."""


FORKED = """
import os, runpy, sys, traceback
import gotunnel.api
failed = 0
for path in sys.argv[1:]:
    if os.fork():
        continue
    for number, kind in ((1, "out"), (2, "err")):
        os.dup2(os.open(path[:-2] + kind, os.O_WRONLY | os.O_CREAT, 0o600), number)
    code = 0
    try:
        runpy.run_path(path, run_name="__main__")
    except SystemExit as ended:
        code = ended.code or 0
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
for path in sys.argv[1:]:
    failed |= os.wait()[1]
sys.exit(1 if failed else 0)
"""
"""Runs programs side by side, having imported the library once for all of them: it is most of what they do."""


class LibraryPageTests(TunnelTestCase):
    """The page about the library."""

    def test_programs(self) -> None:
        """Each program prints what stands behind it, and nothing else; each in a process of its own."""
        page = blocks((DOCS / "en" / "library.md").read_text("utf-8"))
        found = [
            (block.text, following.text)
            for block, following in itertools.pairwise(page)
            if block.words == ("python", "run") and following.words == ("text",)
        ]
        self.assertEqual(len(found), len([block for block in page if "run" in block.words]))
        self.assertGreater(len(found), 6)
        self.server(allow_dial=[f"{self.host}:{self.control}"], allow_ports=["1-65535"], allow_udp_ports=["1024-65535"])
        programs = []
        for number, (program, expected) in enumerate(found):
            path = self.write(f"{number}.py", self.here(program.replace("8000", str(8001 + number))))
            programs.append((path, self.here(expected.replace("8000", str(8001 + number)))))
        running = self.start("-c", FORKED, *[str(path) for path, _ in programs], GOTUNNEL_TOKEN=self.token)
        output = running.communicate(timeout=4 * DEADLINE)  # eight programs, on a machine that may be busy
        for path, expected in programs:
            self.assertEqual(path.with_suffix(".err").read_text(), "", path.read_text())
            pattern = re.escape(expected).replace("PORT", r"\d+")
            self.assertRegex(path.with_suffix(".out").read_text(), f"^{pattern}$")
        self.assertEqual((running.returncode, *output), (0, "", ""))

    def test_languages(self) -> None:
        """Both languages have the same programs, and the same options."""
        for name in ("library.md", "endpoints.md"):
            programs = [
                [(block.words, block.text) for block in blocks((DOCS / language / name).read_text("utf-8"))]
                for language in LANGUAGES
            ]
            self.assertEqual(*programs)

    def test_options(self) -> None:
        """The page about endpoints lists every option, and none of those that are refused with a reason."""
        from gotunnel.api.strings import CLIENT_OPTIONS, REFUSED, SERVER_OPTIONS

        text = (DOCS / "en" / "endpoints.md").read_text("utf-8")
        rows = re.findall(r"^\| ((?:`\w+`(?:, )?)+) \| (server|client|both) \|", text, re.MULTILINE)
        for known, sides in ((SERVER_OPTIONS, ("server", "both")), (CLIENT_OPTIONS, ("client", "both"))):
            listed = {word for words, side in rows if side in sides for word in re.findall(r"`(\w+)`", words)}
            self.assertEqual(listed, set(known) - set(REFUSED))

    def here(self, text: str) -> str:
        """Return a text with this test's server in place of the page's."""
        return text.replace("server.example:17000", f"{self.host}:{self.control}").replace(
            "17000", str(self.control)
        ).replace("server.example", self.host)  # fmt: skip


class TwistTests(TunnelTestCase):
    """`twist web` with a tunnel in place of a port."""

    def test_as_printed(self) -> None:
        """The command of the page: it serves the folder, knows its visitors, comes back behind a server that was
        killed, and closes its port when it ends."""
        bash = need("bash")
        (command,) = [
            block.text
            for block in blocks((DOCS / "en" / "endpoints.md").read_text("utf-8"))
            if block.words == ("sh",)
        ]
        self.write("token", self.token)
        self.write("index.txt", "out of this folder")
        twist = self.write("twist", f'#!/bin/sh\nexec "{sys.executable}" -m twisted --log-format=text "$@"\n')
        twist.chmod(0o755)
        script = command.replace(r"server.example\:17000", rf"{self.host}\:{self.control}")
        server = self.server(allow_ports=["1-65535"])
        path = f"{self.folder}:{os.environ['PATH']}"
        # Not by `launch`, which searches the log: Twisted's own line of its start names an address in memory.
        log = self.folder / "twist.out"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [bash, "-c", script.replace("\ntwist ", "\nexec twist ")], cwd=self.folder, stdin=subprocess.DEVNULL,
                env=self.environment(PYTHONUNBUFFERED="1", PATH=path), stdout=output, stderr=output,
            )  # fmt: skip
        self.addCleanup(self._end, process)
        web = Program(self, "twist", process, log)
        self.wait_until(lambda: self.fetched() == "out of this folder", "the page")
        web.wait_for(rf'"{re.escape(VISITOR)}" - - \[.*\] "GET /index\.txt HTTP/1\.1" 200')
        server.process.kill()
        server.process.wait()
        web.wait_for("connection to the server .* lost")
        self.server(allow_ports=["1-65535"])
        self.wait_until(lambda: self.fetched() == "out of this folder", "the page again")
        process.send_signal(signal.SIGTERM)
        self.assertIn(process.wait(20), (0, -signal.SIGTERM))  # Twisted ends by the signal that it was sent
        with self.assertRaises(ConnectionRefusedError):  # at once, and not when the time of grace is over
            socket.create_connection((self.host, 8080), 5)
        self.assertNotRegex(web.said, r"Traceback|Unhandled|critical")

    def fetched(self) -> str | None:
        """Return what is there, None while nothing is."""
        connection = http.client.HTTPConnection(self.host, 8080, timeout=5, source_address=(VISITOR, 0))
        try:
            connection.request("GET", "/index.txt")
            return connection.getresponse().read().decode()
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()


class ModuleTests(TunnelTestCase):
    """`python -m gotunnel`."""

    def test_is_the_command(self) -> None:
        """It is the command, by its name."""
        done: Any = subprocess.run(
            [sys.executable, "-m", "gotunnel", "version"], env=self.environment(), capture_output=True, text=True,
            timeout=60, check=False,
        )  # fmt: skip
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertIn("gotunnel ", done.stdout)
        self.assertIn("Usage: gotunnel ", self.usage())

    def usage(self) -> str:
        """Return what it says of itself."""
        done = subprocess.run(
            [sys.executable, "-m", "gotunnel", "--help"], env=self.environment(), capture_output=True, text=True,
            timeout=60, check=False,
        )  # fmt: skip
        return done.stdout
