"""Logs as collectors and operators read them. That no log of any test holds a traceback or a token is seen to by the
harness, at the end of each."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import select
import socket
import termios
from typing import Any
from unittest import SkipTest

from tests.e2e.harness import FORBIDDEN, RELAY, TunnelTestCase, need
from tests.e2e.peers import Service, echo


class JsonTests(TunnelTestCase):
    """`--log-format json`."""

    def test_every_line(self) -> None:
        """Every line of both roles is one object with time, level, text and the values of its own; one visitor has the
        same id at both ends."""
        service = Service(self, echo)
        public = self.port()
        address = f"{self.host}:{self.control}"
        server_file = self.write(
            "server.yaml", {"server": {"addr": address, "token": self.token, "log_level": "debug"}}
        )
        server = self.role("server", ["--config", server_file, "--log-format", "json"])
        server.wait_for("server listening for clients")
        client_file = self.write(
            "client.yaml",
            {
                "client": {
                    "name": "json",
                    "token": self.token,
                    "server_addr": address,
                    "log_level": "debug",
                    "mappings": [{"name": 'a "quoted" name', "local": service.address, "remote": public}],
                }
            },
        )
        client = self.role("client", ["--config", client_file, "--log-format", "json"])
        client.wait_for("mapping .* open")
        self.assert_echo(public)
        ids = []
        for program in (server, client):
            program.wait_for("ended: completed")
            self.assertEqual(program.stop(), 0)
            events: list[dict[str, Any]] = [json.loads(line) for line in program.said.splitlines()]
            for event in events:
                self.assertIsInstance(event["message"], str)
                self.assertIsInstance(event["log_time"], float)
                self.assertIn(event["log_level"]["name"], ("debug", "info", "warn", "error"))
            (ended,) = [event for event in events if "ended: completed" in event["message"]]
            self.assertEqual((ended["up"], ended["down"], ended["mapping"]), (14, 14, 'a "quoted" name'))
            ids.append(ended["conn"])
        self.assertEqual(*ids)


class UnreadTests(TunnelTestCase):
    """A log that goes into a pipe."""

    def test_nobody_reads(self) -> None:
        """Whoever reads it stands still: visitors are served, and a server that is to stop stops. Who reads on has
        every line."""
        fifo = self.folder / "unread"
        os.mkfifo(fifo)
        reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
        self.addCleanup(os.close, reader)
        fcntl.fcntl(reader, fcntl.F_SETPIPE_SZ, 2 * select.PIPE_BUF)
        section = {"addr": f"{self.host}:{self.control}", "token": self.token, "log_level": "debug", **RELAY}
        path = self.write("server.yaml", {"server": section})
        into_pipe = ("sh", "-c", f'exec "$@" 2>"{fifo}"', "sh")
        server = self.role("server", ["--config", path], prefix=into_pipe)
        service, public = Service(self, echo), self.port()
        self.client({"web": (service.address, public)})
        for _ in range(60):
            self.assert_echo(public)
        said = os.read(reader, 1 << 20)  # what a pipe holds; the rest follows
        self.assertLess(len(said), 3 * select.PIPE_BUF)

        def all_said() -> bool:
            nonlocal said
            while select.select([reader], [], [], 0)[0]:
                said += os.read(reader, 1 << 20)
            return said.count(b"ended: completed") == 60

        self.wait_until(all_said, "the lines of all visitors")
        for _ in range(60):
            self.assert_echo(public)
        self.assertEqual(server.stop(), 0)
        self.assertNotRegex(said.decode(), FORBIDDEN)


class UnopenedTests(TunnelTestCase):
    """A log that goes to a terminal which the role may not open itself."""

    def setUp(self) -> None:
        super().setUp()
        if os.geteuid() != 0:
            raise SkipTest("what root may do is needed to take it from a role")
        self.ours, self.theirs = pty.openpty()
        self.addCleanup(os.close, self.ours)
        self.addCleanup(os.close, self.theirs)

    def tell(self, *prefix: str) -> None:
        """Start a server behind a command, with the terminal as its standard error: nobody reads what that says, then
        it is stopped, and visitors are served all the while; who reads on has every line, and the server stops."""
        section = {"addr": f"{self.host}:{self.control}", "token": self.token, "log_level": "debug", **RELAY}
        path = self.write("server.yaml", {"server": section})
        onto = ("sh", "-c", f'exec "$@" 2>"{os.ttyname(self.theirs)}"', "sh")
        server = self.role("server", ["--config", path], prefix=(*onto, *prefix))
        service, public = Service(self, echo), self.port()
        self.client({"web": (service.address, public)})
        for _ in range(400):
            self.assert_echo(public)
        termios.tcflow(self.theirs, termios.TCOOFF)
        for _ in range(100):
            self.assert_echo(public)
        termios.tcflow(self.theirs, termios.TCOON)
        said = b""

        def all_said() -> bool:
            nonlocal said
            while select.select([self.ours], [], [], 0)[0]:
                said += os.read(self.ours, 1 << 20)
            return said.count(b"connected to web") == 500

        self.wait_until(all_said, "the lines of all visitors")
        self.assertEqual(server.stop(), 0)
        self.assertNotRegex(said.decode(), FORBIDDEN)

    def test_of_another_user(self) -> None:
        """The terminal is another user's, as after `su`."""
        os.fchown(self.theirs, 65534, 65534)
        os.fchmod(self.theirs, 0o600)
        self.tell(need("setpriv", "util-linux"), "--bounding-set", "-dac_override,-dac_read_search")

    def test_without_proc(self) -> None:
        """There is no /proc."""
        hidden = 'mount -t tmpfs none /proc && exec "$@"'
        self.tell(need("unshare", "util-linux"), "--mount", "sh", "-c", hidden, "sh")


