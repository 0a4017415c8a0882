"""A server without sockets: time is a Clock, clients are transports in memory that prove themselves like real ones."""

from __future__ import annotations

from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from gotunnel.config.identityfile import FileIdentity
from gotunnel.config.model import LimitsConfig, ServerConfig, TlsServerConfig
from gotunnel.net.tls import ServerTls
from gotunnel.server.hub import Hub
from gotunnel.server.published import PAUSE, STRETCH
from gotunnel.server.reception import Reception
from gotunnel.server.session import ServerSession
from gotunnel.wire.handshake import NO_BINDING, ClientHandshake, Established, derive_key, leg_client_mac
from gotunnel.wire.messages import (
    Error,
    Leg,
    LegOk,
    MappingRequest,
    MappingResult,
    Message,
    NeedLegs,
    Register,
    RegisterResp,
    decode,
)
from tests.doubles import FakeLeg, FakePort, FakeRelay, MemoryTransport

__all__ = ["OTHER_TOKEN", "TOKEN", "ServerTestCase", "World", "identity"]

TOKEN = "7f3a9c51e8d24b60af17c3925be8d046"
OTHER_TOKEN = "c94e01b7d6f85a2338e07b1f6ad95c42"


def identity(name: str, *tokens: str, **more: Any) -> FileIdentity:
    """Return a client of the clients file with keys of these tokens."""
    return FileIdentity(name=name, keys=tuple(derive_key(token, name) for token in tokens), **more)


class World:
    """A server, and what one can do to it from outside."""

    def __init__(self, tls: ServerTls | None = None, limits: dict[str, int] | None = None, **config: Any) -> None:
        self.clock = Clock()
        self.relay = FakeRelay(self.clock)
        mode = TlsServerConfig(mode="off" if tls is None else "required")
        values: dict[str, Any] = {"token": TOKEN, "tls": mode, "limits": LimitsConfig(**(limits or {})), **config}
        self.config = ServerConfig(**values)
        self.wall = 1_800_000_000.0
        """What the clock on the wall says."""
        self.hub = Hub(self.config, self.clock, self.relay, tls, 17000, wall_clock=lambda: self.wall)
        self.reception = Reception(self.hub)
        self._ports = iter(range(40000, 60000))

    def connect(self, host: str = "192.0.2.1", holds: bool = False) -> MemoryTransport:
        """Somebody connects to the control port; one who is refused finds his connection closed."""
        transport = MemoryTransport(self.clock, host, next(self._ports), holds)
        door = self.reception.buildProtocol(transport.getPeer())
        if door is None:
            transport.aborted = transport.lost = True
            return transport
        transport.protocol = door
        door.makeConnection(transport)
        return transport

    def prove(
        self,
        transport: MemoryTransport,
        name: str = "edge",
        instance: bytes = b"one",
        token: str = TOKEN,
        caps: tuple[str, ...] = (),
        agent: str = "test",
    ) -> tuple[ClientHandshake, list[bytes]]:
        """Say hello and auth; return the handshake and what the server answered to auth."""
        handshake = ClientHandshake(name, token, instance, agent, caps)
        transport.say_json(handshake.hello())
        (challenge,) = transport.payloads()
        transport.say_json(handshake.receive_challenge(challenge, NO_BINDING))
        return handshake, transport.payloads()

    def login(
        self, name: str = "edge", instance: bytes = b"one", host: str = "192.0.2.1", token: str = TOKEN,
        caps: tuple[str, ...] = (),
    ) -> Client:  # fmt: skip
        """A client connects and is let in."""
        transport = self.connect(host)
        handshake, (auth_ok, *behind) = self.prove(transport, name, instance, token, caps)
        client = Client(self, transport, handshake.receive_auth_ok(auth_ok))
        client.behind = [decode(each) for each in behind]
        client.needed += [m for m in client.behind if isinstance(m, NeedLegs)]
        return client

    def clients_are(self, *clients: FileIdentity) -> None:
        """The clients file holds these now, and that takes effect."""
        self.hub.identities_changed(self.hub.credentials.table(clients))
        for _ in range(4):
            self.clock.advance(0)  # closing a port takes a turn

    def session(self, client: Client) -> ServerSession:
        """Return the server's side of a session that is current."""
        record = self.hub.sessions.by_sid(client.established.sid)
        assert record is not None
        return record.session


class Client:
    """A client that is let in."""

    def __init__(self, world: World, transport: MemoryTransport, established: Established) -> None:
        self.world = world
        self.transport = transport
        self.established = established
        self._ids = iter(range(1, 10000))
        self._seqs = iter(range(1, 10000))
        self.needed: list[NeedLegs] = []
        self.behind: list[Message] = []
        """What came right behind its auth_ok."""

    def say(self, *messages: Message) -> None:
        """Send messages."""
        self.transport.say(*messages)

    def heard(self) -> list[Message]:
        """Return what the server said, but for its requests of legs, which are kept in `needed`."""
        found = self.transport.heard()
        self.needed += [m for m in found if isinstance(m, NeedLegs)]
        return [m for m in found if not isinstance(m, NeedLegs)]

    def register(self, *mappings: MappingRequest, more: bool = False) -> tuple[MappingResult, ...]:
        """Register and return the results."""
        self.say(Register(next(self._ids), mappings, more))
        self.world.clock.advance(0)
        self.world.clock.advance(0)
        for _ in range(len(mappings) // STRETCH):
            self.world.clock.advance(PAUSE)
        answers = [m for m in self.heard() if isinstance(m, RegisterResp)]
        assert len(answers) == 1, answers
        return answers[0].results

    def publish(self, port: int, name: str = "web", **more: Any) -> FakePort:
        """Register one mapping, which must be granted, and return its port."""
        (result,) = self.register(MappingRequest(name, port, **more))
        assert result.status == "ok", result
        assert result.remote_port is not None
        return self.world.relay.port(result.remote_port)

    def leg_message(self, seq: int | None = None, cb: bytes = NO_BINDING) -> Leg:
        """Return the first message of a leg of this session."""
        number = next(self._seqs) if seq is None else seq
        mac = leg_client_mac(self.established.ks, self.established.sid, number, "reverse", cb)
        return Leg(self.established.sid, number, "reverse", mac)

    def offer_leg(self, seq: int | None = None, host: str = "192.0.2.1") -> MemoryTransport:
        """Bring a leg; the answer is still to be read."""
        transport = self.world.connect(host)
        transport.say(self.leg_message(seq))
        return transport

    def bring_leg(self) -> FakeLeg:
        """Bring a leg, which must be taken."""
        (answer,) = self.offer_leg().heard()
        assert isinstance(answer, LegOk), answer
        return self.world.relay.legs[-1]


class ServerTestCase(SynchronousTestCase):
    """A test of a World."""

    def world(self, **config: Any) -> World:
        """Make one."""
        return World(**config)

    def assertError(self, transport: MemoryTransport, *codes: str) -> None:
        """The last words were such an error, and then the connection was closed."""
        *_, last = transport.heard()
        self.assertIsInstance(last, Error)
        self.assertIn(last.code, codes, last)
        self.assertTrue(transport.gone)
