"""`gotunnel client`: what it prints, what it writes, what it refuses."""

from __future__ import annotations

import json
import os
import re
import shlex
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from click.testing import Result
from twisted.trial.unittest import SkipTest

from gotunnel.cli.joinline import place_of
from gotunnel.cli.main import main
from gotunnel.config.identityfile import FileIdentity, load_clients
from gotunnel.config.model import ServerConfig
from gotunnel.errors import ConfigError
from gotunnel.net.owncert import own_pair
from gotunnel.wire.handshake import derive_key
from tests.cli.runner import Runner
from tests.processes import DEADLINE, ProcessTestCase

TOKEN = "c122c389f83d7543115721971c499abec8e9b36c9673b506cef611478c040c9b"


class ClientsTestCase(ProcessTestCase):
    """A server's configuration and state folder, without the server."""

    def setUp(self) -> None:
        super().setUp()
        self.config = self.folder / "server.yaml"
        self.state = self.folder / "state"
        self.server()

    def server(self, **keys: Any) -> None:
        """Write the configuration."""
        self.config.write_text(json.dumps({"server": {"addr": "192.0.2.7:17001", **keys}}))

    def call(self, *words: str) -> Result:
        """Run `gotunnel client …` for it."""
        where = ["-c", str(self.config), "--state", str(self.state)]
        env = {"GOTUNNEL_TOKEN": None}
        return Runner().invoke(main, ["client", words[0], *where, *words[1:]], env=env, prog_name="gotunnel")

    def good(self, *words: str) -> str:
        """Run it, and return what it prints on standard output."""
        result = self.call(*words)
        self.assertEqual(result.exit_code, 0, result.output)
        return result.stdout

    def bad(self, code: int, *words: str, says: str = "") -> str:
        """Run it; it is refused with one line, prints nothing, and changes nothing."""
        before = self.file.read_bytes() if self.file.exists() else None
        result = self.call(*words)
        self.assertEqual((result.exit_code, result.stdout), (code, ""), result.output)
        self.assertNotIn("Traceback", result.stderr)
        self.assertIn(says, result.stderr)
        self.assertEqual(self.file.read_bytes() if self.file.exists() else None, before)
        return result.stderr

    @property
    def file(self) -> Path:
        return self.state / "clients.json"

    def client(self, name: str = "edge") -> FileIdentity:
        """Return what the file holds of a client."""
        (found,) = [each for each in load_clients(self.file) if each.name == name]
        return found

    def keys(self, name: str = "edge") -> list[bytes]:
        """Return its lasting keys."""
        return [key.get_secret_value() for key in self.client(name).keys]


