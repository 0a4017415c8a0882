"""What a client publishes: `local_ports` and `mappings`, and what must hold between them."""

from __future__ import annotations

from gotunnel.address import HostPort, UnixPath
from gotunnel.config.model import MappingConfig, Remote
from tests.config.files import CLIENT, SERVER, TOKEN, ClientTestCase


class LocalPortsTests(ClientTestCase):
    """The short form."""

    def test_same_numbers(self) -> None:
        """Without remote_port the numbers stay."""
        for text in ("[6443, 10250]", "['6443', 10250]"):
            client = self.client(f"local_ports: {text}")
            self.assertEqual(
                client.mappings,
                (
                    MappingConfig(name="127.0.0.1:6443", local=6443, remote=6443),
                    MappingConfig(name="127.0.0.1:10250", local=10250, remote=10250),
                ),
            )
        (mapping,) = self.client("local_ports: 22").mappings
        self.assertEqual(
            (mapping.local, mapping.bind, mapping.remote_port), (HostPort("127.0.0.1", 22), None, 22)
        )
        self.assertTrue(mapping.encrypt)

    def test_remote_port(self) -> None:
        """One remote port for one local port, or a list beside a list."""
        self.assertEqual(
            self.client("local_ports: [22]\n  remote_port: 10022").mappings[0].remote, Remote(None, 10022)
        )
        client = self.client("local_ports: [22, 80]\n  remote_port: [0, 10080]")
        self.assertEqual([mapping.remote_port for mapping in client.mappings], [0, 10080])

    def test_numbers_that_do_not_match(self) -> None:
        """One remote port cannot serve several services; the key to correct is named."""
        (found,) = self.refused("local_ports: [22, 80]\n  remote_port: 10022")
        self.assertEqual(found, ("client.remote_port", "names 1 port for 2 ports of local_ports"))
        self.assertEqual(self.refused("local_ports: 22\n  remote_port: [1, 2]")[0][0], "client.remote_port")
        mapped = "mappings: [{local: 1, remote: 1}]\n  remote_port: 10022"
        self.assertEqual(self.refused(mapped), [("client.remote_port", "needs local_ports")])

    def test_bad_ports(self) -> None:
        """Each wrong item is named; nothing is said about missing mappings then."""
        keys = [key for key, _ in self.refused("local_ports: [0, 22, x, 70000, 1.5, true, {a: 1}]")]
        self.assertEqual(keys, [f"client.local_ports[{index}]" for index in (0, 2, 3, 4, 5, 6)])
        ((key, wrong),) = self.refused("local_ports: abc")
        self.assertEqual((key, wrong), ("client.local_ports", "'abc' is not a port number"))

    def test_twice(self) -> None:
        """A port that stands twice is refused where it stands again."""
        self.assertEqual(
            [key for key, _ in self.refused("local_ports: [22, 80, 22]")], ["client.local_ports[2]"]
        )
        twice = self.refused("local_ports: [22, 80]\n  remote_port: [1, 1]")
        self.assertEqual([key for key, _ in twice], ["client.remote_port[1]"])
        self.assertEqual(len(self.client("local_ports: [22, 80]\n  remote_port: [0, 0]").mappings), 2)

    def test_nothing(self) -> None:
        """A client that publishes nothing is refused with an example."""
        for lines in ("log_level: info", "local_ports: []", "mappings: []"):
            problem = self.problem(f"{CLIENT}  {lines}\n")
            self.assertEqual(problem.wrong, "there is nothing to publish")
            self.assertIn("mappings: [{name: api, local: 6443, remote: 6443}]", problem.cure)


