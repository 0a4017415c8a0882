"""A client that comes with a one-time token: what it is sent, what is valid after each step, and what it may not do."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from pydantic import SecretBytes
from twisted.internet.defer import Deferred
from twisted.logger import formatEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from gotunnel.config.identitychange import Change, revoked, rotated
from gotunnel.config.identityfile import FileIdentity, JoinConfig
from gotunnel.errors import ConfigError, Problem
from gotunnel.net.transports import hand_over
from gotunnel.server.enrolment import TIME
from gotunnel.server.greeting import ServerGreeting
from gotunnel.wire.handshake import NO_BINDING, ClientHandshake, derive_key
from gotunnel.wire.messages import Enrol, Enrolled, Error, Message, Ping, Pong, Register, decode
from tests.doubles import MemoryTransport
from tests.server import world
from tests.server.test_matrix import EVERY

ONCE = "c122c389f83d7543115721971c499abec8e9b36c9673b506cef611478c040c9b"
OLD = "6f1d0c9b8a7e5f4d3c2b1a09f8e7d6c5b4a39281706f5e4d"
NOW = 1_800_000_000.0
TLS: Any = SimpleNamespace(asks_clients=False)
"""All that a greeting asks of the TLS that it runs in, as long as it is no leg."""


def key(token: str) -> SecretBytes:
    """Return what the file keeps of a token of this client."""
    return SecretBytes(derive_key(token, "edge"))


class World(world.World):
    """A server with a clients file in memory. Changes wait for `turn` while `slow` is set, as the disk may take its
    time, and fail with `fails`."""

    def __init__(self, *clients: FileIdentity, **config: Any) -> None:
        super().__init__(**config)
        self.now = NOW
        self.hub.wall_clock = lambda: self.now
        self.file = clients
        self.slow: list[Deferred[None]] | None = None
        self.fails: Exception | None = None
        self.hub.change_clients = self._change
        self.edit(lambda clients: clients)

    def edit(self, change: Change) -> None:
        """Somebody changes the file."""
        self.file = change(self.file)
        self.hub.identities_changed(self.hub.credentials.table(self.file))

    async def _change(self, change: Change) -> None:
        if self.slow is not None:
            self.slow.append(Deferred())
            await self.slow[-1]
        if self.fails is not None:
            raise self.fails
        self.edit(change)

    def come(
        self, token: str = ONCE, caps: tuple[str, ...] = ("enrol",), *, encrypted: bool = True, instance: bytes = b"one"
    ) -> tuple[MemoryTransport, list[Message]]:
        """A client proves a token; return its connection and what it is told."""
        transport = MemoryTransport(self.clock, "192.0.2.1", next(self._ports))
        door = self.reception.buildProtocol(transport.getPeer())
        assert door is not None
        transport.protocol = door
        door.makeConnection(transport)
        hand_over(transport, ServerGreeting(self.hub, door, TLS if encrypted else None), b"")
        handshake = ClientHandshake("edge", token, instance, "test", caps)
        transport.say_json(handshake.hello())
        transport.say_json(handshake.receive_challenge(transport.payloads()[0], NO_BINDING))
        return transport, [decode(payload) for payload in transport.payloads()]

    def lasting(self, heard: list[Message]) -> str:
        """Return the token that came behind auth_ok."""
        _, enrol = heard
        assert isinstance(enrol, Enrol), heard
        return enrol.token

    def opens(self, *tokens: str) -> list[bool]:
        """Say which tokens let a client in now."""
        return [derive_key(token, "edge") in self.hub.keys_for("edge") for token in tokens]


def joining(**more: Any) -> FileIdentity:
    """Return a client that nobody has joined yet."""
    values = {"name": "edge", "keys": (), "join": JoinConfig(key=key(ONCE), expires=NOW + 60), **more}
    return FileIdentity.model_validate(values)


class EnrolmentTests(SynchronousTestCase):
    """One client, `edge`."""

    def code(self, transport: MemoryTransport, heard: list[Message] | None = None) -> str:
        """Return the code of the last words; the connection is closed with them."""
        error = (transport.heard() if heard is None else heard)[-1]
        assert isinstance(error, Error), error
        self.assertTrue(transport.gone)
        return error.code

    def test_exchange(self) -> None:
        """auth_ok and enrol in one go; enrolled is answered, and the connection closed; then the lasting token alone is
        valid, and it is that of an ordinary client."""
        it = World(joining())
        transport, heard = it.come()
        lasting = it.lasting(heard)
        self.assertEqual(it.opens(ONCE, lasting), [True, True])
        transport.say(Enrolled())
        self.assertEqual(transport.heard(), [Enrolled()])
        self.assertTrue(transport.closed)
        self.assertEqual(it.opens(ONCE, lasting), [False, True])
        self.assertEqual(it.file, (FileIdentity.model_validate({"name": "edge", "keys": (key(lasting),)}),))
        it.clock.advance(0)
        self.assertEqual((it.reception.strangers, it.clock.getDelayedCalls()), (0, []))
        it.come(lasting)
        self.assertIsNotNone(it.hub.sessions.current("edge"))

    def test_used_up(self) -> None:
        """The second time it is as wrong as any."""
        it = World(joining())
        transport, _ = it.come()
        transport.say(Enrolled())
        self.assertEqual(self.code(*it.come()), "auth_failed")

    def test_two_at_once(self) -> None:
        """Two come with one token at the same moment: the one whose lasting token is valid is let in, the other is told
        that his is not, and nothing says that the one-time token is."""
        it, said = World(joining()), []
        globalLogPublisher.addObserver(said.append)
        self.addCleanup(globalLogPublisher.removeObserver, said.append)
        (first, heard), (second, heard_second) = it.come(), it.come()
        second.say(Enrolled())
        self.assertEqual(second.heard(), [Enrolled()])
        first.say(Enrolled())
        self.assertEqual(self.code(first), "auth_failed")
        self.assertEqual(it.opens(ONCE, it.lasting(heard), it.lasting(heard_second)), [False, False, True])
        it.clock.advance(0)
        lines = [formatEvent(event) for event in said]
        self.assertIn("its one-time token is not valid any more", "".join(lines))
        self.assertNotIn("is still valid", "".join(lines))

    def test_expired(self) -> None:
        """From the very second on."""
        it = World(joining())
        it.now += 60
        self.assertEqual(self.code(*it.come()), "auth_failed")

    def test_breaks_before_the_answer(self) -> None:
        """The one-time token still works, and so does the lasting one, which the client may have stored; the next
        exchange replaces that."""
        it = World(joining())
        transport, heard = it.come()
        first = it.lasting(heard)
        transport.lose()
        self.assertEqual(it.opens(ONCE, first), [True, True])
        _, heard = it.come()
        second = it.lasting(heard)
        self.assertEqual(it.opens(ONCE, first, second), [True, False, True])

    def test_lasting_token_is_used(self) -> None:
        """The answer was lost after the client had stored the token: its first use ends the one-time one."""
        it = World(joining())
        transport, heard = it.come()
        lasting = it.lasting(heard)
        transport.lose()
        it.come(lasting)
        self.assertEqual(it.opens(ONCE, lasting), [False, True])
        self.assertIsNotNone(it.hub.sessions.current("edge"))

    def test_lasting_token_outlives_the_other(self) -> None:
        """The same when the one-time token has expired meanwhile."""
        it = World(joining())
        transport, heard = it.come()
        transport.lose()
        it.now += 60
        it.come(it.lasting(heard))
        self.assertIsNotNone(it.hub.sessions.current("edge"))

    def test_ordinary_client(self) -> None:
        """Without the capability it is told what the token is for, and the token stays good."""
        it = World(joining())
        self.assertEqual(self.code(*it.come(caps=())), "enrol_required")
        it.lasting(it.come()[1])

    def test_never_without_tls(self) -> None:
        """No token leaves outside of TLS, and none is spent."""
        it = World(joining())
        transport, heard = it.come(encrypted=False)
        self.assertEqual((self.code(transport, heard), len(heard)), ("tls_required", 1))
        self.assertEqual(it.file, (joining(),))

    def test_capability_alone(self) -> None:
        """A client that could enrol and has a lasting token is an ordinary one."""
        it = World(joining(keys=(key(OLD),)))
        transport, heard = it.come(OLD)
        self.assertNotIn(Enrol, [type(message) for message in heard])
        transport.say(Ping(1))
        self.assertEqual(transport.heard(), [Pong(1)])
        transport.say(Enrolled())
        self.assertEqual(self.code(transport), "protocol_error")

    def test_nothing_else(self) -> None:
        """Anything but enrolled, pings and error ends it, and leaves the token as it was."""
        for kind, message in EVERY.items():
            it = World(joining())
            transport, heard = it.come()
            transport.say(message)
            codes = [m.code for m in transport.heard() if isinstance(m, Error)]
            self.assertEqual(codes, [] if kind in ("enrolled", "error", "ping", "pong") else ["protocol_error"], kind)
            self.assertEqual(it.opens(ONCE, it.lasting(heard)), [kind != "enrolled", True])
            self.assertEqual((len(it.hub.sessions), it.hub.peers), (0, {}))
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_answered_twice(self) -> None:
        """While the first answer is being stored, a second one is a breach."""
        it = World(joining())
        transport, _ = it.come()
        it.slow = []
        transport.say(Enrolled(), Enrolled())
        self.assertEqual(self.code(transport), "protocol_error")

    def test_slow_client(self) -> None:
        """It has its time, beyond the deadline of strangers, and no more; all that while it is one of them."""
        it = World(joining())
        transport, _ = it.come()
        it.clock.advance(TIME - 0.01)
        self.assertFalse(transport.gone)
        self.assertEqual(it.reception.strangers, 1)
        it.clock.advance(0.02)
        self.assertEqual(self.code(transport), "protocol_error")
        it.clock.advance(0)
        self.assertEqual((it.reception.strangers, it.opens(ONCE)), (0, [True]))

    def test_slow_disk(self) -> None:
        """Nothing is said before it is stored, and who leaves meanwhile is told nothing."""
        it = World(joining())
        it.slow = []
        transport, heard = it.come()
        self.assertEqual(heard, [])
        it.slow[0].callback(None)
        token = it.lasting(transport.heard())
        transport.say(Enrolled())
        self.assertEqual(transport.heard(), [])
        it.slow[1].callback(None)
        self.assertEqual(transport.heard(), [Enrolled()])
        it = World(joining())
        it.slow = []
        transport, _ = it.come()
        transport.lose()
        it.slow[0].callback(None)
        self.assertEqual((transport.heard(), it.reception.strangers, it.opens(token)), ([], 0, [False]))

    def test_slow_end(self) -> None:
        """While its token is stored here the client is not too late. Whether it has joined is logged once, when that is
        known, also if it has disconnected."""
        for leaves, fails in ((False, False), (True, False), (False, True), (True, True)):
            said: list[Any] = []
            globalLogPublisher.addObserver(said.append)
            it = World(joining())
            transport, _ = it.come()
            it.slow = []
            transport.say(Enrolled())
            if leaves:
                transport.lose()
            it.clock.advance(TIME + 1)
            self.assertFalse(transport.gone)
            if fails:
                it.fails = ConfigError([Problem("clients.json", None, "", "cannot be written", "mend it")])
            it.slow[0].callback(None)
            it.clock.advance(0)
            if not leaves:
                last = transport.heard()[-1]
                self.assertIsInstance(last, Error if fails else Enrolled)
            lines = [line for line in map(str, map(formatEvent, said)) if " joined" in line]
            expected = "has not joined (192.0.2.1:" if fails else "has joined from"
            self.assertEqual([expected in line for line in lines], [True], lines)
            self.assertEqual(it.opens(ONCE), [fails])
            globalLogPublisher.removeObserver(said.append)

    def test_cannot_store(self) -> None:
        """A file that cannot be changed: no token is sent, or its end is not claimed; the log says why."""
        it = World(joining())
        it.fails = ConfigError([Problem("clients.json", None, "", "cannot be written", "mend it")])
        self.assertEqual(self.code(*it.come()), "internal")
        it.fails = None
        transport, heard = it.come()
        lasting = it.lasting(heard)
        it.fails = ConfigError([Problem("clients.json", None, "", "cannot be written", "mend it")])
        transport.say(Enrolled())
        self.assertEqual(self.code(transport), "internal")
        self.assertEqual(it.opens(ONCE, lasting), [True, True])

    def test_revoked_meanwhile(self) -> None:
        """Between the steps, and nothing comes back to life."""
        it = World(joining())
        transport, heard = it.come()
        it.edit(revoked("edge"))
        transport.say(Enrolled())
        self.assertEqual(self.code(transport), "auth_failed")
        self.assertEqual(it.opens(ONCE, it.lasting(heard)), [False, False])
        it = World(joining())
        it.slow = []
        transport, _ = it.come()
        it.edit(revoked("edge"))
        it.slow[0].callback(None)
        self.assertEqual(self.code(transport), "auth_failed")

    def test_bug(self) -> None:
        """An error that nobody expected ends the connection and is logged."""
        it = World(joining())
        transport, _ = it.come()
        it.fails = ZeroDivisionError()
        transport.say(Enrolled())
        self.assertTrue(transport.aborted)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_server_stops(self) -> None:
        """Nobody waits for it."""
        it = World(joining())
        transport, _ = it.come()
        it.reception.close_all()
        self.assertTrue(transport.aborted)

    def test_running_client_goes_on(self) -> None:
        """A join beside a client that runs with an older token disturbs it only when the new token is used."""
        it = World(joining(keys=(key(OLD),)))
        running, _ = it.come(OLD)
        running.say(Register(1, ()))
        transport, heard = it.come(instance=b"two")
        transport.say(Enrolled())
        lasting = it.lasting(heard)
        it.clock.advance(0)
        self.assertEqual((running.gone, it.opens(OLD, ONCE, lasting)), (False, [True, False, True]))
        running.lose()
        it.come(lasting, instance=b"two")
        self.assertEqual(it.opens(OLD, ONCE, lasting), [False, False, True])


class RotationTests(SynchronousTestCase):
    """Two lasting tokens."""

    def test_first_use_ends_the_old(self) -> None:
        """The old one is valid until the new one is used, and not longer."""
        it = World(FileIdentity.model_validate({"name": "edge", "keys": (key(OLD),)}))
        it.edit(rotated("edge", derive_key(ONCE, "edge"), None, NOW))
        transport, _ = it.come(OLD)
        self.assertEqual(it.opens(OLD, ONCE), [True, True])
        transport.lose()
        it.come(ONCE, instance=b"two")
        self.assertEqual(it.opens(OLD, ONCE), [False, True])

    def test_visitors_of_the_old_session_stay(self) -> None:
        """A restart with the new token cuts no visitor of the process that drains."""
        it = World(FileIdentity.model_validate({"name": "edge", "keys": (key(OLD), key(ONCE))}))
        it.come(OLD)
        old = it.hub.sessions.current("edge").session  # type: ignore[union-attr]
        it.come(ONCE)
        self.assertTrue(old.over)
        self.assertIsNone(it.hub.shut_out("edge", old.proven))
        it.edit(revoked("edge"))
        self.assertIsNotNone(it.hub.shut_out("edge", old.proven))

    def test_cannot_store(self) -> None:
        """Then the old one stays valid, and the client is served."""
        it = World(FileIdentity.model_validate({"name": "edge", "keys": (key(OLD), key(ONCE))}))
        it.fails = ConfigError([Problem("clients.json", None, "", "cannot be written", "mend it")])
        it.come(ONCE)
        self.assertEqual(it.opens(OLD, ONCE), [True, True])
        self.assertIsNotNone(it.hub.sessions.current("edge"))
