"""`gotunnel check` on a server with clients of their own: names and rights are shown, secrets are not."""

from __future__ import annotations

import os
from pathlib import Path

from click.testing import Result
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from gotunnel.cli.main import main
from gotunnel.client.service import make_client
from gotunnel.config.identityfile import FileIdentity, JoinConfig, written
from gotunnel.config.load import load
from gotunnel.errors import GotunnelError, lines_of
from gotunnel.server.service import bind_control, make_server
from tests.cli.runner import Runner

TOKEN = "c94e01b7d6f85a2338e07b1f6ad95c42"
KEY = bytes(range(32))
TEXT = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"


class CheckTests(SynchronousTestCase):
    """A configuration beside a state folder."""

    def setUp(self) -> None:
        """Make both."""
        self.folder = Path(self.mktemp()).absolute()
        self.state = self.folder / "state"
        self.state.mkdir(parents=True)
        self.filed(FileIdentity(name="worker-1", keys=(KEY,), allow_ports=[10250, "30000-30100"]))

    def filed(self, *clients: FileIdentity) -> Path:
        """Write the clients file."""
        path = self.state / "clients.json"
        path.write_bytes(written(clients))
        path.chmod(0o600)
        return path

    def check(self, text: str, state: bool = True) -> Result:
        """Run the command; nothing that it says is a secret."""
        path = self.folder / "server.yaml"
        path.write_text(text)
        words = ["check", str(path), *(["--state", str(self.state)] if state else [])]
        env = {"XDG_STATE_HOME": str(self.folder / "none"), "STATE_DIRECTORY": None, "GOTUNNEL_TOKEN": None}
        result = Runner().invoke(main, words, env=env)
        for secret in (TOKEN, TEXT, repr(KEY)[2:-1]):
            self.assertNotIn(secret, result.output)
        return result

    def test_clients_file(self) -> None:
        """Its clients are explained beside those of the configuration: what they have and until when, who is out."""
        once = JoinConfig(key=KEY, expires=1_800_000_000)
        self.filed(
            FileIdentity(name="worker-1", keys=(KEY, KEY[::-1]), allow_ports=[10250], expires=1_900_000_000),
            FileIdentity(name="new", keys=(), join=once, limits={"visitors": 9}),
            FileIdentity(name="gone", keys=()),
        )
        result = self.check(f"server:\n  clients: [{{name: office, token: {TOKEN}, allow_bind: 127.0.0.1}}]\n")
        self.assertEqual(result.exit_code, 0, result.output)
        self.assertEqual(
            [line for line in result.output.splitlines() if line.startswith("server: client ")],
            [
                "server: client office has a token of its own; may publish the ports 1024-65535 on 127.0.0.1 only",
                "server: client worker-1 has two tokens of its own, until 2030-03-17 17:46 UTC; may publish the ports "
                "10250",
                "server: client new has a one-time token, until 2027-01-15 08:00 UTC; may publish the ports "
                "1024-65535; has at most 9 visitors",
                "server: client gone was refused: it is revoked",
            ],
        )

    def test_alone(self) -> None:
        """A clients file in the state folder makes a token unnecessary; without it nobody could connect."""
        result = self.check("server: {addr: 17000}\n")
        self.assertEqual(result.exit_code, 0, result.output)
        self.assertIn("server: has no token for all; only clients with a token of their own get in", result.output)
        self.assertIn("client worker-1 has a token of its own; may publish the ports 10250, 30000-30100", result.output)
        result = self.check("server: {addr: 17000}\n", state=False)
        self.assertEqual(result.exit_code, 2)
        self.assertIn("server.token: there is no token", result.stderr)

    def test_refused(self) -> None:
        """What a server would refuse at its start: a broken file, an open one, a name in both places."""
        path = self.filed(FileIdentity(name="office", keys=(KEY,)))
        text = f"server:\n  clients: [{{name: office, token: {TOKEN}}}]\n"
        result = self.check(text)
        self.assertEqual((result.exit_code, result.stdout), (2, ""))
        self.assertIn(f"{path}: the client office is listed here and under server.clients too", result.stderr)
        path.chmod(0o644)
        self.assertIn("can be read or changed by others", self.check(text).stderr)
        path.write_text("{")
        path.chmod(0o600)
        result = self.check(text)
        self.assertEqual((result.exit_code, len(result.stderr.splitlines())), (2, 1))

    def test_named_file(self) -> None:
        """`clients_file` is read instead of the state folder's; one that is not there yet is no mistake."""
        (self.folder / "all.json").write_bytes(written([FileIdentity(name="elsewhere", keys=(KEY,))]))
        (self.folder / "all.json").chmod(0o600)
        result = self.check("server: {clients_file: all.json}\n")
        self.assertIn("client elsewhere", result.output)
        self.assertNotIn("worker-1", result.output)
        self.assertEqual(self.check("server: {clients_file: none.json}\n").exit_code, 0)

    def test_history(self) -> None:
        """An observer that would write into the history that the server keeps anyway is refused, in one line."""
        file = self.state / "usage-server.db"
        result = self.check(f"server:\n  token: {TOKEN}\n  observers: [{{plugin: usage, file: {file}}}]\n")
        self.assertEqual(result.exit_code, 2)
        (line,) = result.stderr.splitlines()
        self.assertIn(f"server.observers[0].file: {file} is the file of server.usage already", line)
        words = ["doctor", "-c", str(self.folder / "server.yaml"), "--state", str(self.state)]
        result = Runner().invoke(main, words, env={"GOTUNNEL_TOKEN": None})
        self.assertEqual((result.exit_code, result.stdout, result.stderr), (2, "", f"{line}\n"))


