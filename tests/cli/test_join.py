"""`gotunnel join` without a server: where the token comes from, what is refused before anything is sent, what is
written."""

from __future__ import annotations

import io
import json
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

from click.testing import Result
from twisted.trial.unittest import SynchronousTestCase

from gotunnel.cli import join, tokeninput
from gotunnel.cli.clientconfig import Wish, client_section, config_of, config_text, with_paths
from gotunnel.cli.main import main
from gotunnel.cli.tokeninput import given_token
from gotunnel.config.load import load_client
from gotunnel.config.model import ClientConfig
from gotunnel.errors import ConfigError
from gotunnel.logs import set_level
from tests.cli.runner import Runner
from tests.processes import ProcessTestCase

TOKEN = "c122c389f83d7543115721971c499abec8e9b36c9673b506cef611478c040c9b"
OTHER = "6f1d0c9b8a7e5f4d3c2b1a09f8e7d6c5b4a39281706f5e4d6f1d0c9b8a7e5f4d"
PIN = "sha256:0/R9ZHgwLFtLBUyTujIxzJ/7n1+4E4H7LB6FtJpxnHE="


class _Terminal(io.StringIO):
    """Standard input where somebody sits."""

    def isatty(self) -> bool:
        return True


class TokenTests(SynchronousTestCase):
    """Where it comes from."""

    def given(self, piped: str | None, named: str | None = None) -> str:
        """Take a token; `piped` None means a terminal."""
        env = {} if named is None else {"GOTUNNEL_TOKEN": named}
        return given_token("gotunnel join", env, _Terminal() if piped is None else io.StringIO(piped))

    def refused(self, piped: str | None, named: str | None = None) -> str:
        """None is taken; return what is said, which quotes none."""
        said = str(self.assertRaises(ConfigError, self.given, piped, named))
        for secret in (TOKEN, OTHER):
            self.assertNotIn(secret, said)
        return said

    def test_piped(self) -> None:
        """All of standard input, white space around it aside; without it the environment."""
        self.assertEqual(self.given(TOKEN), TOKEN)
        self.assertEqual(self.given(f" {TOKEN}\r\n"), TOKEN)
        self.assertEqual(self.given("\n", TOKEN), TOKEN)
        self.assertEqual(self.given(TOKEN, f"{TOKEN}\n"), TOKEN)

    def test_asked(self) -> None:
        """At a terminal the environment counts, else it asks, without showing what is typed."""
        asked: list[dict[str, object]] = []
        self.patch(tokeninput.click, "prompt", lambda *_, **how: asked.append(how) or f"{OTHER} ")
        self.assertEqual(self.given(None, TOKEN), TOKEN)
        self.assertEqual((self.given(None), asked), (OTHER, [{"hide_input": True, "err": True}]))

    def test_none(self) -> None:
        """It says how to give one."""
        self.assertIn("GOTUNNEL_TOKEN", self.refused(""))

    def test_two(self) -> None:
        """Two that differ are not guessed about."""
        self.assertIn("two different tokens", self.refused(TOKEN, OTHER))

    def test_too_much(self) -> None:
        """A file that is none of a token's is not read to its end."""
        self.assertIn("too long", self.refused(TOKEN * 100))

    def test_no_text(self) -> None:
        """Nor decoded."""
        stream = io.TextIOWrapper(io.BytesIO(b"\xff\xfe"), encoding="utf-8")
        self.assertIn("not text", str(self.assertRaises(ConfigError, given_token, "x", {}, stream)))


