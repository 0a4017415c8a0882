"""The `gotunnel` command: what it prints, and its exit codes."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from typing import IO
from unittest import SkipTest

from click.testing import Result
from twisted.trial.unittest import SynchronousTestCase

from gotunnel import __version__
from gotunnel.cli.expose import Wish, client_config
from gotunnel.cli.main import main
from gotunnel.errors import ConfigError
from tests.cli.runner import Runner
from tests.processes import DEADLINE, ProcessTestCase

TOKEN = "c122c389f83d7543115721971c499abec8e9b36c9673b506cef611478c040c9b"


def call(*words: str, **env: str) -> Result:
    """Run the command in this process."""
    return Runner().invoke(main, list(words), env={"GOTUNNEL_TOKEN": None, **env}, prog_name="gotunnel")


class MainTests(SynchronousTestCase):
    """The short commands."""

    def test_version(self) -> None:
        """`--version` is the version, `version` what else a bug report needs."""
        self.assertEqual(call("--version").output, f"gotunnel {__version__}\n")
        self.assertRegex(
            call("version").output,
            rf"^gotunnel {re.escape(__version__)}\nTwisted \S+, Python \S+, OpenSSL \S+\n$",
        )

    def test_token(self) -> None:
        """256 bits, another one each time."""
        first, second = call("token").output, call("token").output
        self.assertRegex(first, r"\A[0-9a-f]{64}\n\Z")
        self.assertNotEqual(first, second)

    def test_bad_command_line(self) -> None:
        """Exit code 2."""
        for words in (
            ["nonsense"], ["--nonsense"], ["check"], ["expose", "8000"], ["token", "more"],
            ["status", "--watch", "--interval", "nan"], ["drain", "--timeout", "nan"],
        ):  # fmt: skip
            self.assertEqual(call(*words).exit_code, 2, words)


class CheckTests(ProcessTestCase):
    """`gotunnel check FILE`."""

    def test_good(self) -> None:
        """What would be opened, and 0."""
        file = self.folder / "config.yaml"
        file.write_text(f'server:\n  addr: "127.0.0.1:17000"\n  token: "{TOKEN}"\n')
        result = call("check", str(file))
        self.assertEqual(result.exit_code, 0, result.output)
        self.assertIn("listens for clients on 127.0.0.1:17000", result.output)
        self.assertNotIn(TOKEN, result.output)

    def test_bad(self) -> None:
        """Every problem with its line on standard error, and 2."""
        file = self.folder / "config.yaml"
        file.write_text(f'server:\n  adr: "127.0.0.1:17000"\n  token: "{TOKEN}"\n  heartbeat: never\n')
        result = call("check", str(file))
        self.assertEqual((result.exit_code, result.stdout), (2, ""))
        self.assertIn(f"{file}:2: server.adr: ", result.stderr)
        self.assertIn(f"{file}:4: server.heartbeat: ", result.stderr)

    def test_absent(self) -> None:
        """A file that is not there is a problem like others."""
        result = call("check", str(self.folder / "none.yaml"))
        self.assertEqual(result.exit_code, 2)
        self.assertIn("does not exist", result.stderr)


LATE = """
import click
from gotunnel.cli.main import main

@main.command()
@click.argument("code", type=int)
def late(code):
    print("rows")
    raise SystemExit(code)

main()
"""
ASKING = """
from gotunnel.cli.main import main
from gotunnel.cli.running import doing, status

class One:
    path = "here.sock"

    def get(self, path, **query):
        return {"role": {"role": "server"}}

    def post(self, path, **wish):
        return {"cut": 0, "level": "info", "before": "info", "applied": True, "lines": ["nothing has changed"],
                "addr": "127.0.0.1:17080", "hosts": [], "code": "abc", "mapping": "a", "client": "b"}

