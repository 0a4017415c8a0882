"""Any bytes from a stranger, any messages from an authenticated peer, in any cut and at any time: each end answers,
closes or goes on, and nothing raises. Both roles, without sockets."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.testing import EventLoggingObserver
from twisted.logger import formatEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from gotunnel.wire.frames import encode_frame
from gotunnel.wire.handshake import ClientHandshake
from gotunnel.wire.messages import (
    Drain,
    Error,
    MappingRequest,
    MappingState,
    Message,
    NeedLegs,
    Nodes,
    Register,
    RegisterResp,
    Unregister,
    decode,
    encode,
)
from tests.client import world as client_world
from tests.doubles import MemoryTransport
from tests.server.world import TOKEN, Client, World
from tests.wire.strategies import ANY_MESSAGE, JSON, OPEN, PROPERTY

HELLO = ClientHandshake("edge", TOKEN, b"one", "test").hello()
NAMES = st.sampled_from(["web", "ssh", "a", "%", "m" * 128])
PORTS = st.sampled_from([0, 1, 22, 1023, 1024, 8080, 17000, 65535])
BINDS = st.none() | st.sampled_from(["127.0.0.1", "0.0.0.0", "::", "::1", "localhost", "x", "1.2", "fe80::1%eth0"])
PROTOCOLS = st.sampled_from(["tcp", "tcp", "tcp", "udp", "~"])
ASKED = st.builds(MappingRequest, NAMES, PORTS, BINDS, PROTOCOLS, st.booleans())


def mostly(common: st.SearchStrategy[Any], rare: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Draw from `common` nine times out of ten: what ends a session at once must not be all that is tried."""
    return st.integers(0, 9).flatmap(lambda number: rare if number == 9 else common)


SAID_BY_CLIENT = mostly(
    st.builds(Register, st.integers(0, 3), st.lists(ASKED, max_size=4).map(tuple), st.booleans())
    | st.builds(Unregister, st.integers(0, 3), st.lists(NAMES, max_size=3).map(tuple))
    | st.builds(MappingState, NAMES, st.sampled_from(["up", "down"]), st.text(max_size=10))
    | st.floats(0, 40),
    ANY_MESSAGE | st.builds(Drain, st.integers(0, 1000)),
)
"""What a client says, time that passes, and now and then what it must not say."""
SAID_BY_SERVER = mostly(
    st.builds(NeedLegs, st.booleans(), st.integers(1, 4096))
    | st.builds(Drain, st.integers(0, 1000))
    | st.floats(0, 40),
    ANY_MESSAGE | st.builds(RegisterResp, st.integers(0, 3), st.sampled_from(["ok", "fail"])),
)
PIECES = (
    st.binary(max_size=12)
    | JSON.map(lambda value: encode_frame(json.dumps({"type": value}).encode("utf-8", "replace")[:4096]))
    | JSON.map(lambda value: encode_frame(json.dumps(value).encode("utf-8", "replace")[:4096] or b"0"))
    | ANY_MESSAGE.map(lambda message: encode_frame(encode(message)[:4096]))
    | st.just(encode_frame(HELLO))
    | st.integers(0, 2**32 - 1).map(lambda length: length.to_bytes(4, "big"))
)
BODIES = JSON.map(lambda value: json.dumps(value).encode("utf-8", "replace")) | OPEN.map(
    lambda body: replace(body, mapping="ghost", dial=None, measure=None).encode()
)
STEPS = st.sampled_from(["login", "lose", "drain", "leg", "wait"])
STREAMS = st.lists(PIECES, max_size=5).map(b"".join)


class AnyWordsTestCase(SynchronousTestCase):
    """What holds after each of them."""

    def setUp(self) -> None:
        self.log = EventLoggingObserver.createWithCleanup(self, globalLogPublisher)

    def well(self) -> None:
        """Nothing was raised into the log, and what was logged are single lines."""
        self.assertEqual(self.flushLoggedErrors(), [])
        for event in self.log:
            self.assertNotIn("log_failure", event)
            self.assertTrue(str(formatEvent(event)).isprintable(), event)
        self.log._events.clear()