class AddTests(ClientsTestCase):
    """`add`."""

    def test_token(self) -> None:
        """Standard output is the token and nothing else, the file holds its key, and nobody else may read that."""
        self.addCleanup(os.umask, os.umask(0))
        result = self.call("add", "edge", "--ports", "10250, 30000-30100", "--bind", "127.0.0.1", "--bind", "::1",
                           "--dial", "127.0.0.1:6443", "--dial", "mapping:home/apiserver",
                           "--node", "worker-1", "--node", "10.200.0.11", "--group", "api*",
                           "--udp-ports", "53,5000-5010")  # fmt: skip
        self.assertRegex(result.stdout, r"\A[0-9a-f]{64}\n\Z")
        token = result.stdout.strip()
        self.assertEqual(self.keys(), [derive_key(token, "edge")])
        client = self.client()
        self.assertEqual((client.allow_ports, client.allow_bind), ((10250, "30000-30100"), ("127.0.0.1", "::1")))
        self.assertEqual((client.join, client.expires), (None, None))
        self.assertEqual([str(rule) for rule in client.allow_dial or ()], ["127.0.0.1:6443", "mapping:home/apiserver"])
        self.assertEqual([str(node) for node in client.allow_nodes or ()], ["worker-1", "10.200.0.11"])
        self.assertEqual(client.allow_groups, ("api*",))
        self.assertEqual(client.allow_udp_ports, (53, "5000-5010"))
        self.assertEqual(stat.S_IMODE(self.file.stat().st_mode), 0o600)
        self.assertNotIn(token, result.stderr)
        for path in self.state.iterdir():
            self.assertNotIn(token, path.read_text())

    def test_join_line(self) -> None:
        """One line, whose token serves once and for 24 hours; it is the client's only one."""
        before = time.time()
        line = self.good("add", "edge", "--print-join")
        found = re.fullmatch(r"printf %s '([0-9a-f]{64})' \| gotunnel join 192\.0\.2\.7:17001 --name edge\n", line)
        assert found is not None, line
        join = self.client().join
        assert join is not None and join.expires is not None
        self.assertEqual(join.key.get_secret_value(), derive_key(found[1], "edge"))
        self.assertEqual(self.keys(), [])
        self.assertTrue(before + 86_399 <= join.expires <= time.time() + 86_400)

    def test_join_line_for_its_ports(self) -> None:
        """What may stand behind the line is a port that this client may publish: it would be refused another one."""
        for ports, said in (("10250,30000-30100", "--ports 10250 appended"), ("1-9000", "--ports 8000 appended")):
            result = self.call("add", f"edge-{ports[:2]}", "--ports", ports, "--print-join")
            self.assertIn(said, result.stderr)

    def test_pin(self) -> None:
        """The line has the pin of the server's own key once there is one; it is never made here."""
        self.assertNotIn("--pin", self.good("add", "a", "--print-join"))
        self.assertEqual({path.name for path in self.state.iterdir()}, {"clients.json", "clients.json.lock"})
        own_pair(self.state)
        pin = Runner().invoke(main, ["pin", "-c", str(self.config), "--state", str(self.state)]).stdout.strip()
        self.assertRegex(pin, r"\Asha256:\S{44}\Z")
        self.assertTrue(self.good("add", "b", "--print-join").endswith(f" --name b --pin {pin}\n"))
        self.assertNotIn("--pin", self.good("add", "c", "--print-join", "--no-pin"))
        way = ("--transport", "websocket", "--transport-option", "path=/a b", "--transport-option", "tls=false")
        line = self.good("add", "d", "--print-join", "--no-pin", *way)
        self.assertTrue(line.endswith(f" --name d {shlex.join(way)}\n"), line)

    def test_which_state_folder(self) -> None:
        """Whoever writes into a folder that no server has used is told so: it may be the wrong one."""
        self.assertIn("name it with --state", self.call("add", "a").stderr)
        own_pair(self.state)
        self.assertNotIn("--state", self.call("add", "b").stderr)
        self.server(tls={"mode": "off"})
        self.assertNotIn("--state", self.call("add", "c").stderr)

    def test_broken_certificate(self) -> None:
        """What could fail fails before the client is made, or its token would be lost."""
        for name in ("cert", "key"):
            (self.folder / f"{name}.pem").write_text("nothing")
        self.server(tls={"cert": "cert.pem", "key": "key.pem"})
        self.bad(1, "add", "edge", "--print-join", says="cert.pem")
        self.good("add", "edge", "--print-join", "--no-pin")

    def test_times(self) -> None:
        """--ttl is for the one-time token, or else for the client itself."""
        self.good("add", "a", "--one-time", "--ttl", "30m")
        self.good("add", "b", "--ttl", "1d12h")
        self.good("add", "c", "--print-join", "--lasting")
        join, now = self.client("a").join, time.time()
        assert join is not None
        self.assertLess(abs((join.expires or 0) - (now + 1800)), 30)
        self.assertIsNone(self.client("a").expires)
        self.assertLess(abs((self.client("b").expires or 0) - (now + 36 * 3600)), 30)
        self.assertEqual((self.client("c").join, self.client("c").expires, len(self.keys("c"))), (None, None, 1))
        for wrong in ("", "24", "h", "0s", "-1h", "1.5h", "99999w", "1h ", "٣h", "1x"):
            self.bad(2, "add", "d", "--ttl", wrong, says="--ttl")

    def test_json(self) -> None:
        """All that a program needs, and nothing beside it."""
        facts = json.loads(self.good("add", "edge", "--print-join", "--ttl", "1h", "--json"))
        self.assertEqual(facts.keys(), {"name", "token", "one_time", "expires", "join", "file"})
        self.assertIn(facts["token"], facts["join"])
        self.assertEqual((facts["name"], facts["one_time"], facts["file"]), ("edge", True, str(self.file)))
        self.assertRegex(facts["expires"], r"\A\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\Z")

    def test_full_disk(self) -> None:
        """A token that cannot be printed is lost: it is said, with what to do, and nothing else is."""
        if not os.path.exists("/dev/full"):
            raise SkipTest("this system has no /dev/full")
        script = "import sys; from gotunnel.cli.main import main; main()"
        words = ["client", "add", "edge", "-c", str(self.config), "--state", str(self.state)]
        with open("/dev/full", "w") as full:
            done = subprocess.run(
                [sys.executable, "-c", script, *words], env=self.environment(), stdout=full, stderr=subprocess.PIPE,
                text=True, timeout=DEADLINE,
            )  # fmt: skip
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertRegex(done.stderr, r"\A.*`gotunnel client rotate edge --at-once` makes another\n\Z")
        self.assertEqual(len(self.keys()), 1)

    def test_without_tls(self) -> None:
        """There a token lasts, since it could not be exchanged, and the line says that it is plain."""
        self.server(tls={"mode": "off"})
        self.assertTrue(self.good("add", "edge", "--print-join").endswith(" --name edge --plain\n"))
        self.assertEqual(len(self.keys()), 1)
        self.bad(2, "add", "other", "--one-time", says="server.tls.mode is off")

    def test_refused(self) -> None:
        """Each with what to do, in the words of the command line."""
        self.good("add", "edge")
        self.bad(1, "add", "edge", says="`gotunnel client rotate`")
        self.bad(2, "add", "two words", says="NAME: 'two words' is not a client's name")
        self.bad(2, "add", "x" * 65, says="NAME")
        self.bad(2, "add", "e", "--ports", "0", says="--ports")
        self.bad(2, "add", "e", "--ports", "10250,http", says="--ports: 'http'")
        self.bad(2, "add", "e", "--ports", "30100-30000", says="--ports")
        self.bad(2, "add", "e", "--ports", "", says="--ports")
        self.bad(2, "add", "e", "--bind", "localhost", says="--bind")
        self.bad(2, "add", "e", "--dial", "127.0.0.1", says="--dial")
        self.bad(2, "add", "e", "--node", "a b", says="--node")
        self.bad(2, "add", "e", "--server", "h:1", says="--print-join")
        self.bad(2, "add", "e", "--transport", "websocket", says="--print-join")
        self.bad(2, "add", "e", "--print-join", "--transport-option", "a=b", says="is only used with --transport")
        self.bad(2, "add", "e", "--print-join", "--transport", "", says="--transport: is empty")
        self.bad(2, "add", "e", "--print-join", "--transport", "x", "--transport-option", "a", says="is not KEY=VALUE")
        self.bad(2, "add", "e", "--print-join", "--server", "h:x", says="--server")
        self.bad(2, "add", "e", "--print-join", "--server", "0.0.0.0:17000", says="--server")
        self.bad(2, "add")
        self.config.write_text("server: {adr: x}")
        self.bad(2, "add", "e", says="server.adr")

    def test_configured_client(self) -> None:
        """What stands in the configuration is not changed from here."""
        self.server(clients=[{"name": "fixed", "token": TOKEN}])
        for words in (["add"], ["rotate"], ["rotate", "--drop-old"], ["revoke"]):
            self.bad(2, words[0], "fixed", *words[1:], says="is in the configuration")

    def test_clients_file(self) -> None:
        """`clients_file` says where, relative to the configuration; then no state folder is needed or made."""
        self.server(clients_file="elsewhere.json")
        self.good("add", "edge")
        self.assertEqual([each.name for each in load_clients(self.folder / "elsewhere.json")], ["edge"])
        self.assertFalse(self.state.exists())

    def test_side_by_side(self) -> None:
        """Eight programs that begin together lose nothing, and each client has its token."""
        where = ["-c", str(self.config), "--state", str(self.state)]
        script = f"""
import sys
import gotunnel.cli.clientedit
from gotunnel.cli.main import main
print("ready", flush=True)
sys.stdin.readline()
for number in range(3):
    main(["client", "add", *{where!r}, f"edge-{{sys.argv[1]}}-{{number}}"], standalone_mode=False)
"""
        running = [
            subprocess.Popen(
                [sys.executable, "-c", script, str(number)], env=self.environment(), text=True,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            )
            for number in range(8)
        ]  # fmt: skip
        for process in running:
            self.addCleanup(self._end, process)
        for process in running:
            assert process.stdout is not None
            self.assertEqual(process.stdout.readline(), "ready\n")
        for process in running:
            assert process.stdin is not None
            process.stdin.write("\n")
            process.stdin.flush()
        found = {}
        for number, process in enumerate(running):
            code, tokens, errors = self.finish(process)
            self.assertEqual(code, 0, errors)
            for own, token in enumerate(tokens.split()):
                name = f"edge-{number}-{own}"
                found[name] = derive_key(token, name)
        self.assertEqual(len(found), 24)
        kept = {each.name: each.keys[0].get_secret_value() for each in load_clients(self.file)}
        self.assertEqual(kept, found)

    def test_killed_anywhere(self) -> None:
        """Whenever it is killed, the file is the old one or the new one, and can be read."""
        self.good("add", "first")
        script = """
import os, signal, sys
left = int(sys.argv.pop(1))
def counted(call):
    def counting(*args, **kwargs):
        global left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return call(*args, **kwargs)
    return counting
from gotunnel.cli.main import main
import gotunnel.cli.clientedit
for name in ("fsync", "replace", "close"):
    setattr(os, name, counted(getattr(os, name)))
main()
"""
        ends = set()
        for step in range(30):
            name = f"new-{step}"
            command = ["client", "add", "-c", str(self.config), "--state", str(self.state), name]
            code, _, errors = self.run_python("-c", script, str(step), *command)
            self.assertIn(code, (0, -9), errors)
            names = [each.name for each in load_clients(self.file)]
            self.assertIn("first", names)
            ends.add((name in names, code))
            if code == 0:
                break
        self.assertEqual(ends, {(False, -9), (True, -9), (True, 0)})


