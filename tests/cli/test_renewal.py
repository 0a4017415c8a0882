"""`gotunnel join --renew`: which configuration it accepts, and what it replaces."""

from __future__ import annotations

import os
import signal
import stat
from pathlib import Path

from gotunnel.cli.clientconfig import Wish, client_section, config_of
from gotunnel.cli.main import main
from gotunnel.cli.renewal import Renewal
from gotunnel.errors import ConfigError
from tests.cli.runner import Runner
from tests.processes import ProcessTestCase

OLD = "6f1d0c9b8a7e5f4d3c2b1a09f8e7d6c5b4a39281706f5e4d6f1d0c9b8a7e5f4d"
NEW = "c122c389f83d7543115721971c499abec8e9b36c9673b506cef611478c040c9b"

KILLED = """
import os, signal, sys
from pathlib import Path
from gotunnel.cli.renewal import Renewal

left = int(sys.argv[1])

def counted(call):
    def counting(*args, **kwargs):
        global left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return call(*args, **kwargs)
    return counting

renewal = Renewal(Path("config.yaml"), "edge")
renewal.check()
for name in ("open", "fsync", "replace", "unlink", "close"):
    setattr(os, name, counted(getattr(os, name)))
renewal.save(sys.argv[2], str)
"""
"""Kills itself ahead of its n-th change of the file system."""


class RenewalTests(ProcessTestCase):
    """A client's configuration with its token file."""

    def setUp(self) -> None:
        super().setUp()
        self.config = self.folder / "config.yaml"
        self.token = self.folder / "edge.token"
        self.write("token_file: edge.token")

    def write(self, token: str) -> None:
        """Write the configuration, with this line for its token."""
        self.config.write_text(f"client:\n  name: edge\n  {token}\n  server_addr: h\n  local_ports: [22]  # by hand\n")
        self.token.write_text(OLD)
        self.token.chmod(0o600)

    def test_replaces(self) -> None:
        """The token and nothing else; the file stays its owner's alone."""
        before, written = os.umask(0), self.config.read_text()
        self.addCleanup(os.umask, before)
        renewal = Renewal(self.config, "edge")
        renewal.check()
        renewal.save(NEW, str)
        self.assertEqual((self.token.read_text(), self.config.read_text()), (f"{NEW}\n", written))
        self.assertEqual(stat.S_IMODE(self.token.stat().st_mode), 0o600)
        self.assertEqual({path.name for path in self.folder.iterdir()}, {"config.yaml", "edge.token"})
        self.assertEqual(renewal.token, self.token)

    def test_link(self) -> None:
        """A token file that is a link stays one."""
        real = self.folder / "elsewhere"
        self.token.rename(real)
        self.token.symlink_to(real)
        renewal = Renewal(self.config, "edge")
        renewal.check()
        renewal.save(NEW, str)
        self.assertTrue(self.token.is_symlink())
        self.assertEqual(real.read_text(), f"{NEW}\n")

    def test_owner(self) -> None:
        """What root replaces stays its owner's."""
        if os.geteuid() != 0:
            self.skipTest("only root can give files away")
        renewal = Renewal(self.config, "edge")
        renewal.check()
        os.chown(self.token, 65534, 65534)
        renewal.save(NEW, str)
        self.assertEqual((self.token.stat().st_uid, self.token.stat().st_gid), (65534, 65534))

    def test_refused(self) -> None:
        """Another client's configuration, one without a token file, one that is broken."""
        for token, name, says in (
            ("token_file: edge.token", "other", "is the client edge, not other"),
            (f"token: {OLD}", "edge", "token_file"),
            ("token_file: none", "edge", "cannot be read: no such file"),
            ("tokken: x", "edge", "tokken"),
        ):
            self.write(token)
            error = self.assertRaises(ConfigError, Renewal(self.config, name).check)
            self.assertIn(says, str(error))
            self.assertNotIn(OLD, str(error))

    def test_environment(self) -> None:
        """The variable that the new token may come in is none of the configuration's."""
        os.environ["GOTUNNEL_TOKEN"] = NEW
        self.addCleanup(os.environ.pop, "GOTUNNEL_TOKEN")
        Renewal(self.config, "edge").check()

    def test_words(self) -> None:
        """It does not go with --force; and refusals come before anything is sent."""
        for words in (["--renew", "--force"], ["--renew", "--name", "other"]):
            command = ["join", "127.0.0.1:1", "--name", "edge", "-o", str(self.config), *words]
            result = Runner().invoke(main, command, input=NEW, env={"GOTUNNEL_TOKEN": None})
            self.assertEqual((result.exit_code, result.stdout), (2, ""), result.output)
            self.assertIn("--renew", result.stderr)

    def test_way(self) -> None:
        """The server is reached as the file says: by its transport, at the server where that leads, or at that of the
        line if it is one of several of the file; and this client shows the file's certificate. What the line says
        itself is worth more, and without TLS no certificate is shown."""
        for name in ("cert.pem", "key.pem", "other.pem"):
            (self.folder / name).write_text("x")
        mine, other = self.folder / "cert.pem", str(self.folder / "other.pem")
        way = "  transport: {plugin: websocket, proxy: \"p:3128\"}\n  tls: {cert: cert.pem, key: key.pem}\n"
        several, one = "servers: [a:443, b:443]", "server_addr: a:443"
        websocket = {"transport": "websocket", "options": ("path=/x",)}
        shown = {"cert": other, "key": other}
        for file, words, wanted in (
            (f"{one}\n{way}", {}, ("a:443", "websocket", "p:3128", mine)),
            (f"{several}\n{way}", {}, ("a:443", "websocket", "p:3128", mine)),
            (f"{several}\n{way}", {"server": "b:443"}, ("b:443", "websocket", "p:3128", mine)),
            (f"{one}\n{way}", websocket, ("h:17000", "websocket", None, mine)),
            (f"{one}\n{way}", {"transport": "tcp"}, ("h:17000", "tcp", "", mine)),
            (f"{one}\n{way}", shown, ("a:443", "websocket", "p:3128", self.folder / "other.pem")),
            (f"{one}\n{way}", {"plain": True}, ("a:443", "websocket", "p:3128", None)),
            (f"{one}\n", {}, ("h:17000", "", "", None)),
            (f"{one}\n  transport: tcp\n", {}, ("h:17000", "", "", None)),
        ):
            self.config.write_text(f"client:\n  name: edge\n  token_file: edge.token\n  local_ports: [22]\n  {file}")
            renewal = Renewal(self.config, "edge")
            renewal.check()
            wish = Wish(**{"server": "h:17000", "name": "edge", **words})  # type: ignore[arg-type]
            said, config = renewal.way(wish, config_of(client_section(wish), NEW))
            options = None if config.transport is None else config.transport.options
            plugin = "" if config.transport is None else config.transport.plugin
            proxy = str(found) if (found := getattr(options, "proxy", "")) else found
            self.assertEqual((said.server, plugin, proxy, config.tls.cert), wanted, (file, words))
            self.assertEqual((str(config.server_addr), config.name), (said.server, "edge"))
            self.assertEqual(config.token.get_secret_value(), NEW)

    def test_killed_anywhere(self) -> None:
        """Whenever it is killed, the old token or the new one is there, whole."""
        ends = set()
        for step in range(30):
            self.write("token_file: edge.token")
            code, _, errors = self.run_python("-c", KILLED, str(step), NEW)
            self.assertIn(code, (0, -signal.SIGKILL), errors)
            ends.add((Path(self.token).read_text().strip(), code))
            if code == 0:
                break
        self.assertEqual(ends, {(OLD, -9), (NEW, -9), (NEW, 0)})