def said(transport: MemoryTransport) -> list[dict[str, Any]]:
    """Return the messages that a stranger got; a TLS alert, for one who came with TLS, is none."""
    if transport.value()[:1] == b"\x15":
        return []
    return [json.loads(payload) for payload in transport.payloads()]


class StrangerTests(AnyWordsTestCase):
    """Nobody has proved anything."""

    def after(self, world: World, transport: MemoryTransport) -> None:
        """He is let in nowhere, and is gone when his time is over; nothing of him is left."""
        self.assertEqual((len(world.hub.sessions), world.hub.peers, world.relay.legs), (0, {}, []))
        world.clock.advance(world.config.handshake_timeout)
        world.clock.advance(2)
        world.clock.advance(0)
        self.assertTrue(transport.gone and transport.lost)
        self.assertEqual(world.reception.strangers, 0)
        self.assertEqual([call for call in world.clock.getDelayedCalls() if call.active()], [])
        self.well()

    @PROPERTY
    @given(STREAMS, st.lists(st.integers(1, 40), max_size=6))
    def test_any_bytes(self, stream: bytes, cuts: list[int]) -> None:
        """However they are cut, the answer is the same, but for those who speak ahead of an answer."""
        world = World()
        transport = world.connect()
        position = 0
        for cut in [*cuts, len(stream) + 1]:
            piece = stream[position : position + cut]
            if piece:
                transport.say_bytes(piece)
            position += cut
        answers = said(transport)
        self.assertLessEqual(len(answers), 2)
        for answer in answers[:-1]:
            self.assertEqual(answer["type"], "challenge")
        for answer in answers[-1:]:
            self.assertIn(answer["type"], ("challenge", "error", "register_resp"))
            self.assertEqual(transport.gone, answer["type"] != "challenge")
        self.after(world, transport)

    @PROPERTY
    @given(STREAMS)
    def test_byte_by_byte(self, stream: bytes) -> None:
        """One byte at a time ends like all at once; only who speaks ahead of an answer may be seen to, or not."""
        outcomes = []
        for pieces in ([stream] if stream else [], [bytes([byte]) for byte in stream]):
            world = World()
            transport = world.connect()
            for piece in pieces:
                transport.say_bytes(piece)
            kinds = [answer["type"] for answer in said(transport)]
            outcomes.append((transport.gone, kinds[:1] == ["challenge"]))
            self.after(world, transport)
        if not any(challenged for _, challenged in outcomes):
            self.assertEqual(*outcomes)

    @PROPERTY
    @given(STREAMS)
    def test_behind_the_challenge(self, stream: bytes) -> None:
        """Whatever comes in place of auth ends it."""
        world = World()
        transport = world.connect()
        transport.say_json(HELLO)
        self.assertEqual(len(transport.payloads()), 1)
        if stream:
            transport.say_bytes(stream)
        for payload in transport.payloads():
            self.assertIsInstance(decode(payload), Error)
            self.assertTrue(transport.gone)
        self.after(world, transport)


