"""Mappings on the server: what is granted, what is refused and with which code, and what stays bound."""

from __future__ import annotations

import json
from typing import Any

from twisted.internet.testing import EventLoggingObserver
from twisted.logger import formatEvent, globalLogPublisher

from gotunnel.errors import PortUnavailable
from gotunnel.server.published import PAUSE
from gotunnel.wire.messages import (
    Error,
    MappingRequest,
    MappingState,
    Register,
    RegisterResp,
    Unregister,
)
from tests.server.world import Client, ServerTestCase, World


class GrantTests(ServerTestCase):
    """What a client gets."""

    def setUp(self) -> None:
        """A server with a client; one port is taken by another program."""
        self.it = self.world(allow_ports=("8000-8999",))
        self.it.relay.taken = {8666}
        self.client = self.it.login()

    def codes(self, *requests: MappingRequest, client: Client | None = None) -> list[str]:
        """Register and return for each mapping its port or its code."""
        results = (client or self.client).register(*requests)
        self.assertEqual([result.name for result in results], [request.name for request in requests])
        return [str(r.remote_port) if r.status == "ok" else str(r.code) for r in results]

    def test_listens_before_ok(self) -> None:
        """When `ok` is said the port is open, on the address of the control port if none is named."""
        port = self.client.publish(8080)
        self.assertEqual((port.host, port.port), ("0.0.0.0", 8080))

    def test_each_for_itself(self) -> None:
        """A port in use is the matter of its mapping alone; the others work."""
        found = self.codes(MappingRequest("a", 8001), MappingRequest("b", 8666), MappingRequest("c", 8003))
        self.assertEqual(found, ["8001", "port_in_use", "8003"])
        self.assertEqual(sorted(port.port for port in self.it.relay.ports), [8001, 8003])

    def test_in_use_later_free(self) -> None:
        """Asked for again once it is free it is granted."""
        self.assertEqual(self.codes(MappingRequest("b", 8666)), ["port_in_use"])
        self.it.relay.taken.clear()
        self.assertEqual(self.codes(MappingRequest("b", 8666)), ["8666"])

    def test_codes(self) -> None:
        """Each refusal has its code, and nothing is left open."""
        for request, code in [
            (MappingRequest("x", 17000), "reserved"),
            (MappingRequest("x", 7999), "acl_denied"),
            (MappingRequest("x", 22), "acl_denied"),
            (MappingRequest("x", 8001, protocol="udp"), "bad_request"),
            (MappingRequest("x", 8001, bind="tunnel.example.com"), "bad_request"),
        ]:
            self.assertEqual(self.codes(request), [code], request)
        self.assertEqual(self.it.relay.ports, [])

    def test_others_port(self) -> None:
        """Another client's port is in use, also on an overlapping address; the owner's stays open."""
        mine = self.client.publish(8080)
        other = self.it.login("other")
        self.assertEqual(self.codes(MappingRequest("x", 8080), client=other), ["port_in_use"])
        self.assertEqual(self.codes(MappingRequest("x", 8080, bind="127.0.0.1"), client=other), ["port_in_use"])
        self.assertTrue(mine.open)

    def test_one_port_twice(self) -> None:
        """The second mapping of one client for one port is refused, and the first one keeps its claim."""
        self.assertEqual(self.codes(MappingRequest("a", 8080), MappingRequest("b", 8080)), ["8080", "port_in_use"])
        self.assertIsNotNone(self.it.hub.ports.owner_of("0.0.0.0", 8080))
        self.assertEqual(self.codes(MappingRequest("b", 8080)), ["port_in_use"])

    def test_bind(self) -> None:
        """A mapping listens where it says."""
        self.assertEqual(self.client.publish(8080, bind="127.0.0.1").host, "127.0.0.1")

    def test_any_port(self) -> None:
        """Port 0 is any allowed free one, and stays the same when asked for again."""
        (result,) = self.client.register(MappingRequest("x", 0))
        self.assertIn(result.remote_port, range(8000, 9000))
        (again,) = self.client.register(MappingRequest("x", 0))
        self.assertEqual(result, again)
        self.assertEqual(self.it.relay.listens, 1)

    def test_any_port_among_few(self) -> None:
        """The last free allowed port is found, those reserved or held are passed over, and then there is none."""
        it = self.it = self.world(allow_ports=(8001, 8002, 17000))
        client = it.login()
        found = self.codes(*(MappingRequest(name, 0) for name in "abc"), client=client)
        self.assertEqual((sorted(found[:2]), found[2]), (["8001", "8002"], "port_in_use"))

    def test_limit(self) -> None:
        """`limits.mappings` is enforced."""
        it = self.it = self.world(limits={"mappings": 2})
        found = self.codes(*(MappingRequest(n, 8000 + i) for i, n in enumerate("abc")), client=it.login())
        self.assertEqual(found, ["8000", "8001", "limit"])

    def test_no_descriptors(self) -> None:
        """What the relay says is passed on."""

        def listen(*_: object) -> None:
            raise PortUnavailable("no_fds", "the server is out of file descriptors")

        self.it.relay.listen = listen  # type: ignore[assignment]
        self.assertEqual(self.codes(MappingRequest("x", 8080)), ["no_fds"])
        self.assertIsNone(self.it.hub.ports.owner_of("0.0.0.0", 8080))


