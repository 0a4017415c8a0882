"""What `gotunnel check` says about a file that is fine."""

from __future__ import annotations

from gotunnel.config.explain import explain
from tests.config.files import CLIENT, SERVER, TOKEN, FileTestCase


class ExplainTests(FileTestCase):
    """One line for each thing that would be opened."""

    def lines(self, text: str) -> list[str]:
        """Return the lines for a file; none of them holds the token or a line break."""
        lines = explain(self.load(text))
        for line in lines:
            self.assertNotIn(TOKEN, line)
            self.assertNotIn("\n", line)
        return lines

    def test_server(self) -> None:
        """Where it listens, how it proves itself, what clients may do."""
        text = "\n".join(self.lines(SERVER + "  allow_ports: [443, 1024-2048]\n  addr: 10.0.0.1:18000\n"))
        self.assertIn("listens for clients on 10.0.0.1:18000 with TLS", text)
        self.assertIn("443, 1024-2048", text)
        self.assertIn("carries mappings with encrypt: false inside TLS", text)
        lines = self.lines(SERVER + "  tls: {mode: off}\n")
        self.assertIn("without TLS: anybody", lines[0])
        self.assertNotIn("encrypt: false", "\n".join(lines))
        self.write("c", "c.pem")
        lines = self.lines(SERVER + "  tls: {cert: c.pem, key: c.pem}\n  allow_plain_legs: true\n")
        self.assertIn(str(self.folder / "c.pem"), lines[0])
        self.assertIn("reach nothing by forwards", lines[3])
        self.assertIn("encrypt: false outside TLS", lines[4])
        lines = self.lines(SERVER + "  allow_dial: [10.0.0.0/8:443, 'mapping:home/api']\n")
        self.assertIn("reach 10.0.0.0/8:443, mapping:home/api by their forwards", lines[3])

    def test_other_ways(self) -> None:
        """Where else it takes clients stands right behind where it listens, and with each client what it leads to."""
        lines = self.lines(
            "server:\n  clients:\n"
            f"  - {{name: a, token: {TOKEN}, allow_nodes: [node-a, 10.0.0.0/8]}}\n"
            f"  - {{name: b, token: {TOKEN[::-1]}, allow_nodes: []}}\n"
            "  listeners: {plugin: websocket, listen: '127.0.0.1:8443'}\n"
        )
        self.assertEqual(lines[1], "server: also takes clients by websocket on 127.0.0.1:8443")
        self.assertIn("may announce the nodes node-a, 10.0.0.0/8", lines[-2])
        self.assertIn("may announce no nodes", lines[-1])

    def test_egress(self) -> None:
        """Who leads where."""
        text = "  allow_nodes: ['worker-*']\n  egress: {listen: 'unix:/e', default: direct}\n"
        lines = self.lines(SERVER + text)
        self.assertIn("server: lets clients announce the nodes worker-*", lines)
        leads = "server: leads requests on unix:/e to the nodes of clients, and dials what no client announces itself"
        self.assertIn(leads, lines)
        for own, words in (("['worker-1']", "may announce the nodes worker-1"), ("[]", "may announce no nodes")):
            clients = f"  clients: [{{name: w, token: 9d3e51b7c02f8a64e1970b5dc8f3a26e, allow_nodes: {own}}}]\n"
            self.assertIn(words, self.lines(SERVER + clients)[-1])
        text = (
            "  nodes: [{match: [node, 10.0.0.1], allow_ports: [10250], dial: 127.0.0.1}]\n"
            "  egress: {listen: 'unix:/e'}\n"
        )
        self.assertEqual(
            self.lines(CLIENT + text)[2:4],
            [
                "client edge-07: leads to node, 10.0.0.1: dials 127.0.0.1 in their place, ports 10250",
                "client edge-07: leads requests on unix:/e through the server to the nodes of other clients",
            ],
        )

    def test_forwards(self) -> None:
        """Where they listen and lead, and who reaches what has no port."""
        text = (
            "  mappings: [{name: api, local: 6443, public: false, clients: ['worker-*']}]\n"
            "  forwards:\n"
            "  - {listen: 7443, dial: 'mapping:home/api'}\n"
            "  - {listen: 'unix:/run/x', dial: '10.0.0.1:443', encrypt: false, socket_mode: '0660'}\n"
            "  - {listen: 7444, dial: '10.0.0.1:10250', encrypt: false}\n"
        )
        self.assertEqual(
            self.lines(CLIENT + text)[2:6],
            [
                "client edge-07: publishes 127.0.0.1:6443 only to the clients worker-* as 'api'",
                "client edge-07: listens on 127.0.0.1:7443, and leads from there through the server to "
                "mapping:home/api",
                "client edge-07: listens on unix:/run/x, and leads from there through the server to 10.0.0.1:443, "
                "outside gotunnel's TLS",
                "client edge-07: listens on 127.0.0.1:7444, and leads from there through the server to 10.0.0.1:10250, "
                "outside gotunnel's TLS, and so safe only if kube-apiserver has "
                "--kubelet-certificate-authority",
            ],
        )

    def test_client(self) -> None:
        """Where it connects to, and every mapping with both of its ends."""
        mappings = (
            "  mappings:\n"
            "  - {name: a, local: 22, remote: 20022}\n"
            "  - {name: b, local: 'unix:/x', remote: '127.0.0.1:1', encrypt: false}\n"
            "  - {name: c, local: 'h:3', remote: 0}\n"
            "  - {name: d, local: 4, remote: '[::1]:0', proxy_protocol: v2}\n"
        )
        lines = self.lines(CLIENT + mappings)
        self.assertEqual(
            lines[0],
            "client edge-07: connects to tunnel.example.com:17000 with TLS; the token proves the server",
        )
        self.assertEqual(
            lines[2:],
            [
                "client edge-07: publishes 127.0.0.1:22 on port 20022 of the server as 'a'",
                "client edge-07: publishes unix:/x on 127.0.0.1:1 on the server as 'b',"
                " outside gotunnel's TLS",
                "client edge-07: publishes h:3 on any free port of the server as 'c'",
                "client edge-07: publishes 127.0.0.1:4 on any free port of ::1 on the server as 'd', with the visitor's"
                " address ahead (PROXY protocol v2)",
            ],
        )
        self.write("c", "ca.pem")
        with_ca = self.lines(CLIENT + "  local_ports: 22\n  tls: {ca: ca.pem}\n")[0]
        self.assertIn("a certificate for tunnel.example.com that", with_ca)

    def test_plugins_of_the_way(self) -> None:
        """Where a server takes clients beside its port, whom it believes, and how a client gets to it."""
        text = "  listeners: [{plugin: websocket, listen: '127.0.0.1:8443'}]\n  proxy_from: [10.0.0.5, 'fd00::/8']\n"
        lines = self.lines(SERVER + text)
        self.assertIn("server: also takes clients by websocket on 127.0.0.1:8443", lines)
        self.assertIn(
            "server: believes 10.0.0.5/32, fd00::/8, by the PROXY protocol, whose connections they bring to public "
            "ports", lines,
        )  # fmt: skip
        ways = "  transport: websocket\n", "  transport: {plugin: websocket, proxy: 'proxy.example.com:3128'}\n"
        self.assertEqual(
            [self.lines(CLIENT + "  local_ports: 22\n" + way)[1] for way in ways],
            ["client edge-07: gets there by websocket",
             "client edge-07: gets there by websocket, through the proxy proxy.example.com:3128"],
        )  # fmt: skip

    def test_without_a_port(self) -> None:
        """A mapping without a port of its own is told of as any other: by what it travels, and that it is probed."""
        text = "  mappings: [{local: 6443, public: false, clients: [w], encrypt: false, health: tcp}]\n"
        self.assertEqual(
            self.lines(CLIENT + text)[-1],
            "client edge-07: publishes 127.0.0.1:6443 only to the clients w as '127.0.0.1:6443', outside "
            "gotunnel's TLS, while a probe finds it there (tcp every 10 s)",
        )

    def test_token_file(self) -> None:
        """A token file is named, its content is not."""
        path = self.write(TOKEN, "token")
        self.assertIn(f"server: reads its token from {path}", self.lines("server:\n  token_file: token\n"))

    def test_warnings(self) -> None:
        """Warnings come last."""
        lines = self.lines(SERVER.replace(TOKEN, "correct-horse-battery-staple"))
        self.assertTrue(lines[-1].startswith("warning: server.token: "), lines)


class AdminTests(FileTestCase):
    """Where an operator asks."""

    def test_told(self) -> None:
        """An address is told, with what it asks for, and so is that there is none at all; the socket is the rule."""
        base = 'server:\n  token: "7f3a9c51e8d24b60af17c3925be8d046"\n  admin: '
        for text, words in (
            ("{addr: 17080}", "server: reports its state by HTTP on 127.0.0.1:17080, read-only"),
            ('{addr: "0.0.0.0:1", token: "c94e01b7d6f85a2338e07b1f6ad95c42"}', "to those who have its token"),
            ("false", "nobody can query its state"),
        ):
            self.assertIn(words, "\n".join(explain(self.load(f"{base}{text}\n"))))
        self.assertNotIn("how it is", "\n".join(explain(self.load(f"{base}true\n"))))
