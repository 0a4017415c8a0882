"""Random walks of a server whose identities change at any moment: whatever the order, nobody keeps what he may not
have."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from gotunnel.config.identityfile import FileIdentity
from gotunnel.errors import PortUnavailable
from gotunnel.wire.handshake import derive_key
from gotunnel.wire.messages import Drain, MappingRequest, MappingState, Register, Unregister
from tests.doubles import FakeLeg
from tests.server.world import OTHER_TOKEN, TOKEN, Client, ServerTestCase, World, identity

SHARED = "5d0e9b7c13f84a62b5c8e1f0972d3a64"
TOKENS = (TOKEN, OTHER_TOKEN, SHARED)
NAMES = ("edge", "office", "guest")
PORTS = (80, 8080, 8081, 8082, 17000)
KINDS = ("gone", "revoked", "disabled", "soon", "narrow", "here", "wide", "wide", "few", "all", "all")
WALKS = 120
STEPS = 60


class Walk:
    """One walk. Each step is drawn; what could not be done is not done."""

    def __init__(self, case: ServerTestCase, seed: int) -> None:
        self.draw = random.Random(seed)
        self.it: World = case.world(token=SHARED, leg_wait=5.0)
        self.case = case
        self.clients: list[Client] = []
        self.file: dict[str, FileIdentity] = {}
        self.notes: list[str] = []

    # Steps.

    def change(self) -> None:
        """The file says something else of one name."""
        name = self.draw.choice(NAMES)
        kind = self.draw.choice(KINDS)
        more: dict[str, Any] = {
            "disabled": {"disabled": True},
            "soon": {"expires": self.it.wall + self.draw.randint(0, 3)},
            "narrow": {"allow_ports": [self.draw.choice(PORTS)]},
            "here": {"allow_bind": ["127.0.0.1"]},
            "wide": {"allow_ports": ["1-65535"]},
            "few": {"limits": {"mappings": 1, "legs": 1, "visitors": 1, "pending": 1}},
        }.get(kind, {})
        self.file.pop(name, None)
        if kind != "gone":
            tokens = () if kind == "revoked" else self.draw.sample((TOKEN, OTHER_TOKEN), self.draw.randint(1, 2))
            self.file[name] = identity(name, *tokens, **more)
        self.notes.append(f"{name} {kind}")
        self.it.hub.identities_changed(self.it.hub.credentials.table(self.file.values()))

    def login(self) -> None:
        """Somebody connects, with whatever token, in this process or another."""
        name, token = self.draw.choice(NAMES), self.draw.choice(TOKENS)
        if self.draw.random() < 0.6:
            keys = self.it.hub.keys_for(name)
            token = next((each for each in TOKENS if derive_key(each, name) in keys), token)
        transport = self.it.connect(f"192.0.2.{self.draw.randint(1, 250)}", holds=self.draw.random() < 0.2)
        handshake, answers = self.it.prove(transport, name, self.draw.choice((b"one", b"two")), token)
        if answers and b'"auth_ok"' in answers[0]:
            self.clients.append(Client(self.it, transport, handshake.receive_auth_ok(answers[0])))
            self.notes.append(f"{name} in")

    def register(self) -> None:
        """A client asks for ports."""
        wanted = self.draw.sample(PORTS, self.draw.randint(0, 3))
        requests = tuple(MappingRequest(f"m{port}", port, self.draw.choice((None, "127.0.0.1"))) for port in wanted)
        self.say(Register(self.draw.randint(1, 999), requests, self.draw.random() < 0.5))

    def state(self) -> None:
        """A target goes or comes."""
        self.say(MappingState(f"m{self.draw.choice(PORTS)}", self.draw.choice(("up", "down"))))

    def unregister(self) -> None:
        """A client gives a port up."""
        self.say(Unregister(self.draw.randint(1, 999), (f"m{self.draw.choice(PORTS)}",)))

    def drain(self) -> None:
        """A client is about to stop."""
        self.say(Drain(1000))

    def lose(self) -> None:
        """A connection breaks."""
        here = [client for client in self.clients if not client.transport.gone]
        if here:
            self.draw.choice(here).transport.lose()

    def leg(self) -> None:
        """A client brings a leg, asked for or not."""
        here = [client for client in self.clients if not client.transport.gone]
        if here:
            self.draw.choice(here).offer_leg(host=f"192.0.2.{self.draw.randint(1, 250)}")

    def visit(self) -> None:
        """Somebody comes to a public port."""
        if self.it.relay.ports:
            port = self.draw.choice(self.it.relay.ports)
            if port.open:
                port.visit()

    def finish(self) -> None:
        """A visitor is over."""
        busy = [leg for leg in self.it.relay.legs if leg.state == "busy"]
        if busy:
            self.draw.choice(busy).finish()

    def wait(self) -> None:
        """Time passes on both clocks; sometimes more than the time of grace."""
        seconds = self.draw.choice((0.0, 0.0, 0.0, 0.1, 0.1, 2.1, 2.1, 31.0))
        self.it.wall += seconds
        self.it.clock.advance(seconds)

    def say(self, message: Any) -> None:
        """A client that is there says something."""
        here = [client for client in self.clients if not client.transport.gone]
        if here:
            self.draw.choice(here).transport.say(message)

    # What must hold.

    def settle(self) -> None:
        """The file is looked at, and ports have time to close."""
        self.it.hub.expire()
        for _ in range(12):
            self.it.clock.advance(0)

    def check(self) -> None:
        """Nobody has what he may not have, and all is accounted for."""
        hub, case, notes = self.it.hub, self.case, self.notes[-12:]
        for session in hub._present:
            left = not session.over or bool(session.streams)
            case.assertFalse(left and hub.shut_out(session.peer.name, session.proven), notes)
            for leg, visitor in session.streams.items():
                assert isinstance(leg, FakeLeg)
                case.assertTrue(visitor.allowed() or leg.resets, notes)
        held = set()
        for peer in hub.peers.values():
            case.assertLessEqual(len(peer.mappings), peer.rights.max_mappings, notes)
            for mapping in peer.mappings.values():
                held.add(mapping.port)
                try:
                    peer.rights.check_port(mapping.bind, mapping.port)
                except PortUnavailable as denied:
                    case.fail(f"{peer.name} has {mapping.port}: {denied}; {notes}")
        case.assertLessEqual({port.port for port in self.it.relay.ports}, held, notes)
        for port in PORTS:
            case.assertEqual(hub.ports.owner_of("0.0.0.0", port) is not None, port in held, (port, notes))
        streaming = sum(len(session.streams) for session in hub._present)
        waiting = sum(peer.pending for peer in hub.peers.values())
        case.assertEqual(hub.live, streaming + waiting, notes)


MOVES: tuple[tuple[Callable[[Walk], None], int], ...] = (
    (Walk.change, 3), (Walk.login, 5), (Walk.register, 6), (Walk.state, 2), (Walk.unregister, 1), (Walk.drain, 1),
    (Walk.lose, 1), (Walk.leg, 6), (Walk.visit, 8), (Walk.finish, 2), (Walk.wait, 3),
)  # fmt: skip


class WalkTests(ServerTestCase):
    """Many of them, each from a seed."""

    def test_walks(self) -> None:
        """After each step and a breath nothing is held that may not be; nothing fails. The walks lead somewhere."""
        moves, weights = zip(*MOVES, strict=True)
        seen: dict[str, int] = dict.fromkeys(("sessions", "cut", "served", "ports"), 0)
        for seed in range(WALKS):
            walk = Walk(self, seed)
            walk.it.hub.stranger_lines.allow = lambda *_: (False, 0)  # type: ignore[method-assign]
            for _ in range(STEPS):
                for _ in range(walk.draw.randint(1, 3)):  # some at once
                    walk.draw.choices(moves, weights)[0](walk)
                walk.settle()
                walk.check()
            seen["sessions"] += len(walk.clients)
            seen["ports"] += walk.it.relay.listens
            seen["served"] += sum(leg.opens for leg in walk.it.relay.legs)
            seen["cut"] += sum(bool(leg.resets) or leg.closed for leg in walk.it.relay.legs)
            self.assertEqual(self.flushLoggedErrors(), [], f"seed {seed}")
        self.assertTrue(all(count > WALKS for count in seen.values()), seen)
