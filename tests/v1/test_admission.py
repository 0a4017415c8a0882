"""A Go client on our server: who gets in, which ports it may have, and how it is told that it may not."""

from __future__ import annotations

import hmac
import socket
from types import SimpleNamespace

from pydantic import SecretBytes, SecretStr
from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.error import ConnectError

from gotunnel.config.identityfile import FileIdentity
from gotunnel.config.model import (
    AdminConfig,
    LimitsConfig,
    PenaltiesConfig,
    ServerConfig,
    TlsServerConfig,
    V1ServerConfig,
)
from gotunnel.core.penalties import Offence, Penalties
from gotunnel.errors import ConfigError
from gotunnel.net.quiet import OneProtocol
from gotunnel.net.tls import client_creator
from gotunnel.server import greeting
from gotunnel.server.credentials import Credentials
from gotunnel.server.greeting import V1_PAUSE
from gotunnel.server.v1 import peers as v1_peers
from gotunnel.server.v1 import session as v1_session
from gotunnel.wire.handshake import derive_key
from tests.integration.base import TOKEN, reactor
from tests.v1.peers import V1_TOKEN, GoClient, Wire, framed
from tests.v1.stage import OK, ServerTestCase


class RefusalTests(ServerTestCase):
    """Every refusal is register_resp/fail with a reason, then a close."""

    async def test_off(self) -> None:
        """Switched off, which is the default, both first frames are refused, whatever token they carry."""
        server = await self.server()
        for token in (V1_TOKEN, TOKEN):
            self.assertIn("not enabled", await self.refusal(server, token=token))
        leg = await GoClient(self, server.address.port, 10022).leg()
        self.assertIn("not enabled", await self.refused(leg))
        await self.said("which is off: refused (set server.v1.enabled: true to allow it)")

    async def test_token(self) -> None:
        """A wrong token, none, one of another length and that of version 2 are refused in the Go server's words."""
        server = await self.v1_server()
        for token in (V1_TOKEN[:-1] + "0", "", "é" * 40, V1_TOKEN + "0", TOKEN):
            self.assertEqual(await self.refusal(server, token=token), "authentication failed")
        bare = await self.wire(server.address.port)
        bare.say(type="register", local_port=8080, remote_port=self.free_port())
        self.assertEqual(await self.refused(bare), "authentication failed")

    async def test_constant_time(self) -> None:
        """Tokens are compared as digests of one length, in constant time, whatever was sent, and by nothing else."""
        seen: list[tuple[int, int]] = []
        real = hmac.compare_digest

        def compare(one: bytes, other: bytes) -> bool:
            seen.append((len(one), len(other)))
            return real(one, other)

        server = await self.v1_server()
        self.patch(v1_peers, "hmac", SimpleNamespace(compare_digest=compare))
        for token in ("", "x", V1_TOKEN[:-1], V1_TOKEN * 8):
            await self.refusal(server, token=token)
        self.assertEqual(seen, [(32, 32)] * 4)

    async def test_penalty(self) -> None:
        """Guesses cost what wrong logins of version 2 cost: an address that has spoilt it is refused, right token or
        not, and one with the right token is let in before that."""
        server = await self.v1_server(penalties=PenaltiesConfig(exempt=()))
        await self.go_client(server)
        eager = [await self.wire(server.address.port) for _ in range(6)]
        reasons = []
        for wire in eager:
            wire.say(type="register", local_port=1, remote_port=self.free_port(), token=TOKEN, name="guess")
            reasons.append(await self.refused(wire))
        self.assertEqual(reasons[0], "authentication failed")
        self.assertIn("too many failed logins", reasons[-1])
        try:
            barred = await self.wire(server.address.port)
        except ConnectError:
            return  # the reset was faster than the connect
        await self.until(lambda: barred.ended, "the refusal at the door")

    async def test_forgotten_client(self) -> None:
        """A Go client with a wrong token, which tries again every 3 s for ever, hears so late that its penalty passes
        meanwhile: with the pause, a round takes as long as a failed login costs."""
        rounds = V1_PAUSE + 3.0
        penalties = Penalties(minimum=15.0)
        for number in range(1000):
            penalties.charge("192.0.2.1", Offence.AUTH_FAILURE, number * rounds)
        self.assertFalse(penalties.refuses("192.0.2.1", 1000 * rounds))

    async def test_pause(self) -> None:
        """The penalty is charged at once, and the answer comes after the pause; who leaves meanwhile leaves nothing."""
        self.patch(greeting, "V1_PAUSE", 0.5)
        server = await self.v1_server(penalties=PenaltiesConfig(exempt=()))
        begun = reactor.seconds()
        eager = [await self.wire(server.address.port) for _ in range(6)]
        for wire in eager:
            wire.say(type="register", local_port=1, remote_port=self.free_port(), token=TOKEN, name="guess")
        await self.until(lambda: eager[-1].heard, "the refusal of the last, for the others")
        self.assertIn("too many failed logins", eager[-1].heard[0]["reason"])
        self.assertLess(reactor.seconds() - begun, 0.5)
        self.assertEqual(eager[0].heard, [])
        eager[1].transport.abortConnection()
        self.assertEqual(await self.refused(eager[0]), "authentication failed")

    async def test_neighbour_of_a_guesser(self) -> None:
        """A Go client whose address somebody else has spoilt keeps its visitors: legs that were asked for come in, and
        nothing else does."""
        server = await self.v1_server(penalties=PenaltiesConfig(exempt=()))
        target, _ = await self.target()
        client = await self.go_client(server, target)
        eager = [await self.wire(server.address.port) for _ in range(6)]
        for wire in eager:
            wire.say(type="register", local_port=1, remote_port=self.free_port(), token=TOKEN, name="guess")
            await self.refused(wire)
        await self.echoes(client.remote)
        client.auto = False
        visitor = await self.connect(client.remote)
        visitor.transport.write(b"second")
        await self.asked(client, 2)
        for fields in ({"token": TOKEN}, {"type": "register"}, {"name": "somebody"}):
            self.assertTrue(await self.refused(await client.leg(**fields)))
        self.assertEqual((await client.leg()).heard[0]["status"], "ok")

    async def test_token_of_clients_file(self) -> None:
        """An identity of the clients file, of which only a key is kept, may not have the token of version 1."""
        section = V1ServerConfig(enabled=True, token=SecretStr(V1_TOKEN))
        credentials = Credentials(ServerConfig(token=SecretStr(TOKEN), v1=section), frozenset())
        for token, fits in ((V1_TOKEN, False), (TOKEN, True)):
            identity = FileIdentity(name="worker", keys=(SecretBytes(derive_key(token, "worker")),))
            if fits:
                self.assertEqual(len(credentials.table([identity])), 1)
            else:
                refused = self.assertRaises(ConfigError, credentials.table, [identity])
                self.assertIn("worker is that of server.v1", str(refused))

    async def test_token_of_leg(self) -> None:
        """A leg proves the token too."""
        client = await self.go_client(await self.v1_server(), auto=False)
        await self.connect(client.remote)
        await self.asked(client)
        self.assertEqual(await self.refused(await client.leg(token=TOKEN)), "authentication failed")

    async def test_ports(self) -> None:
        """Only what allow_ports of version 1 names, and never the server's own port, whatever that says."""
        free = self.free_port()
        server = await self.v1_server(v1={"allow_ports": (f"{free}-{free}",)})
        for port in (free + 1, 22, 1):
            self.assertIn("acl_denied", await self.refusal(server, remote=port))
        self.assertIn("bad_request", await self.refusal(server, remote_port=0))
        client = GoClient(self, server.address.port, free)
        self.assertEqual(await client.register(), OK)
        asking = self.free_port()
        wide = await self.v1_server(v1={"allow_ports": ("1-65535",)}, admin=AdminConfig(addr=asking))
        for own in (wide.address.port, asking):
            self.assertIn("reserved", await self.refusal(wide, remote=own))

    async def test_occupied(self) -> None:
        """ok is said only once somebody listens: a port that another program has is refused."""
        server = await self.v1_server()
        with socket.create_server(("127.0.0.1", 0)) as other:
            self.assertIn("port_in_use", await self.refusal(server, remote=other.getsockname()[1]))
        client = await self.go_client(server, auto=False)
        await self.connect(client.remote)  # no wait: it listens since before ok

    async def test_told(self) -> None:
        """The log says each code once, and what is to be done about it; the Go client hears its code, too."""
        free = self.free_port()
        server = await self.v1_server(v1={"allow_ports": (f"{free}-{free + 1}",)})
        with socket.create_server(("127.0.0.1", free)):
            self.assertTrue((await self.refusal(server, remote=free)).startswith("port_in_use: "))
        self.assertTrue((await self.refusal(server, remote=free + 2)).startswith("acl_denied: port "))
        await self.said("was refused: port_in_use: 127.0.0.1:")
        await self.said("was refused: acl_denied: port ")
        await self.said("or end what has this one")
        await self.said("add the port to server.v1.allow_ports")
        self.assertFalse([line for line in self.lines() if "one release" in line])

    async def test_protocol(self) -> None:
        """Nothing but TCP."""
        self.assertIn("udp", await self.refusal(await self.v1_server(), protocol="udp"))

    async def test_broken_fields(self) -> None:
        """A field of a wrong type or beyond its range, a long name and one that could forge a log line."""
        server = await self.v1_server()
        for fields in (
            {"remote_port": True}, {"remote_port": -1}, {"remote_port": 65536}, {"remote_port": "22"}, {"token": 7},
            {"name": "x" * 65}, {"name": "x\r\n[info] all is well\x1b[2J"}, {"local_port": None},
        ):  # fmt: skip
            reason = await self.refusal(server, **fields)
            self.assertIn(next(iter(fields)), reason)
        self.assertFalse(any("\n" in line or "\x1b" in line for line in self.lines()))

    async def test_ahead(self) -> None:
        """Bytes ahead of the answer are a breach, said in the same form, also while the server decides."""
        server = await self.v1_server()
        eager = await self.wire(server.address.port)
        register = {
            "type": "register", "local_port": 1, "remote_port": self.free_port(), "token": V1_TOKEN, "name": "go",
        }  # fmt: skip
        eager.transport.write(framed(**register) + framed(type="ping", time=1))
        self.assertIn("ahead", await self.refused(eager))

    async def test_tls_required(self) -> None:
        """Version 1 alone is let in outside TLS where TLS is required, and it is not known inside."""
        server = await self.v1_server(tls=TlsServerConfig(mode="required"))
        await self.go_client(server)
        plain = await self.wire(server.address.port)
        plain.say(type="hello", v=2, min_v=2, client="edge", nonce="A" * 43, caps=[])
        await self.until(lambda: plain.heard, "an answer")
        self.assertEqual(plain.heard[0]["code"], "tls_required")
        inside = Wire()
        endpoint = HostnameEndpoint(reactor, "127.0.0.1", server.address.port)
        await wrapClientTLS(client_creator(None, "x"), endpoint).connect(OneProtocol(lambda: inside))
        inside.say(type="register", local_port=1, remote_port=self.free_port(), token=V1_TOKEN, name="go")
        self.assertIn("TLS", await self.refused(inside))

    async def test_limits(self) -> None:
        """Mappings of all Go clients together, and visitors of one, are limited as those of a client are."""
        server = await self.v1_server(limits=LimitsConfig(mappings=2, pending=1))
        first = await self.go_client(server, auto=False)
        await self.go_client(server, name="another")
        self.assertIn("limit", await self.refusal(server))
        await self.connect(first.remote)
        await self.asked(first)
        beyond = await self.connect(first.remote)
        await self.until(lambda: beyond.ended, "the end of the visitor beyond the limit")
        self.assertTrue(beyond.was_reset)

    async def test_deadline(self) -> None:
        """Half a frame of version 1 is no way past the deadline."""
        server = await self.v1_server(handshake_timeout=0.2)
        slow = await self.wire(server.address.port)
        slow.transport.write(framed(type="register", local_port=1)[:10])
        await self.until(lambda: slow.ended, "the deadline")
        self.assertEqual(slow.heard, [])