class ConfigTests(ProcessTestCase):
    """From the command line to the file."""

    def written(self, wish: Wish) -> ClientConfig:
        """Return the configuration as the file will be read, which is what was meant."""
        section = client_section(wish)
        meant = config_of(section, TOKEN)
        section = with_paths(section, meant)
        (self.folder / "config.token").write_text(TOKEN)
        (self.folder / "config.token").chmod(0o600)
        (self.folder / "config.yaml").write_text(config_text(section, "config.token"))
        read = load_client(self.folder / "config.yaml", {})
        self.assertEqual(read.model_copy(update={"token_file": None}), meant)
        self.assertNotIn(TOKEN, (self.folder / "config.yaml").read_text())
        return read

    def test_short(self) -> None:
        """Ports keep their numbers."""
        read = self.written(Wish("h", "edge", ports="6443, 10250"))
        self.assertEqual([(str(m.local), m.remote_port) for m in read.mappings],
                         [("127.0.0.1:6443", 6443), ("127.0.0.1:10250", 10250)])  # fmt: skip
        self.assertEqual((str(read.server_addr), read.tls.mode, read.tls.pin), ("h:17000", "required", ()))

    def test_full(self) -> None:
        """Everything that can be said, with names and paths that YAML could take for something else."""
        ca = self.folder / "a ${b}: #c.pem"
        ca.write_text("x")
        local, remote = ("unix:/run/web", "192.0.2.3:80", "8000"), ("0", "127.0.0.1:8080", "18000")
        wish = Wish("[2001:db8::7]:443", "0x10", PIN, str(ca), ports="22", local=local, remote=remote)
        read = self.written(wish)
        self.assertEqual((read.name, str(read.server_addr), read.tls.pin), ("0x10", "[2001:db8::7]:443", (PIN,)))
        self.assertEqual(read.tls.ca, ca)
        self.assertEqual([str(m.local) for m in read.mappings],
                         ["127.0.0.1:22", "unix:/run/web", "192.0.2.3:80", "127.0.0.1:8000"])  # fmt: skip
        self.assertEqual([(m.bind, m.remote_port) for m in read.mappings],
                         [(None, 22), (None, 0), ("127.0.0.1", 8080), (None, 18000)])  # fmt: skip

    def test_names(self) -> None:
        """Every name that a client may have is read as that name."""
        for name in ("no", "1", "1e3", "0o7", "~", ".", "..", "-", "null", "2026-11-23", "<<", "A" * 64):
            if name not in ("~", "<<"):
                self.assertEqual(self.written(Wish("h", name, ports="1")).name, name)

    def test_plain(self) -> None:
        """No TLS is said in the file, too."""
        self.assertEqual(self.written(Wish("h", "edge", plain=True, ports="1")).tls.mode, "off")

    def test_transport(self) -> None:
        """The plugin, and its options as they were meant: text, truth, a number, and a file by its whole path."""
        (self.folder / "ca.pem").write_text("x")
        self.addCleanup(os.chdir, os.getcwd())
        os.chdir(self.folder)
        options = ("path=/a: #b", "ca=ca.pem", "tls=true", "ping=5", "host=1.example")
        self.assertRaises(ConfigError, self.written, Wish("h", "e", ports="1", transport="websocket", options=options))
        options = ("path=/a$b", *options[1:])
        read = self.written(Wish("h", "e", ports="1", transport="websocket", options=options))
        assert read.transport is not None
        found: Any = read.transport.options
        self.assertEqual((read.transport.plugin, found.path, found.ca), ("websocket", "/a$b", self.folder / "ca.pem"))
        self.assertEqual((found.tls, found.ping, found.host), (True, 5.0, "1.example"))
        self.assertIn(json.dumps(str(self.folder / "ca.pem")), (self.folder / "config.yaml").read_text())
        self.assertEqual(self.written(Wish("h", "e", ports="1", transport="tcp")).transport.plugin, "tcp")

    def test_nothing_to_publish(self) -> None:
        """Then the file has an example, which is whole once the # are gone."""
        section = client_section(Wish("h", "edge"))
        config_of(section, TOKEN)
        text = config_text(section, "config.token")
        (self.folder / "config.token").write_text(TOKEN)
        (self.folder / "config.token").chmod(0o600)
        path = self.folder / "config.yaml"
        path.write_text(text)
        self.assertIn("nothing to publish", str(self.assertRaises(ConfigError, load_client, path, {})))
        lines = text.splitlines()
        at = next(index for index, line in enumerate(lines) if line.strip().startswith("# mappings"))
        path.write_text("\n".join([*lines[:at], *(line.replace("# ", "", 1) for line in lines[at:])]))
        self.assertEqual([m.name for m in load_client(path, {}).mappings], ["web"])