WEB = '"https://auth.example.com/gotunnel"'
SERVER = f"server: {{addr: '127.0.0.1:0', relay: portable, token: {TOKEN}, %s}}\n"
CLIENT = (
    f"client: {{name: a, server_addr: '127.0.0.1:9', relay: portable, token: {TOKEN}, local_ports: [8000], %s}}\n"
)


class StartTests(SynchronousTestCase):
    """Files that a configuration names and that cannot be used: `check` says what a start would."""

    def setUp(self) -> None:
        """Make a file that is of no use to anybody, and one that is locked."""
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()
        (self.folder / "junk").write_text("junk")
        (self.folder / "open").write_text("visitor:secret")
        (self.folder / "open").chmod(0o644)

    def started(self, path: Path) -> str:
        """Return what a start says."""
        file, state = load(path), Path(self.mktemp())
        state.mkdir()
        with self.assertRaises(GotunnelError) as caught:
            if file.client is not None:
                make_client(file.client, Clock(), state)
            elif file.server is not None:
                with bind_control(file.server) as listening:
                    make_server(file.server, Clock(), state, listening)
        (line,) = lines_of(caught.exception)
        return line

    def check(self, text: str) -> Result:
        """Run the command."""
        path = self.folder / "config.yaml"
        path.write_text(text)
        return Runner().invoke(main, ["check", str(path), "--state", str(self.folder)])

    def test_refused(self) -> None:
        """Each of them is one line, word for word that of a start, and the exit code is that of a start; no file is
        made."""
        for role, keys in (
            (SERVER, "authenticators: {plugin: htpasswd, file: none}"),
            (SERVER, "authenticators: {plugin: htpasswd, file: open}"),
            (SERVER, f"authenticators: {{plugin: webhook, url: {WEB}, secret_file: none}}"),
            (SERVER, f"authenticators: {{plugin: webhook, url: {WEB}, ca: junk}}"),
            (SERVER, "authenticators: {plugin: tokenreview, namespaces: [a], ca: junk}"),
            (SERVER, f"access: {{plugin: webhook, url: {WEB}, secret_file: none}}"),
            (SERVER, "observers: {plugin: log, file: none/visitors.jsonl}"),
            (SERVER, "observers: {plugin: log, file: ..}"),
            (SERVER, "listeners: {plugin: websocket, listen: '127.0.0.1:1', cert: junk, key: junk}"),
            (SERVER, "tls: {cert: junk, key: junk}"),
            (SERVER, "tls: {client_ca: junk}"),
            (CLIENT, "observers: {plugin: log, file: none/visitors.jsonl}"),
            (CLIENT, "transport: {plugin: websocket, proxy: 'proxy:1', proxy_login: none}"),
            (CLIENT, "transport: {plugin: websocket, ca: junk}"),
            (CLIENT, "tls: {ca: junk}"),
            (CLIENT, "mappings: [{name: w, local: 1, remote: 2000, health: {type: http, tls: {ca: junk}}}]"),
        ):
            result = self.check(role % keys)
            expected = f"gotunnel check: {self.started(self.folder / 'config.yaml')}\n"
            self.assertEqual((result.exit_code, result.stdout, result.stderr), (1, "", expected), keys)
        self.assertEqual(sorted(each.name for each in self.folder.iterdir()), ["config.yaml", "junk", "open"])

    def test_relay_unfit(self) -> None:
        """A relay that cannot be had here is a matter of the file, as at a start."""
        self.patch(os, "environ", {**os.environ, "GOTUNNEL_NATIVE": "0"})
        for role in (SERVER, CLIENT):
            result = self.check(role.replace("portable", "native") % "log_level: info")
            expected = f"gotunnel check: {self.started(self.folder / 'config.yaml')}\n"
            self.assertEqual((result.exit_code, result.stdout, result.stderr), (2, "", expected))

    def test_log_there_and_not(self) -> None:
        """A file that can be written is left as it is, and one that is not there yet is not made."""
        kept = self.folder / "visitors.jsonl"
        for text in (None, "{}\n"):
            if text is not None:
                kept.write_text(text)
            result = self.check(SERVER % "observers: {plugin: log, file: visitors.jsonl}")
            self.assertEqual(result.exit_code, 0, result.output)
            self.assertEqual(kept.read_text() if kept.exists() else None, text)