class ChangeTests(ServerTestCase):
    """Registering again, unregistering, frames that belong together."""

    def setUp(self) -> None:
        """A server with a client."""
        self.it = self.world()
        self.client = self.it.login()

    def open_ports(self) -> list[int]:
        """Return what is open."""
        return sorted(port.port for port in self.it.relay.ports)

    def test_again_is_not_bound_again(self) -> None:
        """The same mapping asked for again keeps its listener."""
        port = self.client.publish(8080)
        self.assertIs(self.client.publish(8080), port)
        self.assertEqual(self.it.relay.listens, 1)

    def test_changed(self) -> None:
        """A mapping that moves gives its old port back."""
        self.client.publish(8080)
        self.client.publish(8081)
        self.assertEqual(self.open_ports(), [8081])
        self.it.login("other").publish(8080)

    def test_unregister(self) -> None:
        """Answered with the same id; the port is free for others."""
        self.client.publish(8080)
        self.client.say(Unregister(77, ("web", "unknown")))
        self.it.clock.advance(0)
        self.assertEqual(self.client.heard(), [RegisterResp(77, "ok")])
        self.assertEqual(self.open_ports(), [])
        self.it.login("other").publish(8080)

    def test_unregister_and_again_at_once(self) -> None:
        """Requests are answered in order, each finished before the next begins: the port is free by then."""
        self.client.publish(8080)
        for _ in range(3):
            self.client.say(Unregister(1, ("web",)), Register(2, (MappingRequest("web", 8080),)))
            for _ in range(5):
                self.it.clock.advance(0)
            self.assertEqual([m.id for m in self.client.heard() if isinstance(m, RegisterResp)], [1, 2])
            self.assertEqual(self.open_ports(), [8080])

    def test_more(self) -> None:
        """Of several frames only the last one closes what was not named; all of them count as named."""
        a, b = MappingRequest("a", 8001), MappingRequest("b", 8002)
        self.client.register(MappingRequest("old", 8000), a)
        self.it.clock.advance(0)
        self.client.transport.lose()
        self.client = self.it.login()
        self.client.register(a, more=True)
        self.assertEqual(self.open_ports(), [8000, 8001])
        self.client.register(b)
        self.it.clock.advance(0)
        self.assertEqual(self.open_ports(), [8001, 8002])

    def test_reason_behind_a_limit(self) -> None:
        """What no room can mend is said before the limit: else the retry of a client whose other mappings are open by
        then would hide it."""
        rights = self.it.hub.peers["edge"].rights
        object.__setattr__(rights, "max_mappings", 1)
        a, b = MappingRequest("a", 22), MappingRequest("b", 8001)
        group, udp = MappingRequest("c", 8002, group="g"), MappingRequest("d", 8003, protocol="udp")
        for _ in range(2):
            results = self.client.register(a, b, group)
            self.assertEqual([result.code for result in results], ["acl_denied", None, "acl_denied"])
        self.assertNotEqual(self.client.register(b, udp)[1].code, "limit")
        self.assertEqual(self.client.register(b, MappingRequest("e", 8004))[1].code, "limit")

    def test_refusal_told_once(self) -> None:
        """A client that asks again for ever fills no log: one line, and another one an hour later or when it comes
        anew."""
        log = EventLoggingObserver.createWithCleanup(self, globalLogPublisher)

        def lines() -> int:
            return sum("is refused" in formatEvent(event) for event in log)

        for _ in range(10):
            self.client.register(MappingRequest("a", 22))
        self.assertEqual(lines(), 1)
        self.client.register(MappingRequest("a", 23))
        self.assertEqual(lines(), 2)
        self.client.transport.lose()
        self.client = self.it.login()
        self.client.register(MappingRequest("a", 22))
        self.assertEqual(lines(), 3)

    def test_refused_is_not_named(self) -> None:
        """A mapping that its owner may not have any more is closed at the end of the set, although it was asked for."""
        self.client.publish(8080)
        self.client.transport.lose()
        self.client = self.it.login()
        rights = self.it.hub.peers["edge"].rights
        object.__setattr__(rights, "allow_ports", type(rights.allow_ports).parse(["9000"]))
        (result,) = self.client.register(MappingRequest("web", 8080))
        self.it.clock.advance(0)
        self.assertEqual((result.code, self.open_ports()), ("acl_denied", []))

    def test_down_and_up(self) -> None:
        """A mapping that is down does not listen and keeps its port; up, it listens again."""
        self.client.publish(8080)
        for _ in range(3):
            self.client.say(MappingState("web", "down", "refused"))
            self.it.clock.advance(0)
            self.assertEqual(self.open_ports(), [])
            self.assertIsNotNone(self.it.hub.ports.owner_of("0.0.0.0", 8080))
            self.client.say(MappingState("web", "up"))
            self.assertEqual(self.open_ports(), [8080])

    def test_down_up_at_once(self) -> None:
        """Both in one breath: the second waits for the first."""
        self.client.publish(8080)
        self.client.say(MappingState("web", "down"), MappingState("web", "up"))
        for _ in range(3):
            self.it.clock.advance(0)
        self.assertEqual(self.open_ports(), [8080])

    def test_registered_while_down(self) -> None:
        """`ok` means that visitors can connect: a successor that registers a mapping that is down opens it."""
        self.client.publish(8080)
        self.client.say(MappingState("web", "down"))
        self.it.clock.advance(0)
        self.client.transport.lose()
        self.assertTrue(self.it.login().publish(8080).open)

    def test_taken_while_down(self) -> None:
        """Another program came in between: the mapping stays down, and the next `up` tries again."""
        self.client.publish(8080)
        self.client.say(MappingState("web", "down"))
        self.it.clock.advance(0)
        self.it.relay.taken = {8080}
        self.client.say(MappingState("web", "up"))
        self.assertEqual(self.open_ports(), [])
        self.it.relay.taken = set()
        self.client.say(MappingState("web", "up"))
        self.assertEqual(self.open_ports(), [8080])

    def test_answer_that_fits_no_frame(self) -> None:
        """So many mappings in one frame that their answer fits none: error/limit, not a bug of ours."""
        asked = [{"name": f"m{number}", "remote_port": 1} for number in range(1500)]
        self.client.transport.say_json(json.dumps({"type": "register", "id": 1, "mappings": asked}))
        self.it.clock.pump([PAUSE] * 100)
        self.assertEqual([m.code for m in self.client.heard() if isinstance(m, Error)], ["limit"])

    def test_too_many_requests(self) -> None:
        """Who asks on and on while his first request is not finished is cut."""
        self.client.publish(8080)
        self.client.say(Unregister(1, ("web",)))
        for number in range(2, 70):
            self.client.say(Unregister(number, ("web",)))
        self.assertEqual([m.code for m in self.client.heard() if isinstance(m, Error)], ["limit"])