class MappingTests(ClientTestCase):
    """The full form."""

    def test_forms(self) -> None:
        """A port, an address, a socket; a port, an address, any port."""
        for text, local in (
            ("22", HostPort("127.0.0.1", 22)),
            ("'10.0.0.9:22'", HostPort("10.0.0.9", 22)),
            ("db.local:5432", HostPort("db.local", 5432)),
            ("unix:/run/a.sock", UnixPath("/run/a.sock")),
            ("'[::1]:22'", HostPort("::1", 22)),
        ):
            (mapping,) = self.client(f"mappings: [{{local: {text}, remote: 20022}}]").mappings
            self.assertEqual((mapping.local, mapping.name), (local, str(local)))
        for text, bind, port in (
            ("22", None, 22),
            ("0", None, 0),
            ("127.0.0.1:22", "127.0.0.1", 22),
            ("'[::1]:0'", "::1", 0),
        ):
            (mapping,) = self.client(
                f"mappings: [{{name: a, local: 1, remote: {text}, encrypt: false}}]"
            ).mappings
            self.assertEqual((mapping.bind, mapping.remote_port, mapping.encrypt), (bind, port, False))

    def test_beside_local_ports(self) -> None:
        """Both forms add up, the short one first."""
        client = self.client("mappings: [{name: a, local: 1, remote: 2}]\n  local_ports: [22]")
        self.assertEqual([mapping.name for mapping in client.mappings], ["127.0.0.1:22", "a"])

    def test_wrong_values(self) -> None:
        """Each key of each mapping is named with its index."""
        lines = (
            "mappings:\n"
            "  - {local: 0, remote: -1}\n"
            "  - {local: 'unix:rel', remote: 'a.example:1', name: ''}\n"
            "  - {name: x}\n"
            "  - 22\n"
            "  - {local: 'x:y', remote: '1.2.3.4', encrypt: 3, port: 1}\n"
            "  - {local: 'unix:/a\\tb', remote: [1], name: 'é'}\n"
        ).replace("'unix:/a\\tb'", '"unix:/a\\tb"')
        found = {key.removeprefix("client.mappings") for key, _ in self.refused(lines)}
        wanted = {
            "[0].local",
            "[0].remote",
            "[1].local",
            "[1].remote",
            "[1].name",
            "[2].local",
            "[2].remote",
            "[3]",
        }
        wanted |= {
            "[4].local",
            "[4].remote",
            "[4].encrypt",
            "[4].port",
            "[5].local",
            "[5].remote",
            "[5].name",
        }
        self.assertEqual(found, wanted)

    def test_no_list(self) -> None:
        """One mapping without a dash is told to get one."""
        problem = self.problem(CLIENT + "  mappings: {local: 1, remote: 2}\n")
        self.assertEqual((problem.key, problem.wrong), ("client.mappings", "is not a list"))

    def test_collisions(self) -> None:
        """Names and ports serve once, also together with local_ports and with wildcard addresses."""
        for lines, wanted in (
            ("mappings: [{name: a, local: 1, remote: 1}, {name: a, local: 2, remote: 2}]", ["[1].name"]),
            ("mappings: [{local: 1, remote: 1}, {local: 1, remote: 2}]", ["[1].name"]),
            ("mappings: [{local: 1, remote: 9}, {local: 2, remote: 9}]", ["[1].remote"]),
            ("mappings: [{local: 1, remote: '1.1.1.1:9'}, {local: 2, remote: '1.1.1.1:9'}]", ["[1].remote"]),
            ("mappings: [{local: 1, remote: '1.1.1.1:9'}, {local: 2, remote: '0.0.0.0:9'}]", ["[1].remote"]),
            ("local_ports: 9\n  mappings: [{local: 2, remote: 9}]", ["[0].remote"]),
            ("local_ports: 9\n  mappings: [{local: 9, remote: 8}]", ["[0].name"]),
        ):
            self.assertEqual(
                [key for key, _ in self.refused(lines)], [f"client.mappings{key}" for key in wanted]
            )
        for lines in (
            "mappings: [{local: 1, remote: 0}, {local: 2, remote: 0}]",
            "mappings: [{local: 1, remote: '1.1.1.1:9'}, {local: 2, remote: '1.1.1.2:9'}]",
            "mappings: [{local: 1, remote: '0.0.0.0:9'}, {local: 2, remote: '[::]:9'}]",
            "mappings: [{name: a, local: 1, remote: 9}, {name: b, local: 1, remote: 8}]",
        ):
            self.assertEqual(len(self.client(lines).mappings), 2)

    def test_collisions_beside_other_mistakes(self) -> None:
        """A wrong mapping does not hide that two others collide, nor that one of them collides with it."""
        lines = "mappings: [{local: x, remote: 1}, {name: a, local: 1, remote: 1}, {name: a, local: 2, remote: 2}]"
        self.assertEqual(
            {key for key, _ in self.refused(lines)},
            {"client.mappings[0].local", "client.mappings[1].remote", "client.mappings[2].name"},
        )


class LoopTests(ClientTestCase):
    """Both ends on one machine."""

    def test_own_port(self) -> None:
        """A service that would be published on the very port it listens on is warned about."""

        def text(addr: str, server: str, lines: str) -> str:
            client = CLIENT.replace("tunnel.example.com:17000", server)
            return f"{SERVER}  addr: '{addr}'\n{client}  {lines}\n"

        for addr in ("0.0.0.0:17000", "127.0.0.1:17000"):
            file = self.load(
                text(addr, "127.0.0.1:17000", "local_ports: [22, 6443]\n  remote_port: [10022, 6443]")
            )
            (line,) = file.warnings
            self.assertTrue(line.startswith("client.mappings[1]: 127.0.0.1:6443 "), line)
        for addr, server, lines in (
            ("0.0.0.0:17000", "127.0.0.1:17001", "local_ports: 6443"),
            ("0.0.0.0:17000", "a.example:17000", "local_ports: 6443"),
            ("0.0.0.0:17000", "127.0.0.1:17000", "mappings: [{local: '10.9.9.9:6443', remote: 6443}]"),
            ("0.0.0.0:17000", "127.0.0.1:17000", "mappings: [{local: 6443, remote: '10.0.0.1:6443'}]"),
            ("10.0.0.1:17000", "10.0.0.1:17000", "local_ports: 6443"),
        ):
            self.assertEqual(self.load(text(addr, server, lines)).warnings, [])

    def test_no_token_in_dumps(self) -> None:
        """repr, str, dictionaries and JSON of a loaded file hold no token."""
        file = self.load(SERVER + CLIENT + "  local_ports: 22\n")
        for shown in (
            repr(file),
            str(file),
            str(file.model_dump()),
            file.model_dump_json(),
            str(file.server),
            repr(file.client),
        ):
            self.assertNotIn(TOKEN, shown)