class OthersTests(ClientsTestCase):
    """`list`, `revoke`, `rotate`."""

    def test_rotate(self) -> None:
        """A second token beside the first, and then only the second."""
        first = self.good("add", "edge", "--ports", "10250").strip()
        second = self.good("rotate", "edge").strip()
        self.assertEqual(self.keys(), [derive_key(first, "edge"), derive_key(second, "edge")])
        self.bad(1, "rotate", "edge", says="--drop-old")
        self.good("rotate", "edge", "--drop-old")
        self.assertEqual(self.keys(), [derive_key(second, "edge")])
        self.assertEqual(self.client().allow_ports, (10250,))
        self.bad(1, "rotate", "edge", "--drop-old", says="no older token")

    def test_rotate_at_once(self) -> None:
        """Only the new one is left."""
        self.good("add", "edge")
        self.good("rotate", "edge")
        token = self.good("rotate", "edge", "--at-once").strip()
        self.assertEqual(self.keys(), [derive_key(token, "edge")])

    def test_rotate_by_join(self) -> None:
        """The line is like that of `add`; what the client has stays valid meanwhile."""
        token = self.good("add", "edge").strip()
        line = self.good("rotate", "edge", "--print-join")
        self.assertRegex(line, r"\Aprintf %s '[0-9a-f]{64}' \| gotunnel join \S+ --name edge --renew\n\Z")
        self.assertEqual(self.keys(), [derive_key(token, "edge")])
        self.assertIsNotNone(self.client().join)

    def test_rotate_words(self) -> None:
        """--drop-old makes no token; without such a client there is nothing to do."""
        self.good("add", "edge")
        for words in (["--print-join"], ["--at-once"], ["--ttl", "1h"], ["--json"], ["--one-time"]):
            self.bad(2, "rotate", "edge", "--drop-old", *words)
        self.bad(1, "rotate", "none", says=str(self.file))

    def test_revoke(self) -> None:
        """No key is left, the name is; `add` makes it anew, `--forget` frees it."""
        self.good("add", "edge", "--ports", "10250")
        self.assertEqual(self.good("revoke", "edge"), "")
        self.assertEqual((self.keys(), self.client().join), ([], None))
        self.bad(1, "rotate", "edge", says="revoked")
        self.bad(1, "revoke", "none", says="no client none")
        self.good("add", "edge")
        self.assertEqual((len(self.keys()), self.client().allow_ports), (1, None))
        self.good("revoke", "edge", "--forget")
        self.assertEqual(load_clients(self.file), ())

    def test_forget_and_shared_token(self) -> None:
        """Whoever forgets a client hears who may have its name then."""
        self.server(token=TOKEN)
        self.good("add", "edge")
        self.assertIn("server.token", self.call("revoke", "edge", "--forget").stderr)

    def test_list(self) -> None:
        """Everybody with a token of his own, sorted, with state and rights; keys and tokens are not shown."""
        self.server(allow_ports=["2000-3000"], clients=[{"name": "fixed", "token": TOKEN, "disabled": True}])
        self.good("add", "worker", "--ports", "10250", "--bind", "127.0.0.1")
        self.good("add", "joining", "--print-join")
        self.good("add", "gone")
        self.good("revoke", "gone")
        self.good("rotate", "worker")
        lines = self.good("list").splitlines()
        self.assertEqual([line.split()[0] for line in lines], ["NAME", "fixed", "gone", "joining", "worker"])
        for line, words in zip(
            lines[1:],
            (["disabled", "2000-3000", "the configuration"], ["revoked"], ["joining", "2000-3000", "any", "until"],
             ["active", "10250", "127.0.0.1", " 2 ", "clients.json"]),
            strict=True,
        ):  # fmt: skip
            for word in words:
                self.assertIn(word, line)
        shown = self.good("list", "--json")
        found = {each["name"]: each for each in json.loads(shown)}
        self.assertEqual(found["worker"]["allow_ports"], [10250])
        self.assertEqual((found["joining"]["join_token"], found["joining"]["state"]), ("valid", "joining"))
        self.assertEqual((found["worker"]["tokens"], found["gone"]["tokens"]), (2, 0))
        for secret in (TOKEN, *re.findall(r'"key": "(\S+)"', self.file.read_text())):
            self.assertNotIn(secret, shown + "\n".join(lines))

    def test_list_of_limits(self) -> None:
        """JSON has the limits that hold for each client; the table has a column only if some client has others than the
        server, and only those."""
        clients: list[dict[str, Any]] = [{"name": "fixed", "token": TOKEN, "limits": {"legs": 4096}}]
        self.server(limits={"mappings": 7}, clients=clients)
        self.good("add", "worker")
        shared = {"mappings": 7, "legs": 4096, "visitors": 4096, "pending": 1024}
        found = {each["name"]: each for each in json.loads(self.good("list", "--json"))}
        self.assertEqual((found["fixed"]["limits"], found["worker"]["limits"]), (shared, shared))
        self.assertNotIn("LIMITS", self.good("list"))
        clients[0]["limits"] = {"mappings": 7, "visitors": 20, "pending": 3}
        self.server(limits={"mappings": 7}, clients=clients)
        kept = json.loads(self.file.read_text())
        kept["clients"][0]["limits"] = {"mappings": 9}
        self.file.write_text(json.dumps(kept))
        self.good("add", "other")
        head, *lines = self.good("list").splitlines()
        at, end = head.index("LIMITS"), head.index("TOKENS")
        self.assertEqual([line[at:end].rstrip() for line in lines],
                         ["20 visitors, 3 waiting visitors", "", "9 mappings"])  # fmt: skip
        found = {each["name"]: each for each in json.loads(self.good("list", "--json"))}
        self.assertEqual(found["fixed"]["limits"], {"mappings": 7, "legs": 4096, "visitors": 20, "pending": 3})
        self.assertEqual(found["worker"]["limits"], {**shared, "mappings": 9})
        self.assertNotIn("own_limits", found["worker"])

    def test_list_of_expired(self) -> None:
        """What is over says so: the client's time, or that of its one-time token."""
        before = time.time()
        self.good("add", "guest", "--ttl", "1h")
        self.good("add", "late", "--print-join", "--ttl", "1h")
        self.patch(time, "time", lambda now=before: now + 7200)
        found = {each["name"]: each for each in json.loads(self.good("list", "--json"))}
        self.assertEqual((found["guest"]["state"], found["late"]["state"]), ("expired", "expired"))
        self.assertEqual(found["late"]["join_token"], "expired")
        self.bad(1, "rotate", "guest", says="--ttl")
        self.good("rotate", "guest", "--ttl", "1h")
        self.good("rotate", "late", "--print-join")
        found = {each["name"]: each for each in json.loads(self.good("list", "--json"))}
        self.assertEqual((found["guest"]["state"], found["late"]["state"]), ("active", "joining"))

    def test_nothing_yet(self) -> None:
        """An empty list is no failure, says what to do, and makes nothing."""
        result = self.call("list")
        self.assertEqual((result.exit_code, result.stdout), (0, ""))
        self.assertIn("gotunnel client add", result.stderr)
        self.assertFalse(self.state.exists())
        self.assertEqual(json.loads(self.good("list", "--json")), [])

    def test_broken_file(self) -> None:
        """It is not written over."""
        self.good("add", "edge")
        self.file.write_text('{"version": 1, "clients": [')
        for words in (["list"], ["add", "other"], ["revoke", "edge"]):
            self.bad(2, *words, says="clients.json")


