"""A client that joins: a one-time token is exchanged for a lasting one, which is stored before that is said."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from gotunnel.client.enrolment import TIMEOUT, Enrolment, NotConfirmed
from gotunnel.errors import AuthRejected, RemoteProtocolError
from gotunnel.wire.frames import encode_frame
from gotunnel.wire.handshake import ClientHandshake
from gotunnel.wire.messages import Drain, Enrol, Enrolled, Error, Message, NeedLegs, Ping, Pong, encode
from tests.client.world import TOKEN, FakePath, FakeServer
from tests.server.test_matrix import EVERY

LASTING = "c122c389f83d7543115721971c499abec8e9b36c9673b506cef611478c040c9b"


class World:
    """A client that joins, and the server that the test plays."""

    def __init__(self, *, encrypted: bool = True, token: str = TOKEN) -> None:
        self.clock = Clock()
        self.path = FakePath(self.clock)
        self.path.encrypted = encrypted
        self.server_token = TOKEN
        self.stored: list[str] = []
        self.fails: Exception | None = None
        self.enrolment = Enrolment(self.clock, self.path, self._store)  # type: ignore[arg-type]
        handshake = ClientHandshake("edge", token, b"one", "test", ("enrol",))
        self.result: list[Any] = []
        Deferred.fromCoroutine(self.enrolment.run(handshake)).addBoth(self.result.append)
        self.server = FakeServer(self, self.path.attempts[0][2])  # type: ignore[arg-type]

    def accepted(self, behind: Message | None = None) -> World:
        """Let it in, with a message in the same segment as auth_ok, if there is one."""
        self.server.challenge()
        self.server.accept(behind=b"" if behind is None else encode_frame(encode(behind)))
        return self

    def _store(self, token: str) -> None:
        if self.fails is not None:
            raise self.fails
        assert not [m for m in self.server.heard() if isinstance(m, Enrolled)], "it said so before it was true"
        self.stored.append(token)


class EnrolmentTests(SynchronousTestCase):
    """One attempt each."""

    def error(self, world: World, cls: type[Exception]) -> Any:
        """Return what it failed with, once the connection is gone."""
        world.clock.advance(0)
        (failure,) = world.result
        failure.trap(cls)
        return failure.value

    def test_capability(self) -> None:
        """Its hello says that it can."""
        self.assertIn(b'"caps":["enrol"]', World().server.transport.payloads()[0])

    def test_exchange(self) -> None:
        """Stored, then said; the server's word ends it, in order."""
        world = World().accepted(Enrol(LASTING))
        self.assertEqual(world.stored, [LASTING])
        self.assertIn(Enrolled(), world.server.heard())
        self.assertEqual(world.result, [])
        world.server.say(Enrolled())
        world.clock.advance(0)
        self.assertEqual(world.result, [True])
        self.assertTrue(world.server.transport.closed)
        self.assertEqual(world.clock.getDelayedCalls(), [])

    def test_token_that_lasts(self) -> None:
        """No enrol ahead of the pong: nothing is stored here, and the connection ends."""
        world = World().accepted()
        (ping,) = world.server.heard()
        assert isinstance(ping, Ping)
        world.server.say(Pong(ping.n))
        world.clock.advance(0)
        self.assertEqual((world.result, world.stored), ([False], []))
        self.assertEqual(world.clock.getDelayedCalls(), [])

    def test_pong_behind_enrol(self) -> None:
        """A pong says nothing once an enrol has come."""
        world = World().accepted(Enrol(LASTING))
        world.server.say(Pong(1))
        world.clock.advance(0)
        self.assertEqual(world.result, [])

    def test_not_without_tls(self) -> None:
        """A token that comes in clear is not taken."""
        world = World(encrypted=False).accepted(Enrol(LASTING))
        self.assertEqual(world.stored, [])
        self.assertEqual([m.code for m in world.server.heard() if isinstance(m, Error)], ["tls_required"])
        self.error(world, RemoteProtocolError)

    def test_weak_token(self) -> None:
        """Nor one that can be guessed."""
        world = World().accepted(Enrol("changeme" * 4))
        self.assertEqual(world.stored, [])
        self.error(world, RemoteProtocolError)

    def test_cannot_store(self) -> None:
        """Then it does not say that it has, and the failure is what it ends with."""
        world = World()
        world.fails = OSError(28, "No space left on device")
        world.accepted(Enrol(LASTING))
        self.assertEqual([type(m) for m in world.server.heard()], [Ping, Error])
        self.assertIs(self.error(world, OSError), world.fails)

    def test_lost_before(self) -> None:
        """A connection that breaks ahead of enrol: nothing was stored, and it is no success."""
        world = World().accepted()
        world.server.transport.lose()
        self.error(world, RemoteProtocolError)
        self.assertEqual(world.stored, [])

    def test_lost_after(self) -> None:
        """One that breaks once the token is stored leaves a doubt, which is told."""
        world = World().accepted(Enrol(LASTING))
        world.server.transport.lose()
        self.error(world, NotConfirmed)
        self.assertEqual(world.stored, [LASTING])

    def test_refused_after(self) -> None:
        """The same when the server says that it failed."""
        world = World().accepted(Enrol(LASTING))
        world.server.say(Error("internal", "disk full"))
        self.assertIn("disk full", str(self.error(world, NotConfirmed)))

    def test_ended_after(self) -> None:
        """A token that the server ends once it is stored is no doubt but a failure: another client with the same
        one-time token came first, or this one was revoked."""
        world = World().accepted(Enrol(LASTING))
        world.server.say(Error("auth_failed", "no"))
        self.assertEqual(self.error(world, AuthRejected).code, "auth_failed")

    def test_silent_server(self) -> None:
        """It does not wait for ever, with or without a token."""
        world = World().accepted()
        world.clock.advance(TIMEOUT)
        self.error(world, RemoteProtocolError)
        world = World().accepted(Enrol(LASTING))
        world.clock.advance(TIMEOUT)
        self.error(world, NotConfirmed)

    def test_refused(self) -> None:
        """A wrong token is an error of the handshake."""
        world = World()
        world.server.challenge()
        world.server.say(Error("auth_failed", "no"))
        self.assertEqual(self.error(world, AuthRejected).code, "auth_failed")

    def test_every_message(self) -> None:
        """In each state each message is handled, or a breach that closes; a token is stored once at most."""
        handled = {False: {"enrol", "error", "need_legs", "drain", "ping", "pong"},
                   True: {"enrolled", "error", "need_legs", "drain", "ping", "pong"}}  # fmt: skip
        for stored, good in handled.items():
            for kind, message in EVERY.items():
                if kind == "enrol":
                    message = Enrol(LASTING)
                world = World().accepted(Enrol(LASTING) if stored else None)
                world.server.say(message)
                codes = [m.code for m in world.server.heard() if isinstance(m, Error)]
                self.assertEqual(codes, [] if kind in good else ["protocol_error"], (stored, kind))
                self.assertLessEqual(len(world.stored), 1)
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_what_it_leaves_to_others(self) -> None:
        """A server that wants legs, or drains, gets no answer but the end."""
        world = World().accepted()
        world.server.say(NeedLegs(False, 2), Drain(1000))
        self.assertEqual([type(m) for m in world.server.heard()], [Ping])
