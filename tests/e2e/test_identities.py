"""Clients with tokens and rights of their own, as processes: what each may have, rotation, revocation, broken files."""

from __future__ import annotations

import secrets
import socket
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from gotunnel.config.identityedit import edit_clients
from gotunnel.config.identityfile import FileIdentity
from gotunnel.wire.handshake import derive_key
from tests.e2e.harness import Program, TunnelTestCase, read_exactly
from tests.e2e.peers import Service, echo


class IdentityTests(TunnelTestCase):
    """A server with a shared token, `worker` in its configuration, and whoever the clients file names."""

    def setUp(self) -> None:
        """Make tokens, which no log may show, and an echo service."""
        super().setUp()
        self.worker_token, self.office_token, self.new_token = (secrets.token_hex(32) for _ in range(3))
        self.secrets += [self.worker_token, self.office_token, self.new_token]
        self.service = Service(self, echo)
        self.clients = self.folder / "clients.json"
        self.first, self.second, self.third = (self.port() for _ in range(3))

    def file(self, *clients: FileIdentity) -> None:
        """The clients file holds these now."""
        edit_clients(self.clients, lambda _: clients)

    @staticmethod
    def entry(name: str, tokens: Iterable[str], **more: Any) -> FileIdentity:
        """Return a client of the clients file."""
        return FileIdentity(name=name, keys=tuple(derive_key(token, name) for token in tokens), **more)

    def serve(self, **keys: Any) -> Program:
        """Start the server."""
        worker = {"name": "worker", "token": self.worker_token, "allow_ports": [self.first]}
        return self.server(clients=[worker], clients_file=str(self.clients), **keys)

    def publish(self, name: str, token: str, *ports: int, ready: bool = True) -> Program:
        """Start a client that publishes the echo service there."""
        mappings = {f"m{port}": (self.service.port, port) for port in ports}
        return self.client(mappings, name=name, ready=ready, token=token)

    def talk(self, visitor: socket.socket, text: bytes = b"still there") -> None:
        """Say something and hear it back."""
        visitor.sendall(text)
        self.assertEqual(read_exactly(visitor, len(text)), text)

    def talking(self, port: int) -> socket.socket:
        """Return a visitor who is being served."""
        visitor = self.visit(port)
        self.talk(visitor)
        return visitor

    def assert_reset(self, visitor: socket.socket) -> None:
        """The visitor is cut, and not told a clean end."""
        self.assertRaises(ConnectionResetError, visitor.recv, 1)

    def test_each_its_own(self) -> None:
        """Three clients with three tokens have what is theirs and nothing else; whoever is not allowed is told so, and
        the one whose port he wanted notices nothing."""
        self.file(self.entry("office", [self.office_token], allow_ports=[self.second, self.first]))
        server = self.serve()
        self.publish("worker", self.worker_token, self.first)
        visitor = self.talking(self.first)
        wanted = (self.second, self.first, self.third, self.control)
        office = self.publish("office", self.office_token, *wanted, ready=False)
        office.wait_for(f"mapping m{self.second} open")
        for port, code in ((self.first, "port_in_use"), (self.third, "acl_denied"), (self.control, "reserved")):
            server.wait_for(f"mapping m{port} of client office is refused: {code}")
            office.wait_for(f"mapping m{port} refused by the server \\S+: port {port}")
        guest = self.publish("guest", self.token, self.third)
        for port in (self.first, self.second, self.third):
            self.assert_echo(port)
        self.talk(visitor)
        for name, token in (("worker", self.token), ("worker", self.office_token), ("office", self.worker_token)):
            thief = self.client({"x": (1, self.port())}, name=name, ready=False, token=token, log_level="debug")
            thief.wait_for("does not let this client in: auth_failed")
            thief.kill()
        self.talk(visitor)
        self.assertEqual(guest.count("connection to the server .* lost"), 0)

    def test_revoked(self) -> None:
        """A client that is revoked is gone at once with its visitors and ports, whatever it does then; the other one
        goes on. The shared token does not open its name either."""
        office = self.entry("office", [self.office_token])
        self.file(office)
        server = self.serve()
        worker = self.publish("worker", self.worker_token, self.first)
        client = self.publish("office", self.office_token, self.second)
        kept, cut = self.talking(self.first), self.talking(self.second)
        began = time.monotonic()
        self.file(self.entry("office", []))
        self.assert_reset(cut)
        # Half a second at most until the server looks; the rest is this machine's.
        self.assertLess(time.monotonic() - began, 5)
        server.wait_for(r"client office was disconnected \(.*\): it is revoked")
        server.wait_for(f"mapping m{self.second} of client office closed at")
        self.assertTrue(self.refused(self.second))
        client.wait_for("this client may not stay: it is revoked")
        client.wait_for("does not let this client in: auth_failed")
        thief = self.client({"x": (1, self.second)}, name="office", ready=False, token=self.token, log_level="debug")
        thief.wait_for("does not let this client in: auth_failed")
        self.talk(kept)
        self.assertEqual(worker.count("lost"), 0)
        self.file(office)
        client.wait_for(f"mapping m{self.second} open", times=2)
        self.assert_echo(self.second)

    def test_rotation(self) -> None:
        """With two tokens valid, the client changes from the old one to the new one when it likes; the old one goes,
        and who is still on it is cut and not let in."""
        self.file(self.entry("office", [self.office_token]))
        server = self.serve()
        old = self.publish("office", self.office_token, self.second)
        visitor = self.talking(self.second)
        self.file(self.entry("office", [self.new_token, self.office_token]))
        server.wait_for("the clients file .* has changed: 1 clients", times=1)
        self.talk(visitor)
        self.file(self.entry("office", [self.new_token]))
        self.assert_reset(visitor)
        old.wait_for("does not let this client in: auth_failed")
        server.wait_for(r"client office was disconnected \(.*\): its token is not valid any more")
        old.kill()
        self.publish("office", self.new_token, self.second)
        self.assert_echo(self.second)

    def test_rights_change(self) -> None:
        """A port that is taken away closes with its visitors; the client comes back and hears why. Its other mapping
        and that one's visitor go on."""
        self.file(self.entry("office", [self.office_token]))
        self.serve()
        client = self.publish("office", self.office_token, self.second, self.third)
        cut, kept = self.talking(self.second), self.talking(self.third)
        self.file(self.entry("office", [self.office_token], allow_ports=[self.third]))
        self.assert_reset(cut)
        client.wait_for("connection to the server .* lost: .*the rights of this client have changed")
        client.wait_for(f"mapping m{self.second} refused by the server \\S+: port {self.second}: acl_denied")
        self.talk(kept)
        self.assert_echo(self.third)
        self.assertTrue(self.refused(self.second))
        self.file(self.entry("office", [self.office_token]))
        client.wait_for(f"mapping m{self.second} open", times=2)
        self.talk(kept)

    def test_broken_file(self) -> None:
        """A file that is broken while the server runs changes nothing and is complained about once; mended, it counts.
        At the start it is refused."""
        self.file(self.entry("office", [self.office_token]))
        server = self.serve()
        client = self.publish("office", self.office_token, self.second)
        visitor = self.talking(self.second)
        good = self.clients.read_bytes()
        self.clients.write_bytes(good[: len(good) // 2])
        complaint = "the clients file has changed but cannot be used, so clients stay as they were: .*is not JSON"
        server.wait_for(complaint)
        self.talk(visitor)
        self.assert_echo(self.second)
        self.refuses("clients.json:[0-9]+: is not JSON: .*; put back an older copy", clients_file=str(self.clients))
        self.assertEqual(server.count(complaint), 1)
        self.clients.unlink()
        server.wait_for("cannot be used, .*cannot be read: no such file or directory")
        self.talk(visitor)
        self.file(self.entry("office", [self.office_token], disabled=True))
        self.assert_reset(visitor)
        client.wait_for("this client may not stay: it is disabled")

    def refuses(self, pattern: str, *options: str | Path, **keys: Any) -> None:
        """A server with this section does not start: exit code 2, one line, on a port of its own."""
        section = {"addr": f"{self.host}:{self.port()}", **keys}
        path = self.write(f"refused-{secrets.token_hex(4)}.yaml", {"server": section})
        program = self.role("server", ["--config", path, *options])
        self.assertEqual(program.wait(), 2, program.said)
        self.assertEqual(len(program.said.splitlines()), 1, program.said)
        self.assertRegex(program.said, pattern)

    def test_nobody(self) -> None:
        """A server that nobody could connect to does not start; with a clients file in its state folder it does, and
        that file's client works without any shared token. A name in both places is refused."""
        self.refuses(r"server\.token: there is no token; .*clients")
        state = self.folder / "state"
        state.mkdir()
        self.clients = state / "clients.json"
        self.file(self.entry("worker", [self.worker_token]))
        worker = {"name": "worker", "token": self.office_token}
        self.refuses("is listed here and under server.clients too; remove one", "--state", state, clients=[worker])
        path = self.write("server.yaml", {"server": {"addr": f"{self.host}:{self.control}", "drain_timeout": 1}})
        server = self.role("server", ["--config", path, "--state", state])
        server.wait_for("server listening for clients on")
        self.publish("worker", self.worker_token, self.first)
        self.assert_echo(self.first)
        guest = self.client({"x": (1, self.second)}, name="guest", ready=False)
        guest.wait_for("does not let this client in: auth_failed")