class ClientOfOursTests(AnyWordsTestCase):
    """A client that was let in, and says anything."""

    @PROPERTY
    @given(st.lists(SAID_BY_CLIENT, max_size=12), st.booleans())
    def test_any_messages(self, said: list[Message | float], visits: bool) -> None:
        """The server opens no port that it may not, answers requests in order, and stands afterwards: another client
        is served. A number is time that passes."""
        world = World()
        client = world.login("rude")
        asked = []
        for word in said:
            if isinstance(word, float):
                world.clock.pump([word / 4] * 4)
                continue
            if isinstance(word, Register | Unregister | Nodes) and not client.transport.gone:
                asked.append(word.id)
            client.say(word)
            world.clock.advance(0)
            for port in world.relay.ports if visits else ():
                if port.open:
                    port.visit()
        world.clock.pump([0.0] * 8)
        answered = [message.id for message in client.heard() if isinstance(message, RegisterResp)]
        self.assertEqual(answered, asked[: len(answered)])
        if not client.transport.gone:
            self.assertEqual(len(answered), len(asked))
        for port in world.relay.ports:
            self.assertTrue(1024 <= port.port <= 65535 and port.port != 17000, port.port)
        self.assertLessEqual(len(world.relay.ports), world.config.limits.mappings)
        other = world.login("good", host="192.0.2.77")
        other.publish(50001)
        self.well()

    @PROPERTY
    @given(STREAMS)
    def test_any_bytes(self, stream: bytes) -> None:
        """Its bytes may be any."""
        world = World()
        client = world.login("rude")
        client.heard()
        client.transport.say_bytes(stream)
        for message in client.heard():
            if isinstance(message, Error):
                self.assertTrue(client.transport.gone)
        world.login("good", host="192.0.2.77").publish(50001)
        self.well()

    @PROPERTY
    @given(st.lists(st.tuples(STEPS, st.integers(0, 3)), max_size=14))
    def test_any_comings_and_goings(self, steps: list[tuple[str, int]]) -> None:
        """Sessions of one name by two processes, in any order: at most one is the current one, and a leg of another is
        told so."""
        world = World()
        clients: list[Client] = []
        for step, which in steps:
            chosen = clients[which % len(clients)] if clients else None
            if step == "login":
                transport = world.connect()
                handshake, answers = world.prove(transport, "edge", b"one" if which % 2 else b"two")
                world.clock.pump([0.5] * 5)
                answers += transport.payloads()
                if answers and b'"auth_ok"' in answers[0]:
                    established = handshake.receive_auth_ok(answers[0])
                    clients.append(Client(world, transport, established))
            elif chosen is None or step == "wait":
                world.clock.pump([5.0] * 3)
            elif step == "lose":
                chosen.transport.lose()
            elif step == "drain":
                chosen.say(Drain(100))
            else:
                before = len(world.relay.legs)
                current = world.hub.sessions.by_sid(chosen.established.sid)
                alive = current is not None and not current.session.over
                chosen.offer_leg()
                self.assertEqual(len(world.relay.legs) - before, int(alive))
        self.assertLessEqual(len(world.hub.sessions), 1)
        self.well()


class ServerOfOursTests(AnyWordsTestCase):
    """A server that holds the token, and says anything to our client."""

    @PROPERTY
    @given(st.lists(SAID_BY_SERVER, max_size=12))
    def test_any_messages(self, said: list[Message | float]) -> None:
        """The client dials no target, brings no more legs than it was asked for or allowed, and connects again."""
        world = client_world.World(client_world.mapping(), client_world.mapping("ssh", 22, 2222))
        server = world.connected(legs=5)
        needed = 0
        for word in said:
            if isinstance(word, float):
                world.clock.pump([word / 4] * 4)
                continue
            if isinstance(word, NeedLegs):
                needed += word.count
            server.say(word)
            world.clock.advance(0)
        legs = [attempt for attempt in world.path.attempts if type(attempt[1]).__name__ == "LegGreeting"]
        self.assertLessEqual(len(legs), needed)
        live = [attempt for attempt in legs if not attempt[2].gone]
        self.assertLessEqual(len(live), 5)
        self.assertEqual(world.relay.dials, [])
        if server.transport.gone:
            world.clock.pump([1.0] * 90)
            self.assertGreater(len(world.path.attempts), len(legs) + 1, "it comes back")
        self.well()

    @PROPERTY
    @given(STREAMS, st.sampled_from(["hello", "auth", "session", "leg"]))
    def test_any_bytes(self, stream: bytes, stage: str) -> None:
        """Its bytes may be any, in each stage."""
        world = client_world.World()
        world.links.start()
        server = world.server()
        transport = server.transport
        if stage != "hello":
            server.challenge()
        if stage in ("session", "leg"):
            server.accept()
        if stage == "leg":
            server.say(NeedLegs(False, 1))
            transport = world.path.attempts[-1][2]
        transport.payloads()
        if stream:
            transport.say_bytes(stream)
        self.assertEqual((world.relay.dials, world.relay.legs), ([], []))
        if stage in ("hello", "auth"):
            self.assertIsNone(world.link.session)
        self.well()

    @PROPERTY
    @given(st.lists(st.binary(max_size=40) | BODIES, max_size=5))
    def test_any_open(self, bodies: list[bytes]) -> None:
        """What an OPEN says may be any: nothing is dialled that the file does not name."""
        world = client_world.World()
        server = world.connected()
        server.grant()
        for body in bodies:
            (leg,) = server.legs()
            leg.receive_open(body)
        self.assertEqual(world.relay.dials, [])
        self.well()

