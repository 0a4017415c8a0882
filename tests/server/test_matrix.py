"""Every message in every state, at both roles: it is handled, or it is a breach and closes. Nothing is ignored, and
nothing ends in a traceback."""

from __future__ import annotations

from collections.abc import Callable

from twisted.trial.unittest import SynchronousTestCase

from gotunnel.wire.handshake import ClientHandshake
from gotunnel.wire.messages import (
    Auth,
    AuthOk,
    Bearer,
    Challenge,
    Drain,
    DrainOk,
    Enrol,
    Enrolled,
    Error,
    Hello,
    Leg,
    LegOk,
    LegsFailed,
    Limits,
    MappingRequest,
    MappingState,
    Message,
    NeedLegs,
    Nodes,
    Ping,
    Pong,
    Register,
    RegisterResp,
    Unregister,
    encode,
)
from tests.client import world as client_world
from tests.doubles import MemoryTransport
from tests.server.world import TOKEN, World

EVERY: dict[str, Message] = {
    "hello": Hello(2, 2, "edge", bytes(32)),
    "challenge": Challenge(2, bytes(16), bytes(32)),
    "auth": Auth(bytes(32)),
    "bearer": Bearer(TOKEN, bytes(32)),
    "auth_ok": AuthOk(bytes(32), 10, 30, Limits(1, 1, 1)),
    "enrol": Enrol(TOKEN),
    "enrolled": Enrolled(),
    "error": Error("internal", "because"),
    "register": Register(1, (MappingRequest("web", 8080),)),
    "register_resp": RegisterResp(1, "ok"),
    "unregister": Unregister(1, ("web",)),
    "mapping_state": MappingState("web", "down"),
    "need_legs": NeedLegs(False, 1),
    "legs_failed": LegsFailed(False, 1),
    "nodes": Nodes(1, ("worker-1",)),
    "ping": Ping(1),
    "pong": Pong(1),
    "drain": Drain(1000),
    "drain_ok": DrainOk(),
    "leg": Leg(bytes(16), 1, "reverse", bytes(32)),
    "leg_ok": LegOk(bytes(32)),
}

BREACH, HANDLED, DEAF = "protocol_error", "handled", "closed already"


def outcome(transport: MemoryTransport) -> str:
    """Say how an end took what it was told: the code of its error, or whether it goes on."""
    last = [m for m in transport.heard() if isinstance(m, Error)]
    if last:
        assert transport.gone, "an error, and it is not closed"
        return last[-1].code
    return "closed" if transport.gone else HANDLED


def table(title: str, found: dict[tuple[str, str], str]) -> str:
    """Return the matrix as text."""
    states = list(dict.fromkeys(state for state, _ in found))
    lines = [f"{title:16}" + "".join(f"{state:18}" for state in states)]
    lines += [f"{kind:16}" + "".join(f"{found[state, kind]:18}" for state in states) for kind in EVERY]
    return "\n".join(lines)


