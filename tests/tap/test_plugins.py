"""The real roles under twistd, found as plugins in this tree."""

from __future__ import annotations

import socket
from contextlib import closing

from tests.processes import DEADLINE, ProcessTestCase

TOKEN = "c122c389f83d7543115721971c499abec8e9b36c9673b506cef611478c040c9b"

TWISTD = ["-c", "from twisted.scripts.twistd import run; run()"]

CLIENT = """\
client:
  name: edge
  token: "{token}"
  server_addr: "{server}"
  mappings: [{{name: web, local: 9, remote: 0}}]
"""


class PluginTests(ProcessTestCase):
    """`twistd gotunnel-server` and `twistd gotunnel-client`."""

    def server_file(self, port: int) -> None:
        (self.folder / "server.yaml").write_text(f'server:\n  addr: "127.0.0.1:{port}"\n  token: "{TOKEN}"\n')

    def test_both(self) -> None:
        """A server and a client find each other; a signal ends each with 0."""
        self.server_file(0)
        options = ["-n", "--pidfile", "server.pid", "gotunnel-server", "-c", "server.yaml"]
        server = self.start_logged("server", *TWISTD, *options)
        address = self.wait_for_line("server.out", r"listening for clients on (127\.0\.0\.1:\d+)", server)[1]
        (self.folder / "config.yaml").write_text(CLIENT.format(token=TOKEN, server=address))
        client = self.start_logged("client", *TWISTD, "-n", "--pidfile", "client.pid", "gotunnel-client")
        self.wait_for_line("client.out", "mapping web open", client)
        for process in (client, server):
            process.terminate()
            self.assertEqual(process.wait(DEADLINE), 0)

    def test_port_in_use(self) -> None:
        """A daemon whose port is taken does not start: one line where it was called, exit code 1."""
        with closing(socket.create_server(("127.0.0.1", 0))) as other:
            self.server_file(other.getsockname()[1])
            code, out, err = self.run_python(*TWISTD, "gotunnel-server", "-c", "server.yaml")
        self.assertEqual((code, out, err.count("\n")), (1, "", 1), err)
        self.assertTrue(err.startswith("gotunnel-server: port_in_use: 127.0.0.1:"), err)

    def test_bad_configuration(self) -> None:
        """A daemon with a wrong file does not start: what is wrong is told at once, exit code 2."""
        (self.folder / "config.yaml").write_text("client:\n  nonsense: 1\n")
        code, out, err = self.run_python(*TWISTD, "gotunnel-client")
        self.assertEqual((code, out), (2, ""))
        self.assertIn("config.yaml:2: client.nonsense: is not a known key", err)

    def test_version(self) -> None:
        """`--version` of a role is ours, not Twisted's."""
        code, out, _ = self.run_python(*TWISTD, "gotunnel-server", "--version")
        self.assertEqual(code, 0)
        self.assertTrue(out.startswith("gotunnel-server "))
