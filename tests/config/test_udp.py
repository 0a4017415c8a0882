"""`protocol: udp` of a mapping, `allow_udp_ports` of a server and of its clients."""

from __future__ import annotations

from gotunnel.config.explain import explain
from gotunnel.config.model import ClientConfig
from tests.config.files import CLIENT, SERVER, TOKEN, ClientTestCase


class UdpTests(ClientTestCase):
    """What may be written, and what is said of it."""

    def mapping(self, more: str) -> str:
        """Return a file with one mapping of UDP."""
        return CLIENT + f"  mappings: [{{local: 53, remote: 53, protocol: udp{more}}}]\n"

    def test_mapping(self) -> None:
        """A mapping is of TCP unless it says otherwise; a flow has a minute, or what is written."""
        text = "mappings: [{local: 53, remote: 53, protocol: udp}, {local: 1, remote: 1}]"
        first, second = self.client(text).mappings
        self.assertEqual((first.protocol, second.protocol, first.idle_time), ("udp", "tcp", 60.0))
        found = self.load(self.mapping(", idle: 5")).client
        assert found is not None
        self.assertEqual(found.mappings[0].idle_time, 5.0)

    def test_cannot_be(self) -> None:
        """What cannot stand beside it has one clear line each, with the key and a cure."""
        for more, key, words in (
            (", idle: 0.5", "idle", "0.5 is not between 1 and 3600 seconds"),
            (", group: all", "group", "is for TCP: clients cannot share a port with protocol: udp; remove it"),
            (", encrypt: false", "encrypt", "cannot be false with protocol: udp"),
            (", proxy_protocol: v2", "proxy_protocol", "goes ahead of a stream, which protocol: udp has none of"),
            (", health: tcp", "health", "tcp probes a service by connecting to it, and this one takes datagrams"),
            (", health: {type: http, path: /x}", "health", "http probes a service by connecting to it"),
            (", clients: [other]", "clients", "reach a mapping by forwards, which are TCP"),
        ):
            problem = self.problem(self.mapping(more))
            self.assertEqual(problem.key, f"client.mappings[0].{key}")
            self.assertIn(words, str(problem))
        item = "{local: 'unix:/run/dns.sock', remote: 53, protocol: udp}"
        problem = self.problem(CLIENT + f"  mappings: [{item}]\n")
        self.assertIn("unix:/run/dns.sock takes no datagrams; write", str(problem))
        hidden = CLIENT + "  mappings: [{local: 53, public: false, clients: [a], protocol: udp}]\n"
        self.assertEqual({problem.key for problem in self.problems(hidden)}, {
            "client.mappings[0].public", "client.mappings[0].clients",
        })
        stray = CLIENT + "  mappings: [{local: 53, remote: 53, idle: 5}]\n"
        self.assertIn("is for protocol: udp; add protocol: udp, or remove it", str(self.problem(stray)))
        word = self.problem(CLIENT + "  mappings: [{local: 53, remote: 53, protocol: upd}]\n")
        self.assertIn("did you mean udp?", str(word))
        old = "  v1: true\n  tls: {mode: off}\n"
        self.assertIn("wants: to carry datagrams; remove protocol", str(self.problem(self.mapping("") + old)))

    def test_probed_by_a_command(self) -> None:
        """A command may ask the service; what the client probes all others with does not reach it."""
        mappings = "  mappings: [{local: 53, remote: 53, protocol: udp}, {local: 1, remote: 1}]\n"
        text = "  health_check_interval: 5\n" + mappings
        found = self.load(CLIENT + text).client
        assert found is not None
        self.assertEqual([mapping.health is None for mapping in found.mappings], [True, False])
        asked = self.load(self.mapping(", health: {type: command, command: dig}")).client
        assert asked is not None and asked.mappings[0].health is not None
        self.assertEqual(asked.mappings[0].health.type, "command")

    def test_both_of_one_number(self) -> None:
        """One port of TCP and one of UDP may have the same number, and two of UDP may not."""
        both = "mappings: [{name: a, local: 53, remote: 53, protocol: udp}, {name: b, local: 53, remote: 53}]"
        self.assertEqual(len(self.client(both).mappings), 2)
        two = ", ".join(f"{{name: m{local}, local: {local}, remote: 53, protocol: udp}}" for local in (53, 54))
        self.assertIn("another mapping listens on", str(self.problem(CLIENT + f"  mappings: [{two}]\n")))

    def test_same_again(self) -> None:
        """A section that was read can be read again."""
        found = self.client("mappings: [{local: 53, remote: 53, protocol: udp}, {local: 1, remote: 1}]")
        again = ClientConfig.model_validate({name: getattr(found, name) for name in found.model_fields_set})
        self.assertEqual(again.mappings, found.mappings)

    def test_rights(self) -> None:
        """No port of UDP is allowed unless it is named, for all clients or for one, who may have none."""
        found, plain = (self.load(SERVER + more).server for more in ("  allow_udp_ports: [53, 5000-5010]\n", ""))
        assert found is not None and plain is not None
        self.assertEqual((found.allow_udp_ports, plain.allow_udp_ports), ((53, "5000-5010"), ()))
        own = f"  clients: [{{name: a, token: {TOKEN[::-1]}, allow_udp_ports: []}}, {{name: b, token: {TOKEN[1:]}0}}]\n"
        server = self.load(SERVER + own).server
        assert server is not None
        self.assertEqual([client.allow_udp_ports for client in server.clients], [(), None])
        problem = self.problem(SERVER + "  allow_udp_ports: [53, dns]\n")
        self.assertEqual(problem.key, "server.allow_udp_ports[1]")

    def test_explained(self) -> None:
        """`gotunnel check` says what is open to datagrams, and to whom."""
        text = f"  allow_udp_ports: [53]\n  clients: [{{name: a, token: {TOKEN[::-1]}, allow_udp_ports: [51820]}}]\n"
        lines = explain(self.load(SERVER + text))
        self.assertIn("server: lets clients publish the ports 53 for UDP", lines)
        self.assertEqual(len([line for line in lines if "may publish the ports 51820 for UDP" in line]), 1)
        lines = explain(self.load(self.mapping(", idle: 5")))
        self.assertIn("as '127.0.0.1:53', datagrams of UDP, where a flow ends when it was quiet for 5 s", lines[2])
