"""A client without sockets: time is a Clock, the test plays the server, which knows the token unless told not to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from gotunnel.address import HostPort
from gotunnel.client.link import Link
from gotunnel.client.links import Links
from gotunnel.config.model import ClientConfig, MappingConfig
from gotunnel.net.dialer import Unreachable
from gotunnel.net.greeting import Greeted, Greeting
from gotunnel.wire.handshake import (
    NO_BINDING,
    ServerHandshake,
    derive_key,
    leg_server_mac,
    open_mac,
)
from gotunnel.wire.legbodies import OpenBody
from gotunnel.wire.messages import (
    Leg,
    LegOk,
    Limits,
    MappingResult,
    Message,
    NeedLegs,
    Register,
    RegisterResp,
)
from tests.doubles import FakeLeg, FakeRelay, MemoryTransport

__all__ = ["TOKEN", "ClientTestCase", "FakeServer", "World", "mapping"]

TOKEN = "7f3a9c51e8d24b60af17c3925be8d046"


def mapping(name: str = "web", local: int = 8000, remote: int = 8080, encrypt: bool = True) -> MappingConfig:
    """Return a mapping's configuration."""
    return MappingConfig.model_validate({"name": name, "local": local, "remote": remote, "encrypt": encrypt})


class FakePath:
    """The way to the server: each attempt is kept, and connects at once unless `fails` or `hangs` is set."""

    encrypted = True

    def __init__(self, clock: Clock) -> None:
        self.address = self.server = HostPort("tunnel.example.com", 17000)
        self.label = str(self.address)
        self.clock = clock
        self.attempts: list[tuple[float, Greeting, MemoryTransport, bool]] = []
        self.fails: str | None = None
        self.hangs = False
        self.cancels_as_failure = False
        self.cancelled = 0

    async def greet_leg(self, greeting: Greeting, timeout: float, *, plain: bool, sni: str | None) -> Greeted:
        """See ServerPath.greet_leg."""
        return await self.greet(greeting, timeout, plain=plain)

    async def greet(self, greeting: Greeting, timeout: float, *, plain: bool = False) -> Greeted:
        """See ServerPath."""
        transport = MemoryTransport(self.clock, "192.0.2.100", 17000)
        self.attempts.append((self.clock.seconds(), greeting, transport, plain))
        if self.fails is not None:
            raise Unreachable(self.fails)
        if self.hangs:
            try:
                await Deferred()
            except CancelledError:
                self.cancelled += 1
                if self.cancels_as_failure:
                    raise Unreachable("the name does not resolve") from None
                raise
        transport.protocol = greeting
        greeting.makeConnection(transport)
        return await greeting.done


class FakeServer:
    """The server's end of one control connection."""

    def __init__(self, world: World, transport: MemoryTransport) -> None:
        self.world = world
        self.transport = transport
        self.handshake = ServerHandshake(lambda name: (derive_key(world.server_token, name),))
        self.sid = self.handshake.sid
        self.ks = b""

    def challenge(self) -> FakeServer:
        """Answer hello."""
        (hello,) = self.transport.payloads()
        self.transport.say_json(self.handshake.receive_hello(hello))
        return self

    def accept(
        self, legs: int = 100, heartbeat: float = 10.0, timeout: float = 30.0, behind: bytes = b""
    ) -> FakeServer:
        """Answer auth with auth_ok."""
        (auth,) = self.transport.payloads()
        self.handshake.receive_auth(auth, NO_BINDING)
        self.ks = self.handshake.ks
        payload = self.handshake.established(Limits(128, legs, 100), heartbeat, timeout)
        self.transport.say_bytes(len(payload).to_bytes(4, "big") + payload + behind)
        return self

    def heard(self) -> list[Message]:
        """Return what the client said."""
        return self.transport.heard()

    def say(self, *messages: Message) -> None:
        """Send messages."""
        self.transport.say(*messages)

    def grant(self, code: str | None = None) -> list[Register]:
        """Answer all registers: ok for all, or this code for all."""
        registers = [m for m in self.heard() if isinstance(m, Register)]
        for register in registers:
            results = tuple(
                MappingResult(m.name, "ok", m.remote_port or 40000)
                if code is None
                else MappingResult(m.name, "fail", None, code, "because")
                for m in register.mappings
            )
            self.say(RegisterResp(register.id, "ok", results))
        return registers

    def legs(self, count: int = 1, plain: bool = False) -> list[FakeLeg]:
        """Ask for legs and take them."""
        path, relay = self.world.path, self.world.relay
        before, had = len(path.attempts), len(relay.legs)
        self.say(NeedLegs(plain, count))
        for _, _, transport, _ in path.attempts[before:]:
            self.take(transport)
        return relay.legs[had:]

    def take(self, transport: MemoryTransport) -> None:
        """Answer a leg with the proof."""
        (leg,) = transport.heard()
        assert isinstance(leg, Leg), leg
        transport.say(LegOk(leg_server_mac(self.ks, leg.sid, leg.seq, leg.purpose, NO_BINDING)))

    def open_body(self, leg: FakeLeg, name: str = "web", **changes: Any) -> bytes:
        """Return the OPEN of a visitor, with its proof if the leg is plain."""
        values: dict[str, Any] = {"conn": "c-1", "src": "198.51.100.7:5000", "mapping": name}
        if leg.plain:
            n = leg.opens + 1
            mac = open_mac(
                self.ks, self.sid, leg.tag, "reverse", n, "mapping", name, values["conn"], values["src"]
            )
            values |= {"n": n, "mac": mac}
        return OpenBody(**{**values, **changes}).encode()


class World:
    """A client with its link."""

    def __init__(self, *mappings: MappingConfig, **config: Any) -> None:
        self.clock = Clock()
        self.relay = FakeRelay(self.clock)
        self.path = FakePath(self.clock)
        self.server_token = TOKEN
        values: dict[str, Any] = {
            "name": "edge",
            "token": TOKEN,
            "server_addr": "tunnel.example.com:17000",
            "mappings": mappings or (mapping(),),
            **config,
        }
        self.links = self.make(ClientConfig(**values))

    def make(self, config: ClientConfig) -> Links:
        """Make the client."""
        return Links(config, self.clock, self.relay, lambda *_: self.path, b"one")  # type: ignore[arg-type, return-value]

    @property
    def link(self) -> Link:
        """The link to the only server."""
        (link,) = self.links.links
        return link

    def server(self) -> FakeServer:
        """Return the server's end of the last attempt."""
        return FakeServer(self, self.path.attempts[-1][2])

    def connected(self, **answers: Any) -> FakeServer:
        """Start the client, if need be, and let it in."""
        if not self.path.attempts:
            self.links.start()
        return self.server().challenge().accept(**answers)

    def stop(self, seconds: float = 10.0) -> list[object]:
        """Begin to stop; the list tells when it is over."""
        done: list[object] = []
        self.links.drain(seconds).addCallback(done.append)
        return done

    def run_until(self, condition: Callable[[], bool], seconds: float = 100.0, step: float = 0.05) -> None:
        """Let time pass until something holds."""
        end = self.clock.seconds() + seconds
        while not condition():
            assert self.clock.seconds() < end, "it did not come"
            self.clock.advance(step)


class ClientTestCase(SynchronousTestCase):
    """A test of a World."""
