"""`make demo`: that it works, that it ends, and that a failure is shown."""

from __future__ import annotations

import re
import signal
import socket

from tests.processes import DEADLINE, ProcessTestCase

BROKEN = """
import sys
from gotunnel.cli import demo
demo.SERVER_FILE = "server:\\n  nonsense: {control}\\n"
sys.exit(demo.main(["--once"]))
"""


class DemoTests(ProcessTestCase):
    """The demo as a process."""

    def test_once(self) -> None:
        """One page comes through the tunnel, the URL is printed, the exit code is 0."""
        code, out, err = self.run_python("-m", "gotunnel.cli.demo", "--once")
        self.assertEqual((code, err), (0, ""), out)
        self.assertRegex(
            out, r"\Ahttp://127\.0\.0\.1:\d+/ is the web service of port \d+, seen through the tunnel\.\n\Z"
        )

    def test_own_token(self) -> None:
        """A token in the environment of whoever tries it is not in the way."""
        code, _, err = self.run_python("-m", "gotunnel.cli.demo", "--once", GOTUNNEL_TOKEN="x" * 20)
        self.assertEqual((code, err), (0, ""))

    def test_stays(self) -> None:
        """It stays up until Ctrl-C, and then nothing of it is left."""
        process = self.start_logged("demo", "-m", "gotunnel.cli.demo", TMPDIR=str(self.folder))
        self.wait_for_line("demo.out", "^Ctrl-C ends it", process)
        ports = [
            int(port) for port in re.findall(r"(?::|port )(\d+)", (self.folder / "demo.out").read_text())
        ]
        for port in ports:
            socket.create_connection(("127.0.0.1", port), DEADLINE).close()
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(DEADLINE), 0)
        self.assertEqual(len(ports), 2)
        for port in ports:
            self.assertRaises(ConnectionRefusedError, socket.create_connection, ("127.0.0.1", port), DEADLINE)
        self.assertEqual(list(self.folder.glob("gotunnel-demo-*")), [])

    def test_failure(self) -> None:
        """When a part does not start: its log, one line, exit code 1."""
        code, out, err = self.run_python("-c", BROKEN)
        self.assertEqual((code, out), (1, ""))
        self.assertIn("server.yaml:2: server.nonsense: is not a known key", err)
        self.assertTrue(err.endswith("the demo failed: the server ended with exit code 2\n"), err)

    def test_failure_in_chinese(self) -> None:
        """It says so in the language of the environment; the log of the part is as the part has written it."""
        code, out, err = self.run_python("-c", BROKEN, GOTUNNEL_LANG="zh")
        self.assertEqual((code, out), (1, ""))
        self.assertIn("server.yaml:2: server.nonsense: is not a known key", err)
        self.assertTrue(err.endswith("演示失败：服务端已结束，退出码 2\n"), err)
