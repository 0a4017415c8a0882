"""What `gotunnel doctor` finds, against real servers, clients and targets in this process."""

from __future__ import annotations

import os
import time
from typing import Any

from twisted.internet.endpoints import SSL4ServerEndpoint, UNIXServerEndpoint
from twisted.internet.protocol import Factory
from twisted.internet.ssl import PrivateCertificate

from gotunnel.address import HostPort, UnixPath
from gotunnel.cli.doctor import login, proxied, targets, throughput, visit
from gotunnel.cli.doctor.command import examine
from gotunnel.cli.doctor.findings import Finding, as_json
from gotunnel.cli.doctor.wish import Wish
from gotunnel.config.model import (
    ClientConfig,
    EgressConfig,
    File,
    ForwardConfig,
    MappingConfig,
    NodeConfig,
    ServerConfig,
    TlsClientConfig,
    TlsServerConfig,
)
from gotunnel.server import measuring
from gotunnel.server.service import ServerService
from tests.certificates import Authority
from tests.integration.base import TOKEN, Echo, IntegrationTestCase, Peer, reactor
from tests.ports import free_port

WRONG = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"
PIN = "sha256:" + 43 * "A" + "="


class DoctorTests(IntegrationTestCase):
    """A client's section, examined beside a server."""

    async def examined(
        self, server: ServerService | int, *mappings: MappingConfig, wish: Wish | None = None, **config: Any
    ) -> list[Finding]:
        """Examine a client's section; nothing found has a token in it."""
        port = server if isinstance(server, int) else server.address.port
        values: dict[str, Any] = {
            "name": "edge", "token": TOKEN, "server_addr": HostPort("127.0.0.1", port), "mappings": mappings, **config
        }  # fmt: skip
        found = await examine(reactor, File(client=ClientConfig(**values)), None, wish or Wish())
        for secret in (TOKEN, WRONG):
            self.assertNotIn(secret, as_json(found))
        for finding in found:
            self.assertNotIn("\n", str(finding))
            self.assertEqual(bool(finding.cure), finding.status in ("warning", "problem"), str(finding))
        return found

    def one(self, found: list[Finding], check: str, status: str, *words: str) -> Finding:
        """Return the one finding of a check, which says this."""
        (finding,) = [each for each in found if each.check == check and each.status == status] or [None]
        assert finding is not None, "\n".join(map(str, found))
        for word in words:
            self.assertIn(word, str(finding))
        return finding

    def fine(self, found: list[Finding]) -> None:
        """All is well."""
        self.assertEqual([str(each) for each in found if each.status == "problem"], [])

    async def test_transport(self) -> None:
        """The login takes the way that the client takes, and what is wrong with that is said."""
        server = await self.server(listeners=[{"plugin": "websocket", "listen": "127.0.0.1:0"}])
        door = HostPort("127.0.0.1", server._listeners[0].address.port)
        transport = {"plugin": "websocket", "tls": False}
        mapping = self.mapping((await self.target(Echo))[0])
        found = await self.examined(server, mapping, server_addr=door, transport=transport)
        self.fine(found)
        self.one(found, "connect", "note", "by the transport websocket")
        self.one(found, "login", "ok", "proved")
        found = await self.examined(server, mapping, server_addr=door, transport={**transport, "path": "/other"})
        said = "no WebSocket there: HTTP status 404"
        problem = self.one(found, "login", "problem", said, "client.transport (websocket)")
        self.assertNotIn("does not let", str(problem))  # the server knows nothing of it, and neither does its log

    async def test_all_is_well(self) -> None:
        """Each question has its answer, and the server is left as it was."""
        server = await self.server()
        target, _ = await self.target(Echo)
        found = await self.examined(server, self.mapping(target))
        self.fine(found)
        for check, word in (("connect", "ms"), ("tls", "pin sha256:"), ("login", "proved"), ("round trip", "pings"),
                            ("leg", "ms"), ("clock", "UTC here"), ("mapping web", "accepts connections")):  # fmt: skip
            self.one(found, check, "ok", word)
        for words in ("Mbit/s up (16.0 MiB in", "Mbit/s down (16.0 MiB in", "on one leg"):
            self.one(found, "throughput", "ok", words)
        self.one(found, "clock", "ok", "and the server's clock is 0.0")
        await self.until(lambda: not server.hub.sessions and not server.hub.peers, "nothing is left of the visit")

    async def test_a_running_client_is_not_disturbed(self) -> None:
        """Its session stays, with its mappings, and the doctor says that it is there."""
        server = await self.server()
        target, _ = await self.target(Echo)
        client = await self.open_client(server, self.mapping(target))
        session = client.link.session
        found = await self.examined(server, self.mapping(target))
        self.fine(found)
        self.one(found, "login", "ok", "is connected")
        await self.said("gotunnel doctor at 127.0.0.1")
        self.assertNotIn("name_in_use", "\n".join(self.lines()))
        self.assertIs(client.link.session, session)
        await self.echoes(self.port_of(client))

    async def test_clocks_that_differ(self) -> None:
        """The server's is a minute ahead: the certificate knows nothing of it. It is said beside a running client."""
        server = await self.server()
        server.hub.wall_clock = lambda: time.time() + 60
        target, _ = await self.target(Echo)
        found = await self.examined(server, self.mapping(target))
        said = str(self.one(found, "clock", "warning", "s ahead of this one", "NTP"))
        self.assertAlmostEqual(float(said.partition("and the server's clock is ")[2].split()[0]), 60.0, 0)
        await self.open_client(server, self.mapping(target))
        server.hub.wall_clock = lambda: time.time() - 7
        found = await self.examined(server, self.mapping(target))
        self.one(found, "clock", "warning", "s behind this one")
        self.one(found, "login", "ok", "is connected")

    async def test_measured_where_it_is_wished(self) -> None:
        """Nothing is sent where it is not wished, or the server does not know it; a refusal is told. Outside of TLS it
        is measured, too."""
        server = await self.server()
        found = await self.examined(server, local_ports=(1,), wish=Wish(throughput=False))
        self.one(found, "throughput", "note", "not wanted")
        server.hub.measuring._busy.add("edge")
        self.one(await self.examined(server, local_ports=(1,)), "throughput", "note", "refused (limit)")
        server.hub.caps = ("forward",)
        self.one(await self.examined(server, local_ports=(1,)), "throughput", "note", "does not take part")
        server = await self.server(tls=TlsServerConfig(mode="off"))
        found = await self.examined(server, local_ports=(1,), tls=TlsClientConfig(mode="off"))
        self.one(found, "throughput", "ok", "16.0 MiB")

    async def test_bytes_that_get_lost(self) -> None:
        """A server that takes no more after the first bytes, as behind a network that drops large packets: measuring
        has an end, and the cure is said."""
        server = await self.server()
        stuck: list[Any] = []

        def take(target: Any, data: bytes) -> None:
            if not stuck:
                target.transport.pauseProducing()
                stuck.append(target.transport)

        self.patch(measuring._Target, "dataReceived", take)
        self.patch(throughput, "SECONDS", 0.1)
        found = await self.examined(server, local_ports=(1,), wish=Wish(timeout=0.5))
        self.one(found, "throughput", "warning", "bytes up, not all had arrived", "MTU")
        stuck[0].resumeProducing()
        await self.until(lambda: not server.hub.measuring._busy, "the server is done with it")

    async def test_mappings_in_their_time_of_grace_stay(self) -> None:
        """A client was lost: its ports wait for it, also when a doctor has come meanwhile."""
        server = await self.server()
        target, _ = await self.target(Echo)
        client = await self.open_client(server, self.mapping(target))
        assert client.link.session is not None
        mappings = server.hub.peers["edge"].mappings
        before = dict(mappings)
        await self.stop(client)
        await self.until(lambda: server.hub.peers["edge"].session is None, "the client is lost")
        self.fine(await self.examined(server, self.mapping(target)))
        await self.until(lambda: server.hub.peers["edge"].session is None, "the doctor has left")
        self.assertEqual(mappings, before)
        self.assertTrue(before)
        client = await self.open_client(server, self.mapping(target))
        await self.echoes(self.port_of(client))

    async def test_a_visitor_who_waits_is_not_lost(self) -> None:
        """He came in the time of grace: the doctor takes nobody, and the client that comes back serves him."""
        server = await self.server()
        target, _ = await self.target(Echo)
        client = await self.open_client(server, self.mapping(target))
        port = self.port_of(client)
        await self.stop(client)
        visitor = await self.connect(port)
        visitor.transport.write(b"still here")
        await self.until(lambda: server.hub.peers["edge"].pending, "he waits")
        self.fine(await self.examined(server, self.mapping(target)))
        await self.open_client(server, self.mapping(target))
        await self.until(lambda: visitor.received or visitor.ended, "he is served")
        self.assertEqual(visitor.received, b"still here")

    async def test_a_client_that_comes_meanwhile_is_let_in_at_once(self) -> None:
        """The doctor's session makes way: its client need not try again."""
        server = await self.server()
        target, _ = await self.target(Echo)

        async def slow(*_: object) -> tuple[float, None]:
            await self.open_client(server, self.mapping(target))
            return 0.0, None

        self.patch(login, "_bring_leg", slow)
        self.fine(await self.examined(server, self.mapping(target)))
        self.assertNotIn("name_in_use", "\n".join(self.lines()))

    async def test_tls_at_one_end_only(self) -> None:
        """Both ways round, the key that must be the same is named."""
        server = await self.server()
        off = TlsClientConfig(mode="off")
        found = await self.examined(server, local_ports=(1,), tls=off)
        self.one(found, "login", "problem", "tls_required", "client.tls.mode: required")
        server = await self.server(tls=TlsServerConfig(mode="off"))
        found = await self.examined(server, local_ports=(1,))
        self.one(found, "tls", "problem", "tls.mode")
        found = await self.examined(server, local_ports=(1,), tls=off)
        self.one(found, "tls", "warning", "tls.mode: required")
        self.one(found, "login", "ok", "proved")

    async def test_an_authority_that_did_not_issue_it(self) -> None:
        """The server's own certificate is of no authority."""
        server = await self.server()
        tls = TlsClientConfig(ca=Authority(self.folder).file)
        found = await self.examined(server, local_ports=(1,), tls=tls)
        self.one(found, "tls", "problem", "self-signed", "gotunnel pin")

    async def test_a_health_check_that_fails(self) -> None:
        """The target is there and is not well."""
        server = await self.server()
        target, _ = await self.target(Echo)
        found = await self.examined(server, self.mapping(target, health={"type": "http"}))
        self.one(found, "mapping web", "problem", "health check fails", "not HTTP/1.1")

    async def test_a_target_that_expects_no_header(self) -> None:
        """It closes the connection at the header of the PROXY protocol; one that takes it is passed over in silence."""

        class Strict(Echo):
            def dataReceived(self, data: bytes) -> None:
                self.transport.loseConnection()

        self.patch(proxied, "SECONDS", 0.3)
        server = await self.server()
        for kind, said in ((Strict, 1), (Echo, 0)):
            target, _ = await self.target(kind)
            found = await self.examined(server, self.mapping(target, proxy_protocol="v1"))
            self.fine(found)
            self.one(found, "mapping web", "ok", "accepts connections")
            warned = [str(each) for each in found if each.check == "mapping web" and each.status == "warning"]
            self.assertEqual(len(warned), said, warned)
            self.assertTrue(all("when it gets the header of the PROXY protocol (v1)" in each for each in warned))

    async def test_sockets(self) -> None:
        """An egress socket: its folder is missing, nobody serves it, somebody does."""
        server = await self.server()
        path = os.path.relpath(self.folder / "e.sock")  # an absolute one may be longer than the system takes
        nowhere = os.path.join(os.path.relpath(self.folder), "no", "e.sock")
        for where, status, word in ((nowhere, "problem", "mkdir"), (path, "warning", "start")):
            found = await self.examined(server, egress=EgressConfig(listen=UnixPath(where)))
            self.one(found, "client.egress", status, word)
        listening = await UNIXServerEndpoint(reactor, path).listen(Factory.forProtocol(Echo))
        self.addCleanup(listening.stopListening)
        found = await self.examined(server, egress=EgressConfig(listen=UnixPath(path)))
        self.one(found, "client.egress", "ok", "accepts connections")

    async def test_a_wrong_token(self) -> None:
        """One login, and the word what to compare."""
        server = await self.server()
        found = await self.examined(server, local_ports=(1,), token=WRONG)
        self.one(found, "login", "problem", "auth_failed", "compare client.name and the token")
        self.assertEqual(sum("was refused" in line for line in self.lines()), 1)

    async def test_a_server_that_is_not_there(self) -> None:
        """Nobody listens."""
        server = await self.server()
        port = server.address.port
        await self.stop(server)
        found = await self.examined(port, local_ports=(1,))
        self.one(found, "connect", "problem", "connection refused", "start the server")

    async def test_a_wrong_pin(self) -> None:
        """The pin that the server shows is named."""
        server = await self.server()
        found = await self.examined(server, local_ports=(1,), tls=TlsClientConfig(pin=(PIN,)))
        self.one(found, "tls", "problem", "has the pin sha256:", "gotunnel pin")

    async def test_a_name_that_does_not_resolve(self) -> None:
        """RFC 6761: no such name ever resolves."""
        found = await self.examined(1, local_ports=(1,), server_addr=HostPort("tunnel.invalid", 17000))
        self.one(found, "resolve", "problem", "does not resolve", "server_addr")

    async def test_a_target_that_is_down(self) -> None:
        """The mapping is named, and the address that refuses."""
        server, down = await self.server(), await self.server()
        port = down.address.port
        await self.stop(down)
        found = await self.examined(server, self.mapping(port))
        self.one(found, "mapping web", "problem", f"127.0.0.1:{port}: connection refused", "start the service")

    async def test_a_certificate_without_the_name(self) -> None:
        """A kube-apiserver behind port 6443: the SAN that is missing, and the flag that adds it, with all that the
        certificate had."""
        server = await self.server()
        target = await self.tls_target("kubernetes", "kubernetes.default.svc", "10.96.0.1", "cp.example.com")
        found = await self.examined(server, self.mapping(target, remote="6443"), wish=Wish(names=("cp.example.com",)))
        self.one(
            found, "mapping web", "problem", "no SAN 127.0.0.1",
            "kubeadm init --apiserver-cert-extra-sans 127.0.0.1;",
            "--apiserver-cert-extra-sans 127.0.0.1,cp.example.com,10.96.0.1,", "not run",
        )  # fmt: skip
        self.assertIn("for cp.example.com", "\n".join(str(each) for each in found if each.status == "ok"))

    async def test_a_kubelet(self) -> None:
        """Its certificate does not verify by an authority that has not issued it, and does by the one that has."""
        server, authority = await self.server(), Authority(self.folder)
        other = Authority(self.folder, "other CA")
        target = await self.tls_target("worker-1", authority=authority)
        mapping = self.mapping(target, remote="10250")
        found = await self.examined(server, mapping, wish=Wish(kubelet_ca=other.file))
        self.one(found, "mapping web", "problem", "does not verify", "serverTLSBootstrap: true", "certificate approve")
        found = await self.examined(server, mapping, wish=Wish(kubelet_ca=authority.file))
        self.fine(found)
        self.assertIn("verifies, and is for worker-1", "\n".join(map(str, found)))

    async def test_targets_that_say_nothing(self) -> None:
        """They accept connections, and that is all: each look has an end, and a word what it waited for."""
        server = await self.server()
        target, made = await self.target(Peer)
        probed = self.mapping(target, health={"type": "http", "timeout": 0.1})
        api = self.mapping(target, "api", "6443")
        found = await self.examined(server, probed, api, wish=Wish(timeout=0.1))
        self.one(found, "mapping web", "problem", "no answer in time")
        self.one(found, "mapping api", "problem", "no answer in TLS within 0.1 s", "kube-apiserver listen")
        await self.until(lambda: all(each.ended for each in made), "the connections are gone")

    async def test_a_server_that_says_nothing(self) -> None:
        """It accepts connections, and that is all."""
        target, made = await self.target(Peer)
        found = await self.examined(target, local_ports=(1,), wish=Wish(timeout=0.1))
        self.one(found, "login", "problem", "no answer within 0.1 s", "tls.mode")
        await self.until(lambda: all(each.ended for each in made), "the connections are gone")

    async def test_a_node(self) -> None:
        """The kubelet of an announced node, by the address that kube-apiserver asks for; networks are not dialled."""
        server, authority = await self.server(), Authority(self.folder)
        port = await self.tls_target("worker-1", authority=authority)
        self.patch(targets, "KUBELET", port)
        match = ["10.200.0.11", "worker-1", "10.201.0.0/16"]
        node = NodeConfig.model_validate({"match": match, "allow_ports": [port], "dial": "127.0.0.1"})
        found = await self.examined(server, nodes=(node,), wish=Wish(kubelet_ca=authority.file))
        self.one(found, "node 10.200.0.11", "problem", "no SAN 10.200.0.11", "--node-ip")
        self.one(found, "node worker-1", "ok", "verifies")
        self.assertNotIn("10.201", "\n".join(map(str, found)))

    async def test_a_forward(self) -> None:
        """A port that leads to a kube-apiserver: nobody serves it, or the certificate behind it is examined."""
        server = await self.server()
        port = await self.tls_target("kubernetes")
        self.patch(targets, "APISERVER", port)
        forward = ForwardConfig.model_validate({"name": "api", "listen": port, "dial": "10.0.0.1:6443"})
        found = await self.examined(server, forwards=(forward,))
        self.one(found, "forward api", "ok", "accepts connections")
        self.one(found, "forward api", "problem", "no SAN 127.0.0.1", "--apiserver-cert-extra-sans 127.0.0.1")
        other = await self.server()
        await self.stop(other)
        forward = ForwardConfig.model_validate({"name": "api", "listen": other.address.port, "dial": "10.0.0.1:6443"})
        found = await self.examined(server, forwards=(forward,))
        self.one(found, "forward api", "warning", "nothing serves", "start the client")

    async def test_a_forward_to_nowhere(self) -> None:
        """Its port is served, and whoever comes is reset, at once or after a moment."""

        class Resetting(Echo):
            def connectionMade(self) -> None:
                self.transport.abortConnection()

        class ResettingLater(Echo):
            def connectionMade(self) -> None:
                reactor.callLater(0.01, self.transport.abortConnection)

        server = await self.server()
        for kind in (Resetting, ResettingLater):
            port, _ = await self.target(kind)
            forward = ForwardConfig.model_validate({"name": "api", "listen": port, "dial": "10.0.0.1:80"})
            found = await self.examined(server, forwards=(forward,))
            self.one(found, "forward api", "problem", "cannot be led to 10.0.0.1:80", "read the client's log")
            self.assertEqual([each.status for each in found if each.check == "forward api"], ["problem"])
        self.patch(visit, "SECONDS", 0.2)
        port, _ = await self.target(Echo)
        forward = ForwardConfig.model_validate({"name": "api", "listen": port, "dial": "10.0.0.1:80"})
        self.one(await self.examined(server, forwards=(forward,)), "forward api", "ok", "does not reset")

    async def test_nothing_of_kubernetes(self) -> None:
        """Asked for it, the doctor says that there was nothing to examine."""
        server = await self.server()
        target, _ = await self.target(Echo)
        found = await self.examined(server, self.mapping(target), wish=Wish(kubernetes=True))
        self.one(found, "kubernetes", "note", "no certificate was examined")

    async def test_a_server(self) -> None:
        """Its port is taken by itself, by nobody, or by another program."""
        server = await self.server()
        config = ServerConfig(addr=server.address, token=TOKEN)
        (state,) = [path for path in self.folder.iterdir() if path.name.startswith("state")]
        found = await examine(reactor, File(server=config), str(state), Wish())
        self.one(found, "port", "ok", "a server with this very key answers")
        await self.stop(server)
        found = await examine(reactor, File(server=config), str(state), Wish())
        self.one(found, "port", "ok", "is free")
        other, made = await self.target(Echo)
        config = ServerConfig(addr=HostPort("127.0.0.1", other), token=TOKEN)
        found = await examine(reactor, File(server=config), str(state), Wish(timeout=1.0))
        self.one(found, "port", "problem", "another program")
        await self.until(lambda: made and all(each.ended for each in made), "the connections are gone")

    async def test_listeners(self) -> None:
        """Their ports: served while the server runs, free, taken by another program, or not served though it runs; and
        the dates of their certificates."""
        authority = Authority(self.folder)
        cert, key = authority.issue("web.example.com", last=1)
        web = {"plugin": "websocket", "listen": f"127.0.0.1:{free_port(self)}", "cert": str(cert), "key": str(key)}
        server = await self.server(listeners=[web])
        (state,) = [path for path in self.folder.iterdir() if path.name.startswith("state")]

        async def examined(**changed: Any) -> list[Finding]:
            values: dict[str, Any] = {"addr": server.address, "token": TOKEN, "listeners": [web | changed]}
            return await examine(reactor, File(server=ServerConfig(**values)), str(state), Wish())

        found = await examined()
        self.one(found, "listener websocket", "ok", "accepts connections")
        self.one(found, "listener websocket", "warning", "expires on", str(cert))
        nowhere = f"127.0.0.1:{free_port(self)}"
        self.one(await examined(listen=nowhere, cert=None, key=None), "listener websocket", "problem",
                 f"the server is running, but nothing accepts connections on {nowhere}", "log")  # fmt: skip
        await self.stop(server)
        self.one(await examined(cert=None, key=None), "listener websocket", "ok", "is free")
        other, _ = await self.target(Echo)
        found = await examined(listen=f"127.0.0.1:{other}", cert=None, key=None)
        self.one(found, "listener websocket", "problem", "another program has", "server.listeners")

    async def test_authenticators(self) -> None:
        """Who else lets clients in is named: it is not true then that nobody can connect. A file of theirs that a start
        would refuse is a problem."""
        state, more = self.folder / "nobody", self.folder / "more.json"
        authenticators = [{"plugin": "identities", "file": str(more)}]
        config = ServerConfig.model_validate({"addr": "127.0.0.1:0", "authenticators": authenticators})
        found = await examine(reactor, File(server=config), str(state), Wish())
        self.one(found, "clients", "problem", str(more), "no such file", "would not start with it")
        more.write_text('{"version": 1, "clients": []}')
        more.chmod(0o600)
        found = await examine(reactor, File(server=config), str(state), Wish())
        self.one(found, "clients", "ok", "0 in this file", "more are let in by identities")

    async def tls_target(self, *names: str, authority: Authority | None = None) -> int:
        """Listen with a certificate for these names; return the port."""
        cert, key = (authority or Authority(self.folder)).issue(*names)
        options = PrivateCertificate.loadPEM(key.read_bytes() + cert.read_bytes()).options()
        made: list[Any] = []

        class Service(Factory):
            noisy = False

            def buildProtocol(self, addr: object) -> Echo:
                made.append(Echo())
                return made[-1]

        port = await SSL4ServerEndpoint(reactor, 0, options, interface="127.0.0.1").listen(Service())
        self.addCleanup(port.stopListening)
        number: int = port.getHost().port
        return number