doing.found = status.found = lambda *where, **more: [One()]
main()
"""
FULL = "gotunnel: standard output cannot be written: no space left on device; make room where it goes\n"


class FullDiskTests(ProcessTestCase):
    """A standard output that takes nothing."""

    def test_said(self) -> None:
        """One line with what to do and 1, of a command's output and of its help; no traceback, at the end neither."""
        for words in (["token"], ["check", "--help"]):
            self.assertEqual(self.ended("from gotunnel.cli.main import main; main()", *words), (1, FULL), words)

    def test_said_late(self) -> None:
        """The same of what is written at the very end alone, as rows of CSV are; and who has failed already ends as he
        would: with his own line and exit code."""
        self.assertEqual(self.ended(LATE, "late", "0"), (1, FULL))
        self.assertEqual(self.ended(LATE, "late", "2"), (2, ""))

    def test_nobody_reads(self) -> None:
        """A pipe that is closed, as by `| head -1`, is worth no word."""
        reading, writing = os.pipe()
        os.close(reading)
        with open(writing, "w") as pipe:
            self.assertEqual(self.run_into(pipe, LATE, "late", "0"), (1, ""))

    def test_said_of_an_answer(self) -> None:
        """The same of what a running process has answered: it has done what it was told, and nobody sees it."""
        for words in (
            ["status", "--json"], ["status", "--json", "--watch"], ["kick", "a"], ["kick", "--stream", "a"],
            ["log-level"], ["reload"], ["mapping", "off", "a"], ["dashboard"], ["dashboard", "--port", "0"],
        ):  # fmt: skip
            self.assertEqual(self.ended(ASKING, *words), (1, FULL), words)
            reading, writing = os.pipe()
            os.close(reading)
            with open(writing, "w") as pipe:
                self.assertEqual(self.run_into(pipe, ASKING, *words), (1, ""), words)

    def test_closed(self) -> None:
        """A process may be started without standard streams, as by `>&-`: what it would print goes nowhere, and what
        it would read is empty."""
        file = self.folder / "server.yaml"
        file.write_text(f'server:\n  addr: "127.0.0.1:17000"\n  token: "{TOKEN}"\n')
        for closed, code, words in (
            (">&-", 0, ["token"]), (">&-", 0, ["check", str(file)]), (">&-", 2, ["check", "none.yaml"]),
            ("2>&-", 2, ["check", "none.yaml"]), ("<&-", 2, ["join", "example.com:1", "--name", "a"]),
            ("<&-", 2, ["expose", "80", "--server", "example.com:1"]),
        ):  # fmt: skip
            with self.subTest(closed=closed, words=words):
                done = subprocess.run(
                    ["sh", "-c", f'exec "$@" {closed}', "sh", sys.executable, "-m", "gotunnel", *words],
                    env=self.environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=DEADLINE,
                    check=False, cwd=self.folder,
                )  # fmt: skip
                self.assertNotIn("Traceback", done.stderr)
                self.assertEqual((done.returncode, done.stdout), (code, ""))
                said = "there is no token" if "<" in closed else "does not exist"
                self.assertEqual(said in done.stderr, code == 2 and "2" not in closed)

    def ended(self, script: str, *words: str) -> tuple[int, str]:
        """Return with which exit code and which words a script ends whose standard output is full."""
        if not os.path.exists("/dev/full"):
            raise SkipTest("this system has no /dev/full")
        with open("/dev/full", "w") as full:
            return self.run_into(full, script, *words)

    def run_into(self, out: IO[str], script: str, *words: str) -> tuple[int, str]:
        """Return the same of one whose standard output is `out`."""
        done = subprocess.run(
            [sys.executable, "-c", script, *words], env=self.environment(), stdout=out, stderr=subprocess.PIPE,
            text=True, timeout=DEADLINE,
        )  # fmt: skip
        return done.returncode, done.stderr


