"""One session of a client: what it registers, and what it makes of the answers."""

from __future__ import annotations

from gotunnel.client import published
from gotunnel.client.requests import AT_ONCE
from gotunnel.client.standing import Standing
from gotunnel.errors import AuthRejected
from gotunnel.wire.frames import encode_frame
from gotunnel.wire.handshake import NO_BINDING
from gotunnel.wire.messages import (
    Error,
    MappingResult,
    MappingState,
    NeedLegs,
    Ping,
    Register,
    RegisterResp,
    encode,
)
from tests.client.world import ClientTestCase, World, mapping


class HandshakeTests(ClientTestCase):
    """The client's side of hello, challenge, auth, auth_ok."""

    def test_one_frame_at_a_time(self) -> None:
        """Nothing is sent behind hello, and nothing behind auth, before the answer has come."""
        world = World()
        world.links.start()
        server = world.server()
        self.assertEqual(len(server.transport.payloads()), 1)
        server.transport.clear()
        server.transport._read = 0

    def test_ahead_of_the_challenge(self) -> None:
        """What comes behind a challenge, before auth was sent, closes."""
        world = World()
        world.links.start()
        server = world.server()
        challenge = server.handshake.receive_hello(server.transport.payloads()[0])
        server.transport.say_bytes(encode_frame(challenge) + b"\0")
        self.assertEqual((server.transport.payloads(), server.transport.aborted), ([], True))

    def test_behind_auth_ok(self) -> None:
        """The server may talk right behind auth_ok, in the same segment even."""
        world = World()
        server = world.connected(behind=encode_frame(encode(Ping(7)))[:9])
        server.transport.say_bytes(encode_frame(encode(Ping(7)))[9:])
        self.assertIn(7, [getattr(m, "n", None) for m in server.heard()])

    def test_limit_before_the_proof(self) -> None:
        """4,096 bytes: for the challenge, for auth_ok, for leg_ok; at the header."""
        for reach in ("hello", "auth", "leg"):
            world = World()
            world.links.start()
            server = world.server()
            if reach != "hello":
                server.challenge()
            if reach == "leg":
                server.accept().say(NeedLegs(False, 1))
            transport = world.path.attempts[-1][2]
            transport.payloads()
            transport.say_bytes((4097).to_bytes(4, "big"))
            self.assertTrue(transport.aborted, reach)

    def test_deadline(self) -> None:
        """10 s for all of it, dripping or not."""
        for silent in (True, False):
            world = World()
            world.links.start()
            server = world.server()
            if not silent:
                server.challenge()
            for _ in range(3):
                world.clock.advance(3.3)
                server.transport.say_bytes(b"\0")
            self.assertFalse(server.transport.aborted)
            world.clock.advance(0.5)
            self.assertTrue(server.transport.aborted)

    def test_binding_is_ours(self) -> None:
        """A client without TLS binds to zeros, and a server that binds to something else is not accepted."""
        world = World()
        world.links.start()
        server = world.server().challenge()
        (auth,) = server.transport.payloads()
        self.assertEqual(NO_BINDING, bytes(32))
        with self.assertRaises(AuthRejected):
            server.handshake.receive_auth(auth, b"\1" * 32)


