"""`gotunnel pin`: from a configuration, from a file, from the network."""

from __future__ import annotations

import socket
import ssl
import threading
from pathlib import Path

from click.testing import Result
from twisted.trial.unittest import SynchronousTestCase

from gotunnel.cli.main import main
from gotunnel.net.certificates import load_pair, spki_pin
from gotunnel.net.owncert import OWN_FILE, own_pair
from tests.certificates import Authority
from tests.cli.runner import Runner
from tests.ports import free_port

TOKEN = "c122c389f83d7543115721971c499abec8e9b36c9673b506cef611478c040c9b"


def call(*words: str) -> Result:
    """Run the command in this process."""
    return Runner().invoke(main, ["pin", *words], prog_name="gotunnel")


class PinTests(SynchronousTestCase):
    """What it prints, and its exit codes."""

    def setUp(self) -> None:
        """Make a folder with a configuration."""
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()
        self.config = self.folder / "server.yaml"
        self.config.write_text(f'server:\n  token: "{TOKEN}"\n')
        self.state = self.folder / "state"

    def test_own_certificate(self) -> None:
        """Before the first start it is made, and the server then has the one that was printed."""
        result = call("-c", str(self.config), "--state", str(self.state))
        self.assertEqual(result.exit_code, 0, result.output)
        self.assertEqual(result.stdout, spki_pin(own_pair(self.state).leaf) + "\n")
        self.assertIn(str(self.state / OWN_FILE), result.stderr)
        self.assertEqual((self.state / OWN_FILE).stat().st_mode & 0o777, 0o600)

    def test_configured_certificate(self) -> None:
        """That of the configuration, or of a file."""
        cert, key = Authority(self.folder).issue("x")
        self.config.write_text(self.config.read_text() + f"  tls: {{cert: {cert}, key: {key}}}\n")
        expected = spki_pin(load_pair(cert, key).leaf) + "\n"
        result = call("-c", str(self.config), "--state", str(self.state))
        self.assertEqual((result.stdout, result.stderr), (expected, ""))
        self.assertEqual(call("--cert", str(cert)).stdout, expected)

    def test_from_the_network(self) -> None:
        """What a server shows, with a warning beside it that nothing has checked it."""
        cert, key = Authority(self.folder).issue("x")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(cert, key)
        listening = socket.create_server(("127.0.0.1", 0))
        listening.settimeout(30)

        def serve() -> None:
            connection, _ = listening.accept()
            with context.wrap_socket(connection, server_side=True) as session:
                session.recv(1)

        serving = threading.Thread(target=serve)
        serving.start()
        result = call(f"127.0.0.1:{listening.getsockname()[1]}")
        serving.join()
        listening.close()
        self.assertEqual(result.exit_code, 0, result.output)
        self.assertEqual(result.stdout, spki_pin(load_pair(cert, key).leaf) + "\n")
        self.assertIn("unchecked", result.stderr)

    def test_failures(self) -> None:
        """One line and 1 for what fails, 2 for a bad command line; no traceback."""
        port = free_port(self)
        off = self.folder / "off.yaml"
        off.write_text(f'server:\n  token: "{TOKEN}"\n  tls: {{mode: off}}\n')
        for words, code, said in (
            ((f"127.0.0.1:{port}",), 1, "refused; name the address and port of server.addr, while the server runs"),
            (("--cert", str(self.folder / "missing")), 1, "No such file"),
            (("--cert", str(self.config)), 1, "no PEM certificate"),
            (("-c", str(off), "--state", str(self.state)), 1, "server.tls.mode is off"),
            (("-c", str(self.folder / "missing.yaml")), 2, "missing.yaml"),
            (("--cert", "a", "-c", "b"), 2, "choose one"),
            (("host:99999",), 2, "99999"),
        ):
            result = call(*words)
            self.assertEqual(result.exit_code, code, (words, result.output, result.exception))
            self.assertIn(said, result.stderr)
            self.assertEqual(result.stdout, "")
