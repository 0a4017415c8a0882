"""Tokens and keys where they must not be: logs at debug level, lists of processes, tracebacks, what commands print, and
the text of any object that a debugger or a log line might show."""

from __future__ import annotations

import base64
import json
import re
import stat
import subprocess
import sys
import urllib.parse
import urllib.request
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from twisted.trial.unittest import SynchronousTestCase

from gotunnel.config.load import load
from gotunnel.core.identities import Identity, JoinKey
from gotunnel.net.greeting import SessionKey
from gotunnel.wire.handshake import derive_key
from gotunnel.wire.messages import MappingRequest, NeedLegs
from tests.client import world as client_world
from tests.e2e.harness import Program, TunnelTestCase
from tests.e2e.peers import Service, echo
from tests.server.world import TOKEN, World

COMMAND = "from gotunnel.cli.main import main; main(prog_name='gotunnel')"
ROLE = "from gotunnel.cli.roles import {role}; {role}(prog_name='gotunnel-{role}')"


def spellings(secret: bytes) -> Iterator[str]:
    """Yield how a secret could be written."""
    yield from (secret.hex(), secret.hex().upper(), repr(secret)[2:-1], str(list(secret))[1:-1])
    for encoded in (base64.b64encode(secret), base64.urlsafe_b64encode(secret)):
        yield encoded.decode().rstrip("=")
    try:
        yield secret.decode("utf-8")
    except UnicodeDecodeError:
        pass


class SecretsTestCase(TunnelTestCase):
    """The search of all logs at the end is for secrets alone: some tests here want a traceback."""

    def setUp(self) -> None:
        super().setUp()
        self.forbidden: set[bytes] = set()

    def know(self, token: str, *names: str) -> None:
        """Search for this token, and the keys of these clients that follow from it."""
        self.forbidden |= {token.encode(), *(derive_key(token, name) for name in names)}

    def assert_clean(self, text: str, where: str) -> None:
        """No secret is in it, however it is written."""
        for secret in self.forbidden:
            for written in spellings(secret):
                self.assertNotIn(written, text, f"a secret is in {where}")

    def _search_logs(self) -> None:
        for path in sorted(self.folder.rglob("*.log")):
            self.assert_clean(path.read_text(errors="backslashreplace"), path.name)