class RegisterTests(ClientTestCase):
    """What is asked for."""

    def test_frames(self) -> None:
        """Many mappings go in several frames, all but the last with `more`."""
        world = World(*(mapping(f"m{i}", 1000 + i, 2000 + i) for i in range(130)))
        registers = world.connected().grant()
        self.assertEqual([(len(r.mappings), r.more) for r in registers], [(64, True), (64, True), (2, False)])
        self.assertEqual(len({r.id for r in registers}), 3)

    def test_secret_target(self) -> None:
        """The server learns name, port, address and kind, never the target."""
        world = World(mapping("web", 4711, 8080))
        server = world.connected()
        self.assertNotIn(b"4711", server.transport.value())

    def test_refused_asks_again(self) -> None:
        """A refused mapping is asked for again, with growing pauses, until it is granted; then no more."""
        world = World()
        server = world.connected()
        gaps, last = [], 0.0
        for _ in range(4):
            server.grant("port_in_use")
            self.assertIs(world.link.published.statuses["web"].standing, Standing.REFUSED)
            heard: list[Register] = []

            def asked(heard: list[Register] = heard) -> bool:
                for message in server.heard():
                    if isinstance(message, Ping):
                        server.say(Ping(message.n))
                    elif isinstance(message, Register):
                        heard.append(message)
                return bool(heard)

            world.run_until(asked)
            gaps.append(world.clock.seconds() - last)
            last = world.clock.seconds()
            refusal = MappingResult("web", "fail", None, "port_in_use", "x")
            server.say(*(RegisterResp(register.id, "ok", (refusal,)) for register in heard))
        self.assertGreaterEqual(min(gaps), 1.0)
        world.run_until(lambda: any(isinstance(m, Register) for m in server.heard()) or bool(server.say(Ping(1))))
        server.say(RegisterResp(6, "ok", (MappingResult("web", "ok", 8080),)))
        self.assertIs(world.link.published.statuses["web"].standing, Standing.OPEN)
        for _ in range(100):
            world.clock.advance(1)
            server.say(Ping(1))
            self.assertEqual([m for m in server.heard() if isinstance(m, Register)], [])

    def test_retries_do_not_multiply(self) -> None:
        """Refusals in several answers lead to one more round, not to one for each: rounds do not grow."""
        world = World(*(mapping(f"m{i}", 1000 + i, 2000 + i) for i in range(130)))
        server = world.connected()
        server.grant("port_in_use")
        frames = 0
        for _ in range(1200):
            world.clock.advance(0.1)
            server.say(Ping(1))
            frames += len(server.grant("port_in_use"))
        # 120 s with pauses of at least a second that double up to a minute: a few rounds of three frames.
        self.assertLess(frames, 3 * 30)
        self.assertGreaterEqual(frames, 3 * 3)

    def test_target_that_changes_while_its_request_waits(self) -> None:
        """What follows a request that had to wait is what is true of the targets when it is sent: a server ignores
        news of mappings that it does not know yet, and nobody would tell it again."""
        self.patch(published, "MAPPINGS_PER_FRAME", 1)
        names = [f"m{number}" for number in range(AT_ONCE + 2)]
        world = World(*[mapping(name, remote=2000 + number) for number, name in enumerate(names)])
        *_, back, gone = names
        world.link.target_changed(back, False, "no answer")
        server = world.connected()
        world.link.target_changed(back, True, "it is back")
        world.link.target_changed(gone, False, "no answer")
        self.assertEqual(len(server.grant()), AT_ONCE)
        heard = server.heard()
        self.assertEqual([m.mappings[0].name for m in heard if isinstance(m, Register)], [back, gone])
        self.assertEqual([m for m in heard if not isinstance(m, Register)], [MappingState(gone, "down", "no answer")])
        self.assertIs(heard[-1], heard[2])

    def test_refused_as_a_whole(self) -> None:
        """A register that is answered with `fail` counts as a refusal of each of its mappings, and is tried again."""
        world = World()
        server = world.connected()
        (register,) = [m for m in server.heard() if isinstance(m, Register)]
        server.say(RegisterResp(register.id, "fail", (), "not now"))
        self.assertIs(world.link.published.statuses["web"].standing, Standing.REFUSED)
        world.run_until(lambda: any(isinstance(m, Register) for m in server.heard()))

    def test_results_for_nobody(self) -> None:
        """Mappings that were never asked for are passed over."""
        world = World()
        server = world.connected()
        (register,) = [m for m in server.heard() if isinstance(m, Register)]
        server.say(RegisterResp(register.id, "ok", (MappingResult("ghost", "ok", 1), MappingResult("web", "ok", 8080))))
        self.assertEqual(list(world.link.published.statuses), ["web"])

    def test_wrong_order(self) -> None:
        """An answer to nothing, to something else, or to the second question first, is a breach."""
        for numbers in ((99,), (2,), (1, 2, 3, 4)):
            world = World(*(mapping(f"m{i}", 1000 + i, 2000 + i) for i in range(130)))
            server = world.connected()
            server.heard()
            for number in numbers:
                server.say(RegisterResp(number, "ok"))
            self.assertEqual([m.code for m in server.heard() if isinstance(m, Error)], ["protocol_error"])


class HeartbeatTests(ClientTestCase):
    """The server's pace, unless the file names another."""

    def test_pace(self) -> None:
        """Pings come as auth_ok says, or as heartbeat_interval says where that fits."""
        for config, expected in (({}, 10.0), ({"heartbeat_interval": 3.0}, 3.0), ({"heartbeat_interval": 60.0}, 10.0)):
            world = World(**config)
            server = world.connected(heartbeat=10.0, timeout=30.0)
            server.grant()
            world.run_until(lambda s=server: any(isinstance(m, Ping) for m in s.heard()), 60, 0.1)  # type: ignore[misc]
            self.assertLess(abs(world.clock.seconds() - expected), 0.2)

    def test_kubernetes(self) -> None:
        """With the profile a client finds a dead path in time also at a server that has it not: it pings as it needs
        to, and gives up after three pings; a server that is faster stays so."""
        cases = ((None, 30.0, 15.0), (None, 6.0, 6.0), (8.0, 30.0, 24.0), (60.0, 30.0, 30.0))
        for interval, timeout, expected in cases:
            world = World(profile="kubernetes", heartbeat_interval=interval)
            server = world.connected(heartbeat=timeout / 3, timeout=timeout)
            server.grant()
            world.run_until(lambda s=server: s.transport.aborted, 60, 0.1)  # type: ignore[misc]
            self.assertLess(abs(world.clock.seconds() - expected), 0.3)

    def test_silent_server(self) -> None:
        """Silence for heartbeat_timeout ends the session, and the client connects again."""
        world = World()
        server = world.connected(heartbeat=10.0, timeout=30.0)
        server.grant()
        for _ in range(299):
            world.clock.advance(0.1)
        self.assertFalse(server.transport.aborted)
        world.clock.advance(0.2)
        self.assertTrue(server.transport.aborted)
        world.run_until(lambda: len(world.path.attempts) == 2)
