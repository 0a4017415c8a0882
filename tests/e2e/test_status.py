"""An operator asks real processes: status, kick, log-level, drain and health, by the command and by curl."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from typing import Any

from tests.e2e.harness import TunnelTestCase
from tests.e2e.peers import Service, echo


class StatusTests(TunnelTestCase):
    """Both roles, side by side in one state folder."""

    def setUp(self) -> None:
        super().setUp()
        self.state = self.folder / "xdg" / "gotunnel"

    def gotunnel(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run the command."""
        return subprocess.run(
            [sys.executable, "-m", "gotunnel", *words], cwd=self.folder, env=self.environment(), capture_output=True,
            text=True, timeout=60,
        )  # fmt: skip

    def status(self, *words: str) -> list[dict[str, Any]]:
        """Return what it says as JSON."""
        done = self.gotunnel("status", "--json", *words)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        found: list[dict[str, Any]] = json.loads(done.stdout)
        return found

    def tunnel(self, **server: Any) -> int:
        """Start both, and return the public port."""
        service = Service(self, echo)
        public = self.port()
        self.server(**server)
        self.client({"web": (service.address, public)})
        return public

    def test_nothing_runs(self) -> None:
        """One line with the cure, and exit code 1; a socket that was left behind is no process."""
        self.state.mkdir(parents=True)
        for words in (
            "status", "status --ready", "drain", "reload", "kick x", "log-level", "status --watch", "mapping off x",
            "mapping on x", "dashboard",
        ):  # fmt: skip
            done = self.gotunnel(*words.split())
            self.assertEqual((done.returncode, done.stdout, done.stderr.count("\n")), (1, "", 1), words)
            self.assertIn("--state", done.stderr)
        self.assertEqual(self.gotunnel("status", "--nonsense").returncode, 2)
        self.assertEqual(self.gotunnel("drain", "--timeout", "nan").returncode, 2)

    def test_reload(self) -> None:
        """It says what a changed file has changed; a broken one changes nothing, and is told as at a start."""
        public = self.tunnel()
        path = self.folder / "server.yaml"
        before = json.loads(path.read_text())
        before["server"]["limits"] = {"visitors": 7}
        path.write_text(json.dumps(before))
        done = self.gotunnel("reload", "--role", "server")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertIn("server.limits.visitors", done.stdout)
        path.write_text(json.dumps(before).replace('"visitors": 7', '"visitors": "many"'))
        done = self.gotunnel("reload", "--role", "server")
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertIn("server.limits.visitors", done.stderr)
        self.assertIn("everything stays as it was", done.stderr)
        self.assert_echo(public)

    def test_both(self) -> None:
        """One command shows both roles; the visitor is counted at both ends; a table has all names."""
        public = self.tunnel()
        visitor = self.visit(public)
        visitor.sendall(b"hello")
        self.assertEqual(visitor.recv(5), b"hello")
        server, client = self.status("--streams", "--events")
        self.assertEqual([each["role"]["role"] for each in (server, client)], ["server", "client"])
        for each in (server, client):
            self.assertEqual((each["ready"], each["counters"]["live"], each["counters"]["up"]), (True, 1, 5))
            self.assertEqual(len(each["streams"]), 1)
        self.assertEqual(server["streams"][0]["conn"], client["streams"][0]["conn"])
        table = self.gotunnel("status", "--streams", "--events")
        for word in ("gotunnel server", "gotunnel client client", "connected", "web", "open"):
            self.assertIn(word, table.stdout)
        self.assertIn(server["streams"][0]["conn"], table.stdout)
        with_chinese = {**self.environment(), "GOTUNNEL_LANG": "zh"}
        self.patch(self, "environment", lambda: with_chinese)
        table = self.gotunnel("status", "--streams", "--events")
        for word in ("gotunnel 服务端", "gotunnel 客户端 client", "已连接", "开放", "客户端 client 已从"):
            self.assertIn(word, table.stdout)
        self.assertEqual(self.status()[0]["sessions"][0]["state"], "connected")
        with_chinese["GOTUNNEL_LANG"] = "en"
        self.assertEqual(self.gotunnel("status", "--ready", "--role", "server", "--client", "client").returncode, 0)
        absent = self.gotunnel("status", "--ready", "--role", "server", "--client", "other")
        self.assertEqual((absent.returncode, absent.stderr), (1, "client: the client is not connected\n"))
        both = self.gotunnel("drain", "--timeout", "1")
        self.assertEqual(both.returncode, 2)
        self.assertIn("choose one with --role", both.stderr)

    def test_named_by_file(self) -> None:
        """With -c the socket of the file is asked, wherever it is; none is there with admin: false."""
        where = f"unix:{self.folder}/a.sock" if len(str(self.folder)) < 90 else "unix:/tmp/" + self.token[:20]
        self.server(admin={"socket": where})
        (found,) = self.status("-c", "server.yaml")
        self.assertEqual(f"unix:{found['socket']}", where)
        self.assertEqual(self.gotunnel("status").returncode, 1)

    def test_off(self) -> None:
        """With admin: false there is no socket, and none of it is loaded."""
        self.server(admin=False)
        self.assertEqual(list(self.state.glob("*.sock")), [])
        self.assertEqual(self.gotunnel("status", "-c", "server.yaml").returncode, 1)

    def test_kick_and_level(self) -> None:
        """A kicked client loses its visitors and comes back; the log level changes at once."""
        public = self.tunnel()
        visitor = self.visit(public)
        visitor.sendall(b"hello")
        self.assertEqual(visitor.recv(5), b"hello")
        done = self.gotunnel("kick", "client", "--role", "server")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertIn("with 1 visitor", done.stdout)
        self.assertRaises(ConnectionResetError, visitor.recv, 1)
        self.wait_until(lambda: self.status("--role", "client")[0]["ready"], "it is back")
        self.assertEqual(self.gotunnel("kick", "nobody", "--role", "server").returncode, 1)
        self.assertEqual(self.gotunnel("kick", "--role", "server").returncode, 2)
        self.assertIn("debug", self.gotunnel("log-level", "--role", "server").stdout)
        self.assertIn("warn (was debug)", self.gotunnel("log-level", "warn", "--role", "server").stdout)
        self.assertIn("warn", self.gotunnel("log-level", "--role", "server").stdout)

    def test_drain_without_loss(self) -> None:
        """Who finishes in time is not cut: exit code 0, and the process still tells how it is."""
        public = self.tunnel()
        visitor = self.visit(public)
        visitor.sendall(b"hello")
        self.assertEqual(visitor.recv(5), b"hello")
        words = ["drain", "--role", "server", "--timeout", "30"]
        draining = self.launch("drain", [sys.executable, "-m", "gotunnel", *words])
        draining.wait_for("1 visitor here, 30 s")
        self.assertEqual(self.gotunnel("status", "--ready", "--role", "server").returncode, 1)
        self.assertRaises(ConnectionRefusedError, self.visit, public)
        second = self.launch("second", [sys.executable, "-m", "gotunnel", *words[:3], "--timeout", "600"])
        second.wait_for(r"a drain is already in progress: 1 visitor here, at most \d\d s to finish")
        visitor.sendall(b"still")
        self.assertEqual(visitor.recv(5), b"still")
        visitor.close()
        self.assertEqual((draining.process.wait(30), second.process.wait(30)), (0, 0))
        second.wait_for("drained: no visitor was disconnected")
        third = self.gotunnel(*words)
        self.assertEqual((third.returncode, "was drained before" in third.stderr), (0, True))
        (found,) = self.status("--role", "server")
        self.assertEqual((found["role"]["draining"], found["counters"]["live"]), (True, 0))

    def test_drain_with_loss(self) -> None:
        """Who does not is cut, counted, and makes exit code 1."""
        public = self.tunnel()
        visitor = self.visit(public)
        visitor.sendall(b"hello")
        self.assertEqual(visitor.recv(5), b"hello")
        done = self.gotunnel("drain", "--role", "client", "--timeout", "0.2")
        self.assertEqual(done.returncode, 1)
        self.assertIn("disconnected because their time was over: 1", done.stderr)
        again = self.gotunnel("drain", "--role", "client")
        self.assertEqual((again.returncode, again.stdout), (1, ""))
        self.assertIn("was drained before", again.stderr)
        self.assertIn("disconnected because their time was over: 1", again.stderr)

    def test_second_process(self) -> None:
        """A second server in one folder starts, says so in one line, and takes the socket over when the first ends."""
        self.server()
        self.control = self.port()
        second = self.server(name="second")
        second.wait_for("the state of this process cannot be queried")
        first = self.programs[0]
        first.process.send_signal(signal.SIGTERM)
        self.assertEqual(first.process.wait(30), 0)
        second.wait_for("the state of this process can be queried")
        (found,) = self.status()
        self.assertEqual(found["role"]["pid"], second.process.pid)

    def test_curl(self) -> None:
        """curl asks the socket like any other HTTP server, and the address too."""
        if shutil.which("curl") is None:
            self.skipTest("curl is not installed")
        port = self.port()
        self.server(admin={"addr": f"{self.host}:{port}"})
        path = self.state / "gotunnel-server.sock"

        def curl(*words: str) -> str:
            done = subprocess.run(
                ["curl", "-sS", "--max-time", "20", "-w", "\n%{http_code}", *words], capture_output=True, text=True,
                timeout=60, cwd=self.state,
            )  # fmt: skip
            return done.stdout

        self.assertTrue(curl("--unix-socket", path.name, "http://localhost/healthz").endswith("\n200"))
        self.assertTrue(curl(f"http://{self.host}:{port}/readyz").endswith("\n200"))
        self.assertIn("gotunnel_build_info", curl(f"http://{self.host}:{port}/metrics"))
        self.assertTrue(curl("-H", "Host: evil.example", f"http://{self.host}:{port}/v1/status").endswith("\n421"))
        drain = ["-X", "POST", "-H", "Content-Type: application/json", "-d", '{"seconds": 0}']
        self.assertTrue(curl(*drain, f"http://{self.host}:{port}/v1/drain").endswith("\n403"))
