"""Forwards in a file: what is accepted, and what is refused with its cure."""

from __future__ import annotations

from gotunnel.address import HostPort, UnixPath
from gotunnel.config.model import ClientConfig
from gotunnel.dialrules import MappingTarget

from .files import CLIENT, SERVER, FileTestCase


class ForwardTests(FileTestCase):
    """The `forwards` of a client, `public` and `clients` of a mapping, `allow_dial` of a server."""

    def client(self, text: str) -> ClientConfig:
        """Load a client's section."""
        found = self.load(CLIENT + text).client
        assert found is not None
        return found

    def test_read(self) -> None:
        """Every form of an address; a forward alone is something to do."""
        one, two, three = self.client(
            "  forwards:\n"
            "  - {listen: 7443, dial: 6443}\n"
            "  - {name: db, listen: '[::1]:5432', dial: 'db.example:5432', encrypt: false}\n"
            "  - {listen: 'unix:/run/x', dial: 'mapping:home/api server', socket_mode: '0660'}\n"
        ).forwards
        self.assertEqual((one.name, one.listen), ("127.0.0.1:7443", HostPort("127.0.0.1", 7443)))
        self.assertEqual((one.dial, one.encrypt, one.socket_mode), (HostPort("127.0.0.1", 6443), True, 0o600))
        self.assertEqual((two.name, two.listen, two.encrypt), ("db", HostPort("::1", 5432), False))
        self.assertEqual((three.listen, three.dial), (UnixPath("/run/x"), MappingTarget("home", "api server")))
        self.assertEqual((three.name, three.socket_mode), ("unix:/run/x", 0o660))

    def test_refused(self) -> None:
        """Each mistake has its line, and says what would be right."""
        for item, key, words in (
            ("{dial: 6443}", "listen", "is missing"),
            ("{listen: 1}", "dial", "is missing"),
            ("{listen: 'host:1', dial: 1}", "listen", "only an IP address can be bound"),
            ("{listen: 70000, dial: 1}", "listen", "not a port number"),
            ("{listen: 'unix:x', dial: 1}", "listen", "must be absolute"),
            ('{listen: "unix:/x\\0y", dial: 1}', "listen", "has a NUL character"),
            ("{listen: 1, dial: 0}", "dial", "not a port number"),
            ("{listen: 1, dial: 'mapping:/api'}", "dial", "mapping:CLIENT/NAME"),
            ("{listen: 1, dial: 'mapping:*/api'}", "dial", "mapping:CLIENT/NAME"),
            ("{listen: 1, dial: 'mapping:home/api', encrypt: false}", "encrypt", "remove it"),
            ("{listen: 1, dial: 1, socket_mode: 0660}", "socket_mode", "quote it"),
            ("{listen: 1, dial: 1, socket_mode: '0999'}", "socket_mode", "not the mode of a file"),
            ("{listen: 1, dial: 1, extra: 1}", "extra", "not a known key"),
        ):
            problem = self.problem(CLIENT + f"  forwards: [{item}]\n")
            self.assertIn(words, str(problem), item)
            self.assertIn(key, problem.key, item)

    def test_twice(self) -> None:
        """Two forwards have neither a name nor a place in common; two free ports are not the same place."""
        base = CLIENT + "  forwards:\n  - {name: a, listen: 7443, dial: 1}\n"
        self.assertIn("another forward is called", str(self.problem(base + "  - {name: a, listen: 7444, dial: 1}\n")))
        self.assertIn("another forward listens", str(self.problem(base + "  - {name: b, listen: 7443, dial: 1}\n")))
        free = "  forwards:\n  - {name: a, listen: 0, dial: 1}\n  - {name: b, listen: 0, dial: 1}\n"
        self.assertEqual(len(self.client(free).forwards), 2)

    def test_egress_and_nodes(self) -> None:
        """A socket of its own for the egress; no more nodes than are answered in one frame."""
        text = "  egress: {listen: 'unix:/e'}\n  forwards: [{listen: 'unix:/e', dial: 1}]\n"
        self.assertIn("a forward listens on unix:/e", str(self.problem(CLIENT + text)))
        names = ", ".join(f"w{number}" for number in range(257))
        problem = self.problem(CLIENT + f"  nodes: [{{match: [{names}], allow_ports: [1]}}]\n")
        self.assertIn("name 256 at most", str(problem))

    def test_hidden(self) -> None:
        """A mapping without a port names who reaches it, and no port."""
        (mapping,) = self.client("  mappings: [{name: a, local: 1, public: false, clients: [w-1, 'w-*']}]\n").mappings
        self.assertEqual((mapping.public, mapping.clients), (False, ("w-1", "w-*")))
        for item, words in (
            ("{local: 1, public: false}", "nobody could reach this mapping"),
            ("{local: 1, public: false, clients: [a], remote: 1}", "has no meaning with public: false"),
            ("{local: 1, public: false, clients: ['a b']}", "not a client's name"),
            ("{local: 1, public: maybe, clients: [a], remote: 1}", "true or false"),
        ):
            self.assertIn(words, str(self.problem(CLIENT + f"  mappings: [{item}]\n")), item)

    def test_rules(self) -> None:
        """`allow_dial` is checked rule by rule; by default it is empty."""
        found = self.load(SERVER + "  allow_dial: ['10.0.0.0/8:443', 'mapping:home/*']\n").server
        assert found is not None
        self.assertEqual(found.allow_dial, ("10.0.0.0/8:443", "mapping:home/*"))
        plain = self.load(SERVER).server
        assert plain is not None
        self.assertEqual(plain.allow_dial, ())
        problem = self.problem(SERVER + "  allow_dial: ['10.0.0.0/8:443', '10.0.0.1/8:443']\n")
        self.assertEqual(problem.key, "server.allow_dial[1]")
        self.assertIn("bits beyond its mask", str(problem))