class ConfessionTests(ServerTestCase):
    """What crosses in clear is said."""

    async def test_said_once_per_session(self) -> None:
        """Once for each session, and not for each leg; the token itself is nowhere."""
        server = await self.v1_server()
        target, _ = await self.target()
        client = await self.go_client(server, target)
        for _ in range(3):
            await self.echoes(client.remote)
        words = "cross the network in clear"
        self.assertEqual(sum(words in line for line in self.lines()), 1)
        await self.go_client(server, target)
        self.assertEqual(sum(words in line for line in self.lines()), 2)
        self.assertFalse(any(V1_TOKEN in line for line in self.lines()))
        self.assertFalse(any(V1_TOKEN in str(event) for event in self.log))


class ConversationTests(ServerTestCase):
    """What a Go client that is in may say."""

    async def test_silence(self) -> None:
        """After 30 s without a byte it is dropped, and its port waits for it to come back."""
        self.assertEqual(v1_session.SILENCE, 30.0)
        self.patch(v1_session, "SILENCE", 0.3)
        server = await self.v1_server()
        client = await self.go_client(server)
        await self.until(lambda: client.control.ended, "the drop")
        await self.said("nothing was received for 0.3 s")
        again = GoClient(self, client.server, client.remote)
        self.assertEqual(await again.register(), OK)

    async def test_pings_keep_it(self) -> None:
        """Pings alone keep a session."""
        self.patch(v1_session, "SILENCE", 0.4)
        client = await self.go_client(await self.v1_server())
        for number in range(12):
            client.control.say(type="ping", time=number)
            await self.pause(0.1)
        self.assertIsNone(client.control.ended)

    async def test_unwelcome(self) -> None:
        """What a client does not say, what nobody says, and frames that are too long end the session with a reason."""
        server = await self.v1_server()
        for message in (
            {"type": "pong", "time": 1}, {"type": "register_resp", "status": "ok"},
            {"type": "open_data_channel", "local_port": 1}, {"type": "surprise"}, {"type": "ping", "time": -1},
            {"type": "register", "local_port": 1, "remote_port": 2000, "token": V1_TOKEN},
        ):  # fmt: skip
            client = await self.go_client(server)
            client.control.say(**message)
            await self.until(lambda c=client.control: c.ended, f"the end after {message['type']}")
            self.assertEqual(client.control.heard[1]["status"], "fail")
        client = await self.go_client(server)
        client.control.transport.write((65537).to_bytes(4, "big"))
        await self.until(lambda: client.control.ended, "the end after a long frame")

    async def test_flap(self) -> None:
        """offline_port closes the port, online_port opens it again, ten times, with visitors served each time."""
        server = await self.v1_server()
        target, _ = await self.target()
        client = await self.go_client(server, target)
        for _ in range(10):
            client.control.say(type="offline_port", port=client.remote)
            await self.until(lambda: self.nobody_listens(client.remote), "the port is closed")
            client.control.say(type="online_port", port=client.remote)
            await self.until(lambda: not self.nobody_listens(client.remote), "the port is open")
            await self.echoes(client.remote)

    async def test_offline_turns_away(self) -> None:
        """Who waits for a leg when the target goes is reset at once."""
        client = await self.go_client(await self.v1_server(), auto=False)
        visitor = await self.connect(client.remote)
        await self.asked(client)
        client.control.say(type="offline_port", port=client.remote)
        await self.until(lambda: visitor.was_reset, "the reset")
        await self.said("ended: mapping_down")

    async def test_port_of_another(self) -> None:
        """A client that takes another one's port offline, or opens one that it never registered, is thrown out."""
        server = await self.v1_server()
        target, _ = await self.target()
        victim = await self.go_client(server, target)
        for kind, port in (("offline_port", victim.remote), ("online_port", self.free_port())):
            client = await self.go_client(server)
            client.control.say(type=kind, port=port)
            await self.until(lambda c=client.control: c.ended, "the end")
            self.assertEqual(client.control.heard[1]["status"], "fail")
            self.assertTrue(kind == "offline_port" or self.nobody_listens(port))
        await self.echoes(victim.remote)

    async def test_pending_changes(self) -> None:
        """A flood of changes of state is cut, and leaves nothing behind."""
        client = await self.go_client(await self.v1_server())
        flood = b"".join(
            framed(type=kind, port=client.remote) for _ in range(200) for kind in ("offline_port", "online_port")
        )
        client.control.transport.write(flood)
        await self.until(lambda: client.control.ended, "the end")

    async def test_flood(self) -> None:
        """One that sends more messages than `limits.messages` allows is cut, with a reason."""
        server = await self.v1_server(limits={"messages": 10})
        client = await self.go_client(server)
        client.control.transport.write(framed(type="ping", time=1) * 60)
        await self.until(lambda: client.control.ended, "the end")
        self.assertIn("too many messages", client.control.heard[-1]["reason"])
        self.assertEqual(len(client.control.of("pong")), 50)

    async def test_unread_answers(self) -> None:
        """A client that pings and never reads is not read from any more, instead of filling our memory."""
        server = await self.v1_server(limits={"messages": 100_000})
        client = await self.go_client(server)
        client.control.transport.pauseProducing()
        (session,) = server.hub.v1._present  # type: ignore[union-attr]
        ping = framed(type="ping", time=2**63) * 5000
        for _ in range(60):
            client.control.transport.write(ping)
        transport = session._control.transport  # type: ignore[union-attr]
        await self.until(lambda: transport.producerPaused, "back-pressure")
        await self.pause(0.2)
        self.assertLess(len(transport.dataBuffer) + transport._tempDataLen, 1 << 20)
        client.control.transport.abortConnection()