class ExposeConfigTests(SynchronousTestCase):
    """From the command line to a client's configuration."""

    def test_short(self) -> None:
        """A port and a server are enough: TLS, and the same port there."""
        config = client_config(Wish("8000", "example.org:17001"), TOKEN)
        (mapping,) = config.mappings
        self.assertEqual(
            (str(config.server_addr), str(mapping.local), mapping.remote_port, mapping.bind, config.tls.mode),
            ("example.org:17001", "127.0.0.1:8000", 8000, None, "required"),
        )
        self.assertRegex(config.name, r"\Aexpose-[A-Za-z0-9._-]+-8000\Z")

    def test_full(self) -> None:
        """Everything that can be said."""
        wish = Wish("unix:/run/web", "192.0.2.1", "127.0.0.1:18080", "me", plain=True)
        config = client_config(wish, TOKEN)
        (mapping,) = config.mappings
        self.assertEqual(
            (str(config.server_addr), str(mapping.local), mapping.remote_port, mapping.bind, config.tls.mode),
            ("192.0.2.1:17000", "unix:/run/web", 18080, "127.0.0.1", "off"),
        )
        self.assertEqual(config.name, "me")

    def test_problems(self) -> None:
        """All at once, in the words of the command line, without the token."""
        wish = Wish("80000", "example.org", "x", "two words", tls_ca="/nonexistent.pem")
        problems = self.assertRaises(ConfigError, client_config, wish, "changeme").problems
        self.assertEqual(
            {problem.key for problem in problems},
            {"PORT", "--remote", "--name", "--tls-ca", "GOTUNNEL_TOKEN"},
        )
        self.assertEqual({problem.file for problem in problems}, {"gotunnel expose"})


class EgressTests(SynchronousTestCase):
    """What ends before it connects."""

    def test_bad_values(self) -> None:
        """A configuration that cannot be: 2, in the words of the command line, without the token."""
        for arguments, words in (
            (("--listen", "127.0.0.1:1"), "gotunnel egress: --listen: '127.0.0.1:1' is not a unix socket"),
            (("--mode", "9"), "gotunnel egress: --mode: '9' is not the mode of a file"),
            (("--name", "a b"), "gotunnel egress: --name: 'a b' is not a client's name"),
        ):
            result = call("egress", "--to", "h", *arguments, GOTUNNEL_TOKEN=TOKEN)
            self.assertEqual((result.exit_code, result.stdout), (2, ""))
            self.assertIn(words, result.stderr)
            self.assertNotIn(TOKEN, result.output)

    def test_no_token(self) -> None:
        """Without a terminal to ask at: 2, and how to give one."""
        result = call("egress", "--to", "127.0.0.1:1")
        self.assertEqual((result.exit_code, result.stdout), (2, ""))
        self.assertIn("gotunnel egress: there is no token; set the variable GOTUNNEL_TOKEN", result.stderr)


class ExposeTests(SynchronousTestCase):
    """What ends before it connects."""

    def test_no_token(self) -> None:
        """Without a terminal to ask at: 2, and how to give one."""
        result = call("expose", "8000", "--server", "127.0.0.1:1")
        self.assertEqual((result.exit_code, result.stdout), (2, ""))
        self.assertIn("there is no token; set the variable GOTUNNEL_TOKEN", result.stderr)

    def test_token_is_no_option(self) -> None:
        """Command lines are public."""
        result = call("expose", "8000", "--server", "127.0.0.1:1", "--token", TOKEN)
        self.assertEqual(result.exit_code, 2)

    def test_contradiction(self) -> None:
        """A CA without TLS protects nobody."""
        result = call("expose", "8000", "--server", "h", "--plain", "--tls-ca", "x", GOTUNNEL_TOKEN=TOKEN)
        self.assertEqual(result.exit_code, 2)

    def test_bad_values(self) -> None:
        """A configuration that cannot be: 2."""
        result = call("expose", "99999", "--server", "h", GOTUNNEL_TOKEN=TOKEN)
        self.assertEqual(result.exit_code, 2)
        self.assertIn("gotunnel expose: PORT: ", result.stderr)
        self.assertNotIn(TOKEN, result.output)