class PlaceTests(ProcessTestCase):
    """How clients reach the server."""

    def place(self, addr: str, named: str | None = None) -> tuple[str, str]:
        """Return the address for the line, and what is said of it."""
        found = place_of(ServerConfig.model_validate({"addr": addr, "token": TOKEN}), named, "x")
        return str(found.address), found.note

    def test_named(self) -> None:
        """What the operator says counts, with the server's port unless he names another."""
        for named, expected in (
            ("tunnel.example.com", "tunnel.example.com:17009"),
            ("tunnel.example.com:443", "tunnel.example.com:443"),
            ("[2001:db8::7]", "[2001:db8::7]:17009"),
        ):
            self.assertEqual(self.place("0.0.0.0:17009", named), (expected, ""))

    def test_configured(self) -> None:
        """An address of its own is taken; one of loopback too, with a warning."""
        self.assertEqual(self.place("192.0.2.7:17000"), ("192.0.2.7:17000", ""))
        address, note = self.place("127.0.0.1:17000")
        self.assertEqual(address, "127.0.0.1:17000")
        self.assertIn("from this machine only", note)

    def test_guessed(self) -> None:
        """Every address: that of the default route, and it is said; without one there is no guess."""
        self.patch(place_of.__globals__["socket"], "socket", _Routed)
        _Routed.address = "198.51.100.9"
        address, note = self.place("0.0.0.0:17000")
        self.assertEqual(address, "198.51.100.9:17000")
        self.assertIn("--server HOST:PORT", note)
        for useless in ("0.0.0.0", "127.0.0.1", ""):
            _Routed.address = useless
            error = self.assertRaises(ConfigError, self.place, "0.0.0.0:17000")
            self.assertIn("--server HOST:PORT", str(error))

    def test_no_port(self) -> None:
        """Port 0 is any, and a line cannot say that."""
        self.assertRaises(ConfigError, self.place, "192.0.2.7:0")
        self.assertEqual(self.place("192.0.2.7:0", "h:5")[0], "h:5")


class _Routed:
    """A socket whose route begins at `address`; none if that is empty."""

    address = ""

    def __init__(self, *args: object) -> None:
        pass

    def __enter__(self) -> _Routed:
        return self

    def __exit__(self, *args: object) -> None:
        pass

    def connect(self, address: object) -> None:
        if not self.address:
            raise OSError(101, "Network is unreachable")

    def getsockname(self) -> tuple[str, int]:
        return self.address, 9