class ProcessTests(SecretsTestCase):
    """Real processes."""

    def gotunnel(self, *words: str, stdin: str = "") -> str:
        """Run a command to its end; return all that it printed."""
        done = subprocess.run(
            [sys.executable, "-c", COMMAND, *words], cwd=self.folder, env=self.environment(), input=stdin,
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout + done.stderr

    def running(self, program: Program) -> None:
        """Look at what every user of the machine can see of a process."""
        seen = Path(f"/proc/{program.pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
        self.assertIn("gotunnel", seen)
        self.assert_clean(seen + Path(f"/proc/{program.pid}/comm").read_text(), "the list of processes")
        limits = Path(f"/proc/{program.pid}/limits").read_text()
        self.assertRegex(limits, r"Max core file size +0 ")

    def told(self, address: str, token: str) -> None:
        """Look at all that the server tells an operator by HTTP."""

        def get(path: str) -> str:
            request = urllib.request.Request(f"http://{address}{path}", headers={"Authorization": f"Bearer {token}"})
            with urllib.request.urlopen(request, timeout=30) as answer:
                return str(answer.read().decode())

        paths = json.loads(get("/v1/"))["paths"]
        self.assertGreater(len(paths), 9)
        for path in (*paths, "/metrics"):
            text = get(path)
            self.assertGreater(len(text), 10, path)
            self.assert_clean(text + urllib.parse.unquote(text), path)

    def modes(self, *folders: Path) -> None:
        """Look at who else may read what the processes keep: nobody."""
        for folder in folders:
            found = [folder, *folder.rglob("*")]
            self.assertGreater(len(found), 1, folder)
            for path in found:
                self.assertEqual(stat.S_IMODE(path.lstat().st_mode) & 0o077, 0, path)

    def test_whole_life(self) -> None:
        """A client is added, joins, is listed and runs; another one has the shared token, a third a wrong one; all at
        debug level, as text and as JSON."""
        wrong = "c94e01b7d6f85a2338e07b1f6ad95c42"
        self.know(self.token, "shared", "worker", "wrong", "server")
        self.know(wrong, "wrong")
        address, service = f"{self.host}:{self.control}", Service(self, echo)
        token_file = self.write("server.token", self.token)
        token_file.chmod(0o600)
        asking, operator = f"{self.host}:{self.port()}", "c5GmTq0y8RZsVn4Jw1KbXe7HdUo2LpA9"
        admin_file = self.write("admin.token", operator)
        admin_file.chmod(0o600)
        self.forbidden.add(operator.encode())
        config = {
            "addr": address, "token_file": str(token_file), "log_level": "debug", "allow_plain_legs": True,
            "admin": {"addr": asking, "token_file": str(admin_file)},
        }  # fmt: skip
        file = self.write("server.yaml", {"server": config})
        place = ("-c", str(file), "--state", str(self.folder / "state"))
        line = self.gotunnel("client", "add", "worker", "--print-join", "--server", address, *place)
        once = re.findall(r"printf %s '?([A-Za-z0-9_-]{30,})'?", line)[0]
        self.know(once, "worker")
        server = self.role("server", ["--config", file, "--state", self.folder / "state", "--log-format", "json"])
        server.wait_for("server listening")
        joined = self.gotunnel("join", address, "--name", "worker", "--ports", str(self.port()), stdin=once)
        self.assert_clean(joined, "what join prints")
        lasting = (self.folder / "config.token").read_text().strip()
        self.assertNotEqual(lasting, once)
        self.know(lasting, "worker")
        programs = [server]
        for name, token in (("worker", ""), ("shared", self.token), ("wrong", wrong)):
            keys = {
                "name": name,
                "token": token,
                "server_addr": address,
                "log_level": "debug",
                "mappings": [
                    {"name": "sealed", "local": service.address, "remote": self.port()},
                    {"name": "open", "local": service.address, "remote": self.port(), "encrypt": False},
                ],
            }
            if name == "worker":
                keys["token_file"] = keys.pop("token") or str(self.folder / "config.token")
            path = self.write(f"{name}.yaml", {"client": keys})
            self.assert_clean(self.gotunnel("check", str(path)), "what check prints")
            runner = "twistd" if name == "shared" else "command"
            client = self.role("client", ["--config", path], name=name, runner=runner)
            programs.append(client)
            if name == "wrong":
                client.wait_for("does not let this client in")
                continue
            client.wait_for("mapping open open")
            for mapping in keys["mappings"]:
                self.assert_echo(mapping["remote"])
        for program in programs:
            self.running(program)
        self.told(asking, operator)
        states = self.folder / "state", self.folder / "xdg" / "gotunnel"
        for folder in states:
            for how in ((), ("--json",)):
                said = self.gotunnel("status", *how, "--streams", "--events", "--state", str(folder))
                self.assertIn("worker", said)
                self.assert_clean(said, "status")
        self.assert_clean(self.gotunnel("reload", "--state", str(states[0])), "reload")
        self.modes(*states)
        for words in (("client", "list"), ("client", "list", "--json"), ("client", "rotate", "worker")):
            said = self.gotunnel(*words, *place)
            if "rotate" in words:
                self.know(re.findall(r"[A-Za-z0-9_-]{30,}", said)[0], "worker")
            else:
                self.assert_clean(said, " ".join(words))
        self.assert_clean(self.gotunnel("check", str(file)), "what check prints")
        key = (self.folder / "state" / "server.pem").read_text().splitlines()[1]
        for program in programs:
            program.stop()
            self.assertNotIn(key, program.said, "the server's key is in a log")
        self.assertIn("debug", server.said)

    def test_tokens_on_the_command_line(self) -> None:
        """`gotunnel join` and `expose` refuse a token among their arguments, and do not repeat it."""
        self.know(self.token)
        for words in (
            ("join", "127.0.0.1:1", "--name", "x", "--token", self.token),
            ("join", "127.0.0.1:1", self.token, "--name", "x"),
            ("join", self.token, "--name", "x"),
            ("expose", "8000", "--server", "127.0.0.1:1", "--token", self.token),
        ):
            code, out, err = self.run_python("-c", COMMAND, *words)
            self.assertEqual(code, 2, words[:1])
            self.assert_clean(out + err, words[0])

    def test_tracebacks(self) -> None:
        """An error of ours, in the midst of functions that hold the token and keys, is logged with its traceback, and
        without them: in each format and under each runner's logging."""
        self.know(self.token, "edge")
        broken = (
            "import sys, gotunnel.wire.handshake as h\n"
            "def broken(key, *more): raise RuntimeError('no such luck')\n"
            "h.{function} = broken\n"
        )
        for number, (role, function, form) in enumerate(
            (("server", "client_mac", "text"), ("server", "session_key", "json"), ("client", "client_mac", "text"))
        ):
            self.control = self.port()
            address = f"{self.host}:{self.control}"
            programs = {}
            for each in ("server", "client"):
                section: dict[str, Any] = {"token": self.token, "log_level": "debug"}
                section |= (
                    {"addr": address} if each == "server"
                    else {"name": "edge", "server_addr": address, "mappings": [{"name": "m", "local": 1, "remote": 0}]}
                )  # fmt: skip
                path = self.write(f"{each}{number}.yaml", {each: section})
                code = (broken.format(function=function) if each == role else "") + ROLE.format(role=each)
                words = [sys.executable, "-c", code, "--config", path, "--state", self.folder / f"state{number}"]
                programs[each] = self.launch(f"{each}{number}", [*words, "--log-format", form])
                if each == "server":
                    programs[each].wait_for("server listening")
            programs[role].wait_for("no such luck")
            programs[role].wait_for("Traceback")
            for program in programs.values():
                program.stop()


class ObjectTests(SynchronousTestCase):
    """What an object says of itself."""

    def walk(self, *roots: object) -> Iterator[object]:
        """Yield every object of ours that can be reached from these, and their containers."""
        seen: set[int] = set()
        waiting = list(roots)
        while waiting:
            found = waiting.pop()
            if id(found) in seen or isinstance(found, type):
                continue
            seen.add(id(found))
            ours = type(found).__module__.startswith("gotunnel")
            if ours:
                yield found
            if ours or isinstance(found, (dict, list, tuple, set, frozenset)):
                waiting += _inside(found)

    def assert_silent(self, secrets: Iterable[bytes], *roots: object) -> int:
        """No text of any object holds a secret; return how many kinds of them there were."""
        kinds = set()
        written = {spelling for secret in secrets for spelling in spellings(secret)}
        for each in self.walk(*roots):
            kinds.add(type(each).__qualname__)
            texts = [repr(each), str(each)]
            if isinstance(each, BaseModel):
                texts += [each.model_dump_json(), repr(each.model_dump())]
            for text in texts:
                for secret in written:
                    self.assertNotIn(secret, text, type(each))
        return len(kinds)

    def test_server(self) -> None:
        """A hub with clients, sessions, mappings, legs and visitors."""
        world = World()
        client = world.login()
        port = client.publish(8080)
        client.bring_leg()
        port.visit()
        client.transport.say(client.leg_message())
        secrets = {TOKEN.encode(), derive_key(TOKEN, "edge"), client.established.ks}
        key, rights = derive_key(TOKEN, "edge"), world.hub.peers["edge"].rights
        own = Identity("edge", (key,), rights, join=JoinKey(key, None, key))
        kinds = self.assert_silent(secrets, world.hub, world.reception, client.established, own)
        self.assertGreater(kinds, 15)

    def test_client(self) -> None:
        """A link with its session and legs."""
        world = client_world.World(client_world.mapping(), client_world.mapping("open", 1, 2, encrypt=False))
        server = world.connected()
        server.grant()
        (leg,) = server.legs(plain=True)
        leg.receive_open(server.open_body(leg, "open"))
        server.say(NeedLegs(False, 1))
        key = SessionKey(server.sid, server.ks)
        secrets = {client_world.TOKEN.encode(), derive_key(client_world.TOKEN, "edge"), server.ks}
        self.assertGreater(self.assert_silent(secrets, world.link, key, server.handshake), 15)

    def test_configuration(self) -> None:
        """A file as it was loaded."""
        path = Path(self.mktemp())
        path.write_text(
            f'server: {{token: "{TOKEN}"}}\nclient: {{name: e, token: "{TOKEN}", server_addr: "h:1", local_ports: 1}}\n'
        )
        path.chmod(0o600)
        self.assertGreater(self.assert_silent({TOKEN.encode()}, load(path, {})), 5)

    def test_finds(self) -> None:
        """The walk reaches what is hidden, and sees what is said."""
        world = World()
        world.hub.peer("edge").session = MappingRequest(TOKEN, 1)  # type: ignore[assignment]
        self.assertRaises(self.failureException, self.assert_silent, {TOKEN.encode()}, world.hub)


def _inside(found: object) -> list[object]:
    if isinstance(found, dict):
        return [*found, *found.values()]
    if isinstance(found, (list, tuple, set, frozenset)):
        return list(found)
    slots = [name for cls in type(found).__mro__ for name in getattr(cls, "__slots__", ())]
    held = [getattr(found, name, None) for name in slots if not name.startswith("__")]
    return [*held, *getattr(found, "__dict__", {}).values()]