class ServerMatrixTests(SynchronousTestCase):
    """What a server does."""

    def begun(self) -> MemoryTransport:
        """Nothing was said yet."""
        return World().connect()

    def greeted(self) -> MemoryTransport:
        """hello was said."""
        transport = World().connect()
        transport.say_json(ClientHandshake("edge", TOKEN, b"one", "test").hello())
        transport.heard()
        return transport

    def deciding(self) -> MemoryTransport:
        """auth was said, and the server asks an older session."""
        world = World()
        world.login()
        transport = world.connect()
        world.prove(transport, instance=b"two")
        return transport

    def established(self) -> MemoryTransport:
        """auth_ok was heard, a mapping is open."""
        client = World().login()
        client.publish(8080)
        return client.transport

    def drained(self) -> MemoryTransport:
        """The client said drain."""
        client = World().login()
        client.say(Drain(1000))
        client.heard()
        return client.transport

    def asked(self) -> MemoryTransport:
        """The server said drain."""
        world = World()
        client = world.login()
        world.session(client).ask_to_drain(10)
        client.heard()
        return client.transport

    def leg(self) -> MemoryTransport:
        """A leg was refused: it is over."""
        transport = World().connect()
        transport.say(Leg(bytes(16), 1, "reverse", bytes(32)))
        transport.heard()
        return transport

    def test_matrix(self) -> None:
        """The whole table."""
        states: dict[str, Callable[[], MemoryTransport]] = {
            "before hello": self.begun,
            "after hello": self.greeted,
            "deciding": self.deciding,
            "established": self.established,
            "client drains": self.drained,
            "server drains": self.asked,
        }
        found: dict[tuple[str, str], str] = {}
        for state, reach in states.items():
            for kind, message in EVERY.items():
                transport = reach()
                transport.say(message)
                if (state, kind) == ("before hello", "register"):
                    (payload,) = transport.payloads()
                    found[state, kind] = "register_resp" if transport.gone and b'"fail"' in payload else "?"
                else:
                    found[state, kind] = outcome(transport)
        print("\n" + table("server", found))
        expected = {(state, kind): BREACH for state in states for kind in EVERY}
        expected["before hello", "hello"] = HANDLED
        expected["before hello", "leg"] = "no_session"
        expected["before hello", "register"] = "register_resp"
        expected["after hello", "auth"] = "auth_failed"
        handled = {"register", "unregister", "mapping_state", "legs_failed", "nodes", "ping", "pong", "drain"}
        for state in ("established", "client drains", "server drains"):
            expected |= {(state, kind): HANDLED for kind in handled}
            expected[state, "error"] = "closed"
        expected["server drains", "drain_ok"] = HANDLED
        self.assertEqual(found, expected)
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_after_the_end(self) -> None:
        """Once it has closed, an end listens to nothing."""
        for reach in (self.leg, self.closed):
            for message in EVERY.values():
                transport = reach()
                transport.say(message)
                self.assertEqual(transport.heard(), [])

    def closed(self) -> MemoryTransport:
        """An established session was closed for a breach."""
        transport = self.established()
        transport.say(NeedLegs(False, 1))
        transport.heard()
        return transport

    def test_hostile_payloads(self) -> None:
        """No payload of an authenticated client does more than close its session."""
        for payload in (b"{}", b'{"type":[]}', b'{"type":"register","id":1,"mappings":{}}', b"\xff"):
            transport = self.established()
            transport.say_json(payload)
            self.assertIn(outcome(transport), ("protocol_error", "bad_json"))
        transport = self.established()
        transport.say_bytes((65537).to_bytes(4, "big"))
        self.assertEqual(outcome(transport), BREACH)


class ClientMatrixTests(SynchronousTestCase):
    """What a client does."""

    def greeted(self) -> MemoryTransport:
        """hello was said."""
        world = client_world.World()
        world.links.start()
        server = world.server()
        server.transport.heard()
        return server.transport

    def proving(self) -> MemoryTransport:
        """auth was said."""
        world = client_world.World()
        world.links.start()
        server = world.server().challenge()
        server.transport.heard()
        return server.transport

    def established(self) -> MemoryTransport:
        """auth_ok was heard, and nothing is asked for that was not answered."""
        server = client_world.World().connected()
        server.grant()
        return server.transport

    def asking(self) -> MemoryTransport:
        """A register is not answered yet."""
        server = client_world.World().connected()
        server.heard()
        return server.transport

    def draining(self) -> MemoryTransport:
        """The client said drain, and a visitor holds it up."""
        world = client_world.World()
        server = world.connected()
        server.grant()
        (leg,) = server.legs()
        leg.receive_open(server.open_body(leg))
        world.stop()
        server.heard()
        return server.transport

    def leg(self) -> MemoryTransport:
        """On a leg: leg was said."""
        world = client_world.World()
        server = world.connected()
        server.grant()
        server.say(NeedLegs(False, 1))
        transport = world.path.attempts[-1][2]
        transport.heard()
        return transport

    def test_matrix(self) -> None:
        """The whole table. A client has nobody to send an `error` to before both are proved, and closes."""
        states: dict[str, Callable[[], MemoryTransport]] = {
            "after hello": self.greeted,
            "after auth": self.proving,
            "established": self.established,
            "asking": self.asking,
            "draining": self.draining,
            "leg": self.leg,
        }
        found: dict[tuple[str, str], str] = {}
        for state, reach in states.items():
            for kind, message in EVERY.items():
                transport = reach()
                transport.say(message)
                found[state, kind] = outcome(transport)
        print("\n" + table("client", found))
        before = ("after hello", "after auth", "leg")
        expected = {(state, kind): "closed" if state in before else BREACH for state in states for kind in EVERY}
        expected["after hello", "challenge"] = HANDLED
        for state in ("established", "asking", "draining"):
            expected |= {(state, kind): HANDLED for kind in ("ping", "pong", "need_legs", "mapping_state", "drain")}
            expected[state, "error"] = "closed"
        expected["asking", "register_resp"] = HANDLED
        expected["draining", "drain_ok"] = HANDLED
        self.assertEqual(found, expected)
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_payload_helper(self) -> None:
        """The messages of the table are all there are."""
        from gotunnel.wire import messages

        self.assertEqual(set(EVERY), set(messages._CLASSES))
        for message in EVERY.values():
            encode(message)


