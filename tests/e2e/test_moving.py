"""Moving from version 1 to version 2 with real processes: both ends of this program speak version 1 to each other, and
then one of them does not any more."""

from __future__ import annotations

import hashlib
import random
import socket
import threading

from tests.e2e.harness import Program, TunnelTestCase, read_all
from tests.e2e.peers import Service, echo
from tests.processes import DEADLINE

V1_TOKEN = "7be2c95d40f1a683e9d2b70c4816fa35"
MUCH = 8 << 20
"""Bytes, far more than all buffers on the way hold."""


class MovingTests(TunnelTestCase):
    """A server that lets version 1 in, and clients that come with it."""

    def setUp(self) -> None:
        super().setUp()
        self.secrets.append(V1_TOKEN)

    def test_moving(self) -> None:
        """Version 1 carries visitors; its client may be killed and is back on its port at once; version 2 works beside
        it; and once it has, this client's file may not say v1 any more: exit code 2, one line, and no connection."""
        target = Service(self, echo)
        old, new = self.port(), self.port()
        server = self.server(v1={"enabled": True, "token": V1_TOKEN, "allow_ports": [old]})
        first = self.v1_client(target.port, old, "edge")
        self.assert_echo(old)
        visitor = self.visit(old)
        visitor.sendall(b"half of it")
        self.assertEqual(visitor.recv(64), b"half of it")
        first.kill()
        with self.assertRaises(ConnectionResetError):
            visitor.recv(64)
        second = self.v1_client(target.port, old, "edge")
        self.assert_echo(old)
        self.client({"web": (target.port, new)}, name="moved")
        self.assert_echo(new)
        self.assert_echo(old)
        self.assertEqual(second.stop(), 0)
        self.assertTrue(self.refused(old))
        again = self.v1_client(target.port, old, "edge", ready=False)
        self.assertEqual(again.wait(), 2)
        (line,) = [line for line in again.said.splitlines() if "[warn]" not in line]
        self.assertRegex(line, r"^configuration: client\.v1: version 2 has worked with .*; remove v1, or, ")
        self.assertEqual(server.count(r"cross the network in clear, as version 1 works"), 2)

    def test_much(self) -> None:
        """Eight mebibytes each way at once, to a target that is slow to begin, arrive whole, ends included."""
        sent = random.Random(7).randbytes(MUCH)

        def swap(connection: socket.socket) -> None:
            sending = threading.Thread(target=self.send, args=(connection, sent))
            sending.start()
            received = read_all(connection)
            sending.join(DEADLINE)
            connection.sendall(hashlib.sha256(received).digest())

        target = Service(self, swap)
        public = self.port()
        self.server(v1={"enabled": True, "token": V1_TOKEN})
        self.v1_client(target.port, public, "client")
        visitor = self.visit(public)
        sending = threading.Thread(target=self.send, args=(visitor, sent, True))
        sending.start()
        answer = read_all(visitor)
        sending.join(DEADLINE)
        self.assertEqual(len(answer), MUCH + 32)
        self.assertEqual(answer[:MUCH], sent)
        self.assertEqual(answer[MUCH:], hashlib.sha256(sent).digest())

    @staticmethod
    def send(connection: socket.socket, data: bytes, end: bool = False) -> None:
        connection.sendall(data)
        if end:
            connection.shutdown(socket.SHUT_WR)

    def v1_client(self, local: int, remote: int, name: str, *, ready: bool = True) -> Program:
        keys = {"token": V1_TOKEN, "v1": True, "local_ports": [local], "remote_port": [remote]}
        program = self.client(name=name, ready=False, **keys)
        if ready:
            program.wait_for("mapping .* open")
        return program
