"""What a client can publish: several ports, other hosts, addresses to bind, plain legs; and several clients at once."""

from __future__ import annotations

import socket
import tempfile
from pathlib import Path

from tests.e2e.harness import TunnelTestCase, read_all
from tests.e2e.peers import Service
from tests.processes import DEADLINE


class MappingTests(TunnelTestCase):
    """Each service says its own name, so that nothing can be mixed up."""

    def named(self, name: str, host: str = "127.0.0.1") -> Service:
        def say(connection: socket.socket) -> None:
            connection.sendall(name.encode() + b":" + read_all(connection))

        return Service(self, say, host)

    def assert_answers(self, port: int, name: str, host: str | None = None) -> None:
        with self.visit(port, host) as visitor:
            visitor.sendall(b"who are you?")
            visitor.shutdown(socket.SHUT_WR)
            self.assertEqual(read_all(visitor), name.encode() + b":who are you?")

    def test_several_ports(self) -> None:
        """One client publishes several ports, in the short form with a list beside it and in the long form."""
        services = [self.named(f"service {number}") for number in range(4)]
        ports = [self.port() for _ in services]
        self.server()
        client = self.client(
            {"third": (services[2].address, ports[2]), "fourth": (services[3].address, ports[3])},
            local_ports=[services[0].port, services[1].port],
            remote_port=[ports[0], ports[1]],
        )
        client.wait_for("mapping 127.0.0.1:.* open", 2)
        for number, port in enumerate(ports):
            self.assert_answers(port, f"service {number}")

    def test_same_number(self) -> None:
        """local_ports alone publishes the same number on the server's own address."""
        service = self.named("the service")
        self.server()
        client = self.client(local_ports=service.port)
        client.wait_for("mapping .* open")
        self.assert_answers(service.port, "the service")

    def test_another_host(self) -> None:
        """A target may be on another host than the client's: by address, and by name."""
        elsewhere = self.another_host()
        service, named = self.named("elsewhere", elsewhere), self.named("by name")
        ports = self.port(), self.port()
        self.server()
        self.client({"a": (service.address, ports[0]), "b": (f"localhost:{named.port}", ports[1])})
        self.assert_answers(ports[0], "elsewhere")
        self.assert_answers(ports[1], "by name")

    def test_unix_socket(self) -> None:
        """A target may be a unix socket."""
        # Not in the test's folder: the name of a socket has 107 characters at most.
        folder = tempfile.TemporaryDirectory(prefix="gotunnel-")
        self.addCleanup(folder.cleanup)
        path = str(Path(folder.name) / "service")
        listening = socket.socket(socket.AF_UNIX)
        self.addCleanup(listening.close)
        listening.bind(path)
        listening.listen()
        listening.settimeout(DEADLINE)
        self.server()
        public = self.port()
        self.client({"unix": (f"unix:{path}", public)})
        with self.visit(public) as visitor:
            visitor.sendall(b"question")
            visitor.shutdown(socket.SHUT_WR)
            target, _ = listening.accept()
            with target:
                self.assertEqual(read_all(target), b"question")
                target.sendall(b"answer")
            self.assertEqual(read_all(visitor), b"answer")

    def test_bind_addresses(self) -> None:
        """Each mapping has an address of its own to bind: two with one port number do not disturb each other."""
        services = [self.named("first"), self.named("second")]
        hosts = [self.another_host(), self.another_host()]
        port = self.port()
        self.server()
        client = self.client(
            {
                name: (service.address, f"{host}:{port}")
                for name, service, host in zip("ab", services, hosts, strict=True)
            }
        )
        self.assertEqual(client.count("refused"), 0)
        self.assert_answers(port, "first", hosts[0])
        self.assert_answers(port, "second", hosts[1])
        self.assertTrue(self.refused(port), "the server's own address was not asked for")

    def test_any_port(self) -> None:
        """`remote: 0` is any free port, and the client says which."""
        service = self.named("somewhere")
        server = self.server(addr=f"{self.host}:0")
        self.control = int(server.wait_for(rf"clients on {self.host}:(\d+)")[1])
        client = self.client({"web": (service.address, 0)})
        self.assert_answers(int(client.wait_for(rf"visitors of {self.host}:(\d+)")[1]), "somewhere")

    def test_several_clients(self) -> None:
        """Clients do not see each other; who asks for another one's port is refused with the cure, and the rest of his
        mappings works."""
        first, second = self.named("of the first"), self.named("of the second")
        ports = self.port(), self.port()
        self.server()
        self.client({"web": (first.address, ports[0])}, name="one")
        other = self.client(
            {"mine": (second.address, ports[1]), "web": (second.address, ports[0])}, name="two", ready=False
        )
        other.wait_for("mapping mine open")
        other.wait_for(
            rf"mapping web refused by the server \S+: port {ports[0]}: port_in_use: .*choose another one"
        )
        self.assert_answers(ports[0], "of the first")
        self.assert_answers(ports[1], "of the second")

    def test_plain_legs(self) -> None:
        """`encrypt: false` goes outside of TLS where the server allows it, beside a mapping that does not."""
        inside, outside = self.named("inside"), self.named("outside")
        ports = self.port(), self.port()
        server = self.server(allow_plain_legs=True)
        self.client(
            {"inside": (inside.address, ports[0]), "outside": (outside.address, ports[1])}, plain=("outside",)
        )
        server.wait_for(r"mapping outside .* open at .*legs without TLS")
        self.assert_answers(ports[0], "inside")
        self.assert_answers(ports[1], "outside")