class ClosedTests(TunnelTestCase):
    """No log at all."""

    def test_no_standard_error(self) -> None:
        """A role whose standard error was closed at its start serves all the same."""
        section = {"addr": f"{self.host}:{self.control}", "token": self.token, **RELAY}
        path = self.write("server.yaml", {"server": section})
        server = self.role("server", ["--config", path], prefix=("sh", "-c", 'exec "$@" 2>&-', "sh"))
        service, public = Service(self, echo), self.port()
        self.client({"web": (service.address, public)})
        self.assert_echo(public)
        self.assertEqual(server.stop(), 0)


class StrangerTests(TunnelTestCase):
    """What the internet sends to any open port."""

    def test_control_port(self) -> None:
        """Scanners, browsers and garbage are closed without a traceback, and a client is served meanwhile."""
        service = Service(self, echo)
        server, _, public = self.tunnel(service.address)
        for sent in (
            b"",
            b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
            b"SSH-2.0-OpenSSH_9.2\r\n",
            b"\x16\x03\x01\x02\x00" + bytes(512),
            b"\x00\x00\x00\x02{}",
            b"\x00\x00\x00\x05\xff\xfe\x1b[2J",
            b"\x00\xff\xff\xff",
            b'\x00\x00\x00\x10{"type":"hello"}',
            b"\x1b]0;title\x07\n[info] a forged line\n",
        ):
            with self.visit(self.control) as stranger:
                try:
                    stranger.sendall(sent)
                    stranger.shutdown(socket.SHUT_WR)
                    while stranger.recv(4096):
                        pass
                except OSError:
                    pass  # it was reset, perhaps before it had said all
        self.assert_echo(public)
        self.assertNotIn("\x1b", server.said)
        self.assertNotRegex(server.said, "(?m)^.info. a forged line")


class SearchTests(TunnelTestCase):
    """The search at the end of each test is one that finds."""

    def test_search_finds(self) -> None:
        """A traceback, an unhandled error and a token in a log each fail a test."""
        self.server()
        for planted in ("Traceback (most recent call last):", "Unhandled error in Deferred:", self.token):
            planted_log = self.write("planted.log", f"2026 [info] {planted}\n")
            self.assertRaises(self.failureException, self._search_logs)
            planted_log.unlink()
        self._search_logs()
        self.assertIsNone(FORBIDDEN.search("a line like any other"))
        self.assertEqual(re.findall("server listening", self.programs[0].said), ["server listening"])
