"""All mistakes of a file are told at once, those too that are between keys or items of which others are wrong."""

from __future__ import annotations

from tests.config.files import OTHER_TOKEN, TOKEN, ClientTestCase


class AtOnceTests(ClientTestCase):
    """What one mistake must not hide."""

    def keys_of(self, text: str) -> list[str]:
        """Return the keys that are refused in a client's section."""
        return [key for key, _ in self.refused(text)]

    def test_ports(self) -> None:
        """A port that stands twice, beside one that is none."""
        self.assertEqual(self.keys_of("local_ports: [0, 22, 22]"), ["client.local_ports[0]", "client.local_ports[2]"])
        self.assertEqual(
            self.keys_of("local_ports: [1, 2, 3]\n  remote_port: [7, x, 7]"),
            ["client.remote_port[1]", "client.remote_port[2]"],
        )

    def test_servers(self) -> None:
        """A server that stands twice, beside one that cannot be."""
        found = self.keys_of("local_ports: 1\n  servers: [a, 'b:x', a]")
        self.assertEqual([key for key in found if "servers[" in key], ["client.servers[1]", "client.servers[2]"])

    def test_mappings(self) -> None:
        """A name and a port that stand twice, where something else is wrong with one of the two; what goes with no
        datagrams; what has no meaning without a port."""
        text = "mappings:\n  - {name: a, local: 1, remote: 9, encrypt: 3}\n  - {name: a, local: 2, remote: 9, x: 1}\n"
        self.assertEqual(
            sorted(self.keys_of(text)),
            ["client.mappings[0].encrypt", "client.mappings[1].name", "client.mappings[1].remote",
             "client.mappings[1].x"],
        )  # fmt: skip
        text = "mappings: [{name: a, local: 'b:x', remote: 9, protocol: udp, group: g, idle: 0}]"
        self.assertEqual(
            sorted(self.keys_of(text)),
            ["client.mappings[0].group", "client.mappings[0].idle", "client.mappings[0].local"],
        )
        text = "mappings: [{local: 'b:x', remote: 9, public: false, clients: [w]}]"
        self.assertEqual(sorted(self.keys_of(text)), ["client.mappings[0].local", "client.mappings[0].remote"])

    def test_no_mistake_is_made_up(self) -> None:
        """What would follow from leaving a wrong key out is none."""
        text = "mappings: [{local: 1, public: false, clients: ['a b']}, {local: 2, remote: x, protocol: udb, idle: 5}]"
        self.assertEqual(sorted(self.keys_of(text)), ["client.mappings[0].clients[0]", "client.mappings[1].protocol",
                                                   "client.mappings[1].remote"])  # fmt: skip
        text = "mappings: [{local: 1, remote: 1, health: {type: htp, path: /x}}]"
        self.assertEqual(self.keys_of(text), ["client.mappings[0].health.type"])

    def test_forwards(self) -> None:
        """The same of forwards."""
        text = (
            "forwards:\n  - {name: f, listen: 81, dial: 'b:x'}\n  - {name: f, listen: 81, dial: 'a:1', x: 1}\n"
            "  - {listen: 'a b', dial: 'mapping:a/b', encrypt: false}\n"
        )
        self.assertEqual(
            sorted(self.keys_of(text)),
            ["client.forwards[0].dial", "client.forwards[1].listen", "client.forwards[1].name", "client.forwards[1].x",
             "client.forwards[2].encrypt", "client.forwards[2].listen"],
        )  # fmt: skip

    def test_health(self) -> None:
        """A key of HTTP with a check that is none, beside a time that is none."""
        text = "mappings: [{local: 1, remote: 1, health: {type: tcp, path: /x, interval: often}}]"
        self.assertEqual(
            sorted(self.keys_of(text)), ["client.mappings[0].health.interval", "client.mappings[0].health.path"]
        )

    def test_clients(self) -> None:
        """A client's name that stands twice, beside a right that cannot be."""
        clients = f"[{{name: a, token: {TOKEN}, allow_ports: [x]}}, {{name: a, token: {OTHER_TOKEN}}}]"
        keys = [problem.key for problem in self.problems(f"server:\n  clients: {clients}\n")]
        self.assertEqual(sorted(keys), ["server.clients[0].allow_ports[0]", "server.clients[1].name"])