class ManyRoundsTests(ServerTestCase):
    """Nothing piles up."""

    def test_register_and_leave(self) -> None:
        """200 clients that register and go: no listener, session, peer or timer is left after the time of grace."""
        world = self.world()
        for number in range(200):
            client = world.login("edge", str(number).encode())
            client.publish(8080)
            client.transport.lose()
        self.assertEqual(world.relay.listens, 1)
        world.clock.advance(30)
        world.clock.advance(0)
        self.assertEqual(state(world), {"ports": 0, "sessions": 0, "peers": 0, "claims": {}, "timers": 0})

    def test_close_and_register(self) -> None:
        """200 times registered and unregistered by one client."""
        world = self.world()
        client = world.login()
        for _ in range(200):
            client.publish(8080)
            client.say(Unregister(5, ("web",)))
            world.clock.advance(0)
            client.heard()
        self.assertEqual(world.relay.ports, [])
        client.transport.lose()
        world.clock.advance(0)
        self.assertEqual(state(world), {"ports": 0, "sessions": 0, "peers": 0, "claims": {}, "timers": 0})


def state(world: World) -> dict[str, Any]:
    """Return what a server holds."""
    return {
        "ports": len(world.relay.ports),
        "sessions": len(world.hub.sessions),
        "peers": len(world.hub.peers),
        "claims": world.hub.ports._ports,
        "timers": len(world.clock.getDelayedCalls()),
    }