class RefusalTests(ProcessTestCase):
    """What ends with 2 and leaves nothing."""

    def join(self, *words: str, token: str = TOKEN, **env: str) -> Result:
        """Run it with the token on standard input, writing into the test's folder."""
        more = [] if "-o" in words else ["-o", str(self.folder / "config.yaml")]
        self.addCleanup(set_level, "info")  # the command runs in this process, and logs only warnings
        self.patch(join, "use_monotonic", lambda reactor: None)  # which is that of the tests, and has timers of theirs
        return Runner().invoke(
            main, ["join", *words, *more], input=token, env={"GOTUNNEL_TOKEN": None, **env}, prog_name="gotunnel"
        )

    def refused(self, *words: str, says: str, token: str = TOKEN) -> None:
        """It is, with 2, and with no word of the token."""
        result = self.join(*words, token=token)
        self.assertEqual((result.exit_code, result.stdout), (2, ""), (result.output, result.exception))
        self.assertIn(says, result.stderr)
        self.assertNotIn(TOKEN, result.output)
        self.assertNotIn("Traceback", result.output)
        self.assertEqual(list(self.folder.iterdir()), [])

    def test_token_on_command_line(self) -> None:
        """In whatever place; the reason is given and the token is not repeated."""
        for words in (["h:1", TOKEN], ["h:1", "--token", TOKEN], ["h:1", f"--token={TOKEN}"]):
            self.refused(*words, "--name", "edge", says="list of processes")
        self.refused(TOKEN, "--name", "edge", says="looks like a token")

    def test_words(self) -> None:
        """Each in the words of the command line."""
        websocket = ["--transport", "websocket", "--transport-option"]
        for words, says in (
            (["h:x", "--name", "edge"], "HOST:PORT"),
            (["h", "--name", "two words"], "--name"),
            (["h"], "--name"),
            (["h", "--name", "e", "--ports", "22-23"], "--ports"),
            (["h", "--name", "e", "--ports", "0"], "--ports"),
            (["h", "--name", "e", "--ports", "22,1:2"], "'1:2' is not a port number; write numbers from 1 to 65535; "),
            (["h", "--name", "e", "--ports", "8000:18000"], "needs --local 8000 --remote 18000\n"),
            (["h", "--name", "e", "--ports", "192.0.2.1:80"], "needs --local HOST:PORT --remote PORT\n"),
            (["h", "--name", "e", "--transport", "nope"], "--transport: 'nope' is not one of "),
            (["h", "--name", "e", "--transport-option", "a=b"], "--transport-option: is only used with --transport; "),
            (["h", "--name", "e", *websocket, "path"], "'path' is not KEY=VALUE"),
            (["h", "--name", "e", *websocket, "plugin=x"], "'plugin=x' is not KEY=VALUE"),
            (["h", "--name", "e", *websocket, "ping=1", websocket[-1], "ping=2"], "ping appears twice"),
            (["h", "--name", "e", *websocket, "path=x"], "--transport-option path: 'x' is not a path"),
            (["h", "--name", "e", *websocket, "xath=/x"], "--transport-option xath: is not an option of the plugin"),
            (["h", "--name", "e", *websocket, f"ca={Path(__file__)}"], "--transport: "),
            (["h", "--name", "e", "--ports", "22,22"], "--ports"),
            (["h", "--name", "e", "--local", "8000"], "--remote"),
            (["h", "--name", "e", "--local", "x:y", "--remote", "1"], "--local"),
            (["h", "--name", "e", "--local", "1", "--remote", "x"], "--remote"),
            (["h", "--name", "e", "--pin", "sha256:x"], "--pin"),
            (["h", "--name", "e", "--ca", "/nonexistent.pem"], "--ca"),
            (["h", "--name", "e", "--cert", "/nonexistent.pem"], "--cert"),
            (["h", "--name", "e", "--plain", "--pin", PIN], "--plain"),
            (["h", "--name", "e", "-o", "/nonexistent/config.yaml"], "/nonexistent"),
        ):
            self.refused(*words, says=says)

    def test_bad_authority(self) -> None:
        """A file that holds no certificate is a mistake of the command line, too."""
        result = self.join("127.0.0.1:1", "--name", "e", "--ca", str(Path(__file__)))
        self.assertEqual((result.exit_code, result.stdout), (2, ""))
        self.assertIn("test_join.py", result.stderr)

    def test_weak_token(self) -> None:
        """A token that can be guessed is not even tried."""
        for token in ("changeme", "", "0123456789abcdef"):
            self.refused("127.0.0.1:1", "--name", "edge", says="token", token=token)

    def test_no_room(self) -> None:
        """A disk that is full when the token has come is said in a line with the file, and with what to do."""

        def full(config: ClientConfig, store: Callable[[str], None], way: str) -> bool:
            store(TOKEN)
            return True

        def fails(descriptor: int) -> None:
            raise OSError(28, "No space left on device")

        self.patch(join, "_connect", full)
        self.patch(os, "fsync", fails)
        result = self.join("127.0.0.1:1", "--name", "edge")
        self.assertEqual((result.exit_code, result.stdout), (1, ""))
        said = f"gotunnel join: {self.folder}/config.yaml cannot be written: no space left on device; mend that, or"
        self.assertIn(said, result.stderr)
        self.assertEqual(list(self.folder.iterdir()), [])

    def test_existing(self) -> None:
        """A configuration that is there is not replaced, and nobody is connected to."""
        path = self.folder / "config.yaml"
        path.write_text("precious")
        with socket.create_server(("127.0.0.1", 0)) as server:
            server.setblocking(False)
            result = self.join(f"127.0.0.1:{server.getsockname()[1]}", "--name", "edge")
            self.assertRaises(BlockingIOError, server.accept)
        self.assertEqual(result.exit_code, 2)
        self.assertIn("--force", result.stderr)
        self.assertEqual(path.read_text(), "precious")
