"""From `gotunnel client add` on the server to a page through the tunnel, with real processes and the printed line as it
is."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pty
import re
import secrets
import signal
import socket
import subprocess
import sys
import termios
import threading
import time
from base64 import b64encode
from pathlib import Path

from gotunnel.config.identityfile import load_clients
from tests.certificates import Authority
from tests.e2e.harness import Program, TunnelTestCase
from tests.e2e.peers import Service, echo
from tests.processes import DEADLINE

COMMAND = "from gotunnel.cli.main import main; main(prog_name='gotunnel')"


class JoinTests(TunnelTestCase):
    """A server with a shared token for others, and a client that it makes."""

    def setUp(self) -> None:
        super().setUp()
        self.bin = self.folder / "bin"
        self.bin.mkdir()
        self.program("gotunnel", COMMAND)
        self.place = self.folder / "client"
        self.place.mkdir()
        self.echo = Service(self, echo).address
        self.public = self.port()

    def program(self, name: str, code: str) -> None:
        """Put a command on the PATH."""
        path = self.bin / name
        path.write_text(f'#!/bin/sh\nexec "{sys.executable}" -c "{code}" "$@"\n')
        path.chmod(0o755)

    def call(self, *words: str | Path, cwd: Path | None = None) -> tuple[int, str, str]:
        """Run a command with this PATH; return its exit code and what it printed."""
        process = self.begin(*words, cwd=cwd)
        out, err = process.communicate(timeout=DEADLINE)
        return process.returncode, out, err

    def begin(self, *words: str | Path, cwd: Path | None = None, **more: str) -> subprocess.Popen[str]:
        """Start a command; `more` adds to its environment."""
        process = subprocess.Popen(
            [str(word) for word in words],
            cwd=cwd or self.folder,
            env=self.environment(PATH=f"{self.bin}:{os.environ['PATH']}", **more),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.addCleanup(self._end, process)
        return process

    def on_server(self, *words: str) -> str:
        """Run `gotunnel client …` there; return what it prints on standard output."""
        code, out, err = self.call("gotunnel", "client", words[0], "-c", "server.yaml", *words[1:])
        self.assertEqual(code, 0, err)
        self.secrets += re.findall(r"\b[0-9a-f]{64}\b", out)
        return out.strip()

    def add(self, *words: str) -> str:
        """Make the client `edge`; return the line to paste."""
        return self.on_server("add", "edge", "--ports", str(self.public), "--print-join", *words)

    def paste(self, line: str, *more: str) -> tuple[int, str, str]:
        """Run the line in the client's folder, and publish the echo service."""
        publish = f"--local {self.echo} --remote {self.public}"
        return self.call("sh", "-c", " ".join([line, publish, *more]), cwd=self.place)

    def joined(self, line: str, *more: str) -> None:
        """It is let in."""
        code, _, err = self.paste(line, *more)
        self.assertEqual((code, err), (0, ""))
        self.secrets += [path.read_text().strip() for path in self.place.glob("*.token")]

    def run_client(self, config: str = "config.yaml") -> Program:
        """Start the client with what the join has written."""
        return self.role("client", ["--config", self.place / config], name="edge")

    def state(self) -> Path:
        return self.folder / "xdg" / "gotunnel" / "clients.json"

    def test_whole_way(self) -> None:
        """Added, pasted, started, reached; the line serves once; revoked, it is out, and so is its port."""
        server = self.server()
        line = self.add()
        self.assertRegex(line, rf"\Aprintf %s '[0-9a-f]{{64}}' \| gotunnel join {self.host}:{self.control} --name edge "
                               r"--pin sha256:\S{44}\Z")  # fmt: skip
        code, out, err = self.paste(line)
        self.assertEqual((code, err), (0, ""), out)
        for step in ("gotunnel check", "gotunnel-client --config"):
            self.assertIn(f"{step} {self.place}/config.yaml", out)
        self.secrets.append((self.place / "config.token").read_text().strip())
        server.wait_for("client edge has joined")
        code, out, _ = self.call("gotunnel", "check", self.place / "config.yaml")
        self.assertEqual(code, 0)
        client = self.run_client()
        client.wait_for("mapping .* open")
        self.assert_echo(self.public)

        code, out, err = self.paste(line, "-o again.yaml")
        self.assertEqual((code, out), (1, ""))
        self.assertIn("auth_failed", err)
        self.assertEqual(sorted(path.name for path in self.place.iterdir()), ["config.token", "config.yaml"])

        self.on_server("revoke", "edge")
        client.wait_for("connection to the server .* lost")
        self.wait_until(lambda: self.refused(self.public), "a closed port")
        client.wait_for("does not let this client in: auth_failed")

    def test_through_a_proxy(self) -> None:
        """A client joins through a proxy that wants a login, inside a WebSocket with TLS of an authority of its own, by
        a name; what it wrote takes it there again, also when it is started elsewhere, and also for another token by a
        line of the server that says nothing of all that, and names a port that this client does not reach."""
        asked: list[bytes] = []
        proxy = Service(self, lambda connection: _proxy(connection, self.host, asked)).address
        there = self.port()
        authority = Authority(self.folder)
        cert, key = authority.issue("localhost")
        listener = {"plugin": "websocket", "listen": f"{self.host}:{there}", "cert": str(cert), "key": str(key)}
        server = self.server(listeners=[listener])
        (self.place / "ca.pem").write_bytes(authority.file.read_bytes())
        (self.place / "login").write_text("me:secret")
        (self.place / "login").chmod(0o600)
        way = {"proxy": proxy, "proxy_login": "login", "ca": "ca.pem"}
        options = [word for key, value in way.items() for word in ("--transport-option", f"{key}={value}")]
        self.joined(self.add("--server", f"localhost:{there}", "--transport", "websocket", *options))
        server.wait_for("client edge has joined")
        self.assertEqual(len(asked), 1)
        self.assertIn(b"CONNECT localhost:%d " % there, asked[0])
        self.assertIn(b64encode(b"me:secret"), asked[0])
        client = self.run_client()
        client.wait_for("mapping .* open")
        self.assert_echo(self.public)
        self.assertGreater(len(asked), 1)
        self.assertEqual(client.stop(), 0)
        del asked[:]
        line = self.on_server("rotate", "edge", "--print-join", "--server", "nowhere.invalid:17000")
        code, out, err = self.call("sh", "-c", f"{line} --json", cwd=self.place)
        self.assertEqual((code, err), (0, ""))
        self.assertEqual((json.loads(out)["server"], len(asked)), (f"localhost:{there}", 1))
        self.secrets.append((self.place / "config.token").read_text().strip())

    def test_no_process_shows_the_token(self) -> None:
        """While the line runs, no command line of this machine has its token; and the join was looked at."""
        self.server()
        line = self.add()
        (token,) = re.findall(r"'([0-9a-f]{64})'", line)
        script = self.place / "line.sh"  # as somebody would paste it: `sh -c` has all of it on its own command line
        script.write_text(f"{line} -o joined.yaml\n")
        seen: set[str] = set()
        over = threading.Event()

        def look() -> None:
            while not over.is_set():
                for entry in Path("/proc").iterdir():
                    if entry.name.isdigit():
                        try:
                            seen.add((entry / "cmdline").read_text(errors="replace"))
                        except OSError:
                            continue

        looking = threading.Thread(target=look)
        looking.start()
        try:
            code, _, err = self.call("sh", script, cwd=self.place)
        finally:
            over.set()
            looking.join()
        self.assertEqual((code, err), (0, ""))
        self.assertTrue([words for words in seen if "\0join\0" in words and "joined.yaml" in words])
        self.assertEqual([words for words in seen if token in words], [])

    def test_answer_lost(self) -> None:
        """A client that dies between storing its token and saying so: the token works, and ends the one-time one."""
        self.server()
        line = self.add()
        self.program(
            "gotunnel",
            "import os; from gotunnel.net.control import ControlConnection as C; from gotunnel.wire.messages import "
            "Enrolled as E; send = C.send; "
            "C.send = lambda self, m: os.kill(os.getpid(), 9) if isinstance(m, E) else send(self, m); " + COMMAND,
        )
        self.assertNotEqual(self.paste(line)[0], 0)
        self.program("gotunnel", COMMAND)
        self.secrets.append((self.place / "config.token").read_text().strip())
        (before,) = load_clients(self.state())
        self.assertEqual(before.keys, ())
        self.run_client().wait_for("mapping .* open")
        self.assert_echo(self.public)
        self.wait_until(lambda: load_clients(self.state())[0].join is None, "the end of the one-time token")
        self.assertEqual(self.paste(line, "-o again.yaml")[0], 1)

    def test_connection_breaks(self) -> None:
        """A client that dies before it stored anything: the same line works again."""
        server = self.server()
        line = self.add()
        self.program(
            "gotunnel",
            "import os; from gotunnel.cli.clientfiles import ClientFiles as F; "
            "F.save = lambda *_: os.kill(os.getpid(), 9); " + COMMAND,
        )
        self.assertNotEqual(self.paste(line)[0], 0)
        server.wait_for("client edge has not joined")
        self.assertEqual(list(self.place.iterdir()), [])
        self.program("gotunnel", COMMAND)
        self.joined(line)
        self.run_client().wait_for("mapping .* open")

    def test_server_dies(self) -> None:
        """A server that is killed once it has sent the lasting token: after its restart both tokens are good."""
        server = self.server()
        line = self.add()
        self.program(
            "gotunnel",
            f"import os; from gotunnel.cli.clientfiles import ClientFiles as F; save = F.save; "
            f"F.save = lambda *a: (save(*a), os.kill({server.pid}, 9))[0]; " + COMMAND,
        )
        code, out, err = self.paste(line)
        self.assertEqual(code, 0, err)
        self.assertIn("the token that was written works", out)
        server.wait()
        self.program("gotunnel", COMMAND)
        self.secrets.append((self.place / "config.token").read_text().strip())
        self.server()
        self.run_client().wait_for("mapping .* open")
        self.assert_echo(self.public)

    def test_two_at_once(self) -> None:
        """Two paste one line at the same moment: the one that the server lets in has a token, the other is told that
        its own is none, and has no files, or its former token."""
        self.server()
        line, late = self.add(), self.folder / "late"
        late.mkdir()
        self.slow_to_store("ClientFiles", "clientfiles")
        first = self.begin("sh", "-c", line, cwd=late)
        self.wait_until((late / "stores").exists, "the first one that has its token")
        self.program("gotunnel", COMMAND)
        self.joined(line)
        (late / "go").touch()
        out, err = first.communicate(timeout=DEADLINE)
        self.assertEqual((first.returncode, out), (1, ""))
        self.assertIn("was used already", err)
        self.assertEqual({path.name for path in late.iterdir()}, {"stores", "go"})
        self.run_client().wait_for("mapping .* open")

    def test_revoked_while_it_renews(self) -> None:
        """The former token is back when the server has ended the one that it sent."""
        self.server()
        self.joined(self.add())
        before = (self.place / "config.token").read_text()
        line = self.on_server("rotate", "edge", "--print-join")
        self.slow_to_store("Renewal", "renewal")
        renewing = self.begin("sh", "-c", line, cwd=self.place)
        self.wait_until((self.place / "stores").exists, "the client that has its token")
        self.program("gotunnel", COMMAND)
        self.on_server("rotate", "edge", "--print-join", "--at-once")
        (self.place / "go").touch()
        _, err = renewing.communicate(timeout=DEADLINE)
        self.assertEqual(renewing.returncode, 1, err)
        self.assertEqual((self.place / "config.token").read_text(), before)

    def slow_to_store(self, cls: str, module: str) -> None:
        """Let a join make the file `stores` and wait for `go` ahead of storing its token."""
        self.program(
            "gotunnel",
            f"import os, time; from gotunnel.cli.{module} import {cls} as F; save = F.save; "
            "F.save = lambda *a: (os.close(os.open('stores', os.O_CREAT)), "
            "[time.sleep(0.01) for _ in iter(lambda: os.path.exists('go'), True)], save(*a))[2]; " + COMMAND,
        )

    def test_rotation(self) -> None:
        """A new token by the line as it is: the configuration stays, the running client notices nothing until it is
        restarted, and then the old token is dead."""
        self.server()
        self.joined(self.add())
        written = (self.place / "config.yaml").read_text()
        old = (self.place / "config.token").read_text()
        client = self.run_client()
        client.wait_for("mapping .* open")
        line = self.on_server("rotate", "edge", "--print-join")
        code, out, err = self.call("sh", "-c", line, cwd=self.place)
        self.assertEqual((code, err), (0, ""))
        self.assertIn("restart it", out)
        self.secrets.append((self.place / "config.token").read_text().strip())
        self.assertEqual((self.place / "config.yaml").read_text(), written)
        self.assertEqual(sorted(path.name for path in self.place.iterdir()), ["config.token", "config.yaml"])
        self.assert_echo(self.public)
        self.assertEqual(client.stop(), 0)
        self.run_client().wait_for("mapping .* open")
        self.assert_echo(self.public)
        self.wait_until(lambda: len(load_clients(self.state())[0].keys) == 1, "the end of the old token")
        (self.place / "config.token").write_text(old)
        self.run_client().wait_for("does not let this client in: auth_failed")

    def test_expired(self) -> None:
        """A line that comes too late is refused, and another one is made by `rotate`."""
        self.server()
        line = self.add("--ttl", "1s")
        join = load_clients(self.state())[0].join
        assert join is not None and join.expires is not None
        expires = join.expires
        self.wait_until(lambda: time.time() > expires, "the end of a second")
        code, _, err = self.paste(line)
        self.assertEqual((code, err.count("\n")), (1, 1))
        self.assertIn("gotunnel client rotate", err)
        self.joined(self.on_server("rotate", "edge", "--print-join"))

    def test_ordinary_client_with_one_time_token(self) -> None:
        """It is told what the token is for; the token stays good."""
        self.server()
        line = self.add()
        (token,) = re.findall(r"'([0-9a-f]{64})'", line)
        client = self.client({"web": (self.echo, self.public)}, name="edge", ready=False, token=token)
        client.wait_for("does not let this client in: enrol_required: .*gotunnel join")
        client.stop()
        self.joined(line)

    def test_refusals(self) -> None:
        """Each is one line with exit code 1, leaves no file, and leaves the token as it was."""
        self.server()
        line = self.add()
        wrong = re.sub(r"'[0-9a-f]{64}'", f"'{secrets.token_hex(32)}'", line)
        other_pin = re.sub(r"--pin \S+", "--pin sha256:" + "A" * 43 + "=", line)
        for bad, words in (
            (wrong, "auth_failed"),
            (line.replace("--name edge", "--name nobody"), "auth_failed"),
            (other_pin, "pin"),
            (line.replace(f":{self.control}", f":{self.port()}"), "connection refused"),
            (line.replace(f"{self.host}:", "nothing.invalid:"), "nothing.invalid"),
            (re.sub(r"--pin \S+", "--plain", line), "leave out --plain"),
        ):
            code, out, err = self.paste(bad)
            self.assertEqual((code, out, err.count("\n")), (1, "", 1), err)
            self.assertIn(words, err)
            self.assertEqual(list(self.place.iterdir()), [], bad)
        self.joined(line)

    def test_interrupted(self) -> None:
        """Ctrl-C while a server is silent: one line, and nothing is left."""
        with socket.create_server((self.host, 0)) as silent:
            port = silent.getsockname()[1]
            words = ("join", f"{self.host}:{port}", "--name", "edge")
            process = self.begin("gotunnel", *words, cwd=self.place, GOTUNNEL_TOKEN=self.token)
            silent.settimeout(DEADLINE)
            connection, _ = silent.accept()
            with connection:
                connection.recv(1)
                os.kill(process.pid, signal.SIGINT)
                _, err = process.communicate(timeout=DEADLINE)
        self.assertEqual((process.returncode, err.count("\n")), (1, 1), err)
        self.assertIn("interrupted", err)
        self.assertEqual(list(self.place.iterdir()), [])

    def test_asked_at_a_terminal(self) -> None:
        """Somebody types the token: the terminal does not show it."""
        self.server()
        (token,) = re.findall(r"'([0-9a-f]{64})'", self.add())
        ours, theirs = pty.openpty()
        self.addCleanup(os.close, ours)
        process = subprocess.Popen(
            ["gotunnel", "join", f"{self.host}:{self.control}", "--name", "edge"],
            executable=self.bin / "gotunnel",
            cwd=self.place,
            env=self.environment(),
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        self.addCleanup(_end, process)
        os.close(theirs)
        shown = b""
        while b"Token: " not in shown:
            shown += os.read(ours, 1000)
        os.write(ours, token.encode() + b"\n")
        try:
            while part := os.read(ours, 1000):
                shown += part
        except OSError:
            pass  # how a terminal says that nobody is at its other end any more
        self.assertEqual(process.wait(DEADLINE), 0, shown)
        self.assertIn(b"This machine is now the client edge", shown)
        self.assertNotIn(token[:8].encode(), shown)

    def test_lasting_token(self) -> None:
        """A line with a lasting token, over no TLS at all: the client has that very token."""
        self.server(tls={"mode": "off"})
        line = self.add()
        self.assertTrue(line.endswith(" --plain"))
        self.joined(line)
        self.assertIn((self.place / "config.token").read_text().strip(), line)
        self.run_client().wait_for("mapping .* open")
        self.assert_echo(self.public)


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.kill()
    process.wait()


def _proxy(connection: socket.socket, host: str, asked: list[bytes]) -> None:
    """Be an HTTP proxy for one connection: whatever name is asked for, it is `host`."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += connection.recv(1)
    asked.append(head)
    port = int(head.split()[1].rpartition(b":")[2])
    with socket.create_connection((host, port), DEADLINE) as far:
        far.settimeout(None)
        connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        back = threading.Thread(target=_carry, args=(far, connection))
        back.start()
        _carry(connection, far)
        back.join()


def _carry(here: socket.socket, there: socket.socket) -> None:
    """Pass bytes on until one end closes; then both are."""
    with contextlib.suppress(OSError):
        while data := here.recv(1 << 16):
            there.sendall(data)
    for each in (here, there):
        with contextlib.suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)
