"""The server's side of both handshakes: what is refused, how, and that nothing is let in by mistake."""

from __future__ import annotations

import json
from pathlib import Path
from unittest import mock

from twisted.internet.testing import EventLoggingObserver
from twisted.logger import formatEvent, globalLogPublisher

from gotunnel.core.identities import KEYS
from gotunnel.errors import RemoteProtocolError
from gotunnel.net.tls import own_server_tls
from gotunnel.wire.frames import LIMIT_BEFORE_AUTH, encode_frame
from gotunnel.wire.handshake import NO_BINDING, ClientHandshake, client_mac, leg_client_mac
from gotunnel.wire.messages import AuthOk, Challenge, Error, Leg, LegOk, encode
from tests.server.world import TOKEN, ServerTestCase, World

SHARED = "c94e01b7d6f85a2338e07b1f6ad95c42"
CLIENTS = [{"name": "edge", "token": TOKEN}, {"name": "out", "token": TOKEN, "disabled": True}]

HOSTILE = (
    b"{}",
    b"[]",
    b'""',
    b"null",
    b'{"type":[]}',
    b'{"type":{}}',
    b'{"type":null}',
    b'{"type":1}',
    b'{"type":"hello"}',
    b'{"type":"leg"}',
    b'{"type":"hello","type":"hello"}',
    b"\xff\xfe{\x00}\x00",
    b"[" * 4000,
    b'{"type":"hello","v":1e999}',
    b'{"type":"hello","v":NaN}',
    b'{"type":"hello","v":true,"min_v":2,"client":"e","nonce":"x"}',
    b'{"type":"nonsense\\u001b[2J\\nx"}',
)


class FrameTests(ServerTestCase):
    """What breaks a rule is answered with `error` and a close, never with a traceback."""

    def test_hostile_first_frames(self) -> None:
        """Whatever JSON can hold, or is no JSON at all."""
        for payload in HOSTILE:
            world = self.world()
            transport = world.connect()
            transport.say_json(payload)
            self.assertError(transport, "protocol_error", "bad_json")
            world.clock.advance(0)
            self.assertEqual(world.reception.strangers, 0)

    def test_limit_at_the_header(self) -> None:
        """4,096 bytes before the proof, and the header alone decides; for the first frame and for `auth`."""
        for length in (0, LIMIT_BEFORE_AUTH + 1, 65536, 2**24 - 1):
            transport = self.world().connect()
            transport.say_bytes(length.to_bytes(4, "big"))
            self.assertError(transport, "protocol_error")
        transport = self.world().connect()
        transport.say_json(ClientHandshake("edge", TOKEN, b"one", "test").hello())
        transport.heard()
        transport.say_bytes((LIMIT_BEFORE_AUTH + 1).to_bytes(4, "big"))
        self.assertError(transport, "protocol_error")

    def test_longest(self) -> None:
        """4,096 bytes are not too many."""
        hello = json.loads(ClientHandshake("edge", TOKEN, b"one", "test").hello())
        hello["future"] = ""
        hello["future"] = "x" * (LIMIT_BEFORE_AUTH - len(json.dumps(hello)))
        transport = self.world().connect()
        transport.say_json(json.dumps(hello))
        self.assertEqual([type(m) for m in transport.heard()], [Challenge])

    def test_bytes_ahead(self) -> None:
        """Bytes that arrive ahead of an answer close: behind hello, behind auth, behind a leg, and while it decides."""
        world = self.world()
        hello = encode_frame(ClientHandshake("edge", TOKEN, b"one", "test").hello())
        transport = world.connect()
        transport.say_bytes(hello + b"\0")
        self.assertError(transport, "protocol_error")

        transport = world.connect()
        handshake = ClientHandshake("edge", TOKEN, b"one", "test")
        transport.say_json(handshake.hello())
        (challenge,) = transport.payloads()
        transport.say_bytes(encode_frame(handshake.receive_challenge(challenge, NO_BINDING)) + b"\0")
        self.assertError(transport, "protocol_error")

        client = world.login()
        transport = world.connect()
        message = client.leg_message()
        transport.say_bytes(encode_frame(encode(message)) + b"\0")
        self.assertError(transport, "protocol_error")
        self.assertEqual(world.relay.legs, [])

        transport = world.connect()
        world.prove(transport, instance=b"two")  # the server asks the old session now
        transport.say_bytes(b"\0")
        self.assertError(transport, "protocol_error")

    def test_silence_after_the_error(self) -> None:
        """What is said after a refusal is not looked at."""
        transport = self.world().connect()
        transport.say_json(b"{}")
        transport.heard()
        transport.say_json(ClientHandshake("edge", TOKEN, b"one", "test").hello())
        self.assertEqual(transport.heard(), [])


class ControlTests(ServerTestCase):
    """hello, challenge, auth, auth_ok."""

    def test_good(self) -> None:
        """The limits and the pace are those of the configuration; the server's proof holds."""
        world = self.world(heartbeat=7.0, heartbeat_timeout=22.0, limits={"mappings": 3, "legs": 5, "visitors": 6})
        established = world.login().established
        answer = established.auth_ok
        self.assertEqual((answer.heartbeat, answer.heartbeat_timeout), (7.0, 22.0))
        self.assertEqual((answer.limits.mappings, answer.limits.legs, answer.limits.visitors), (3, 5, 6))

    def test_wrong_token(self) -> None:
        """auth_failed, with a wish to wait, and nothing is begun."""
        world = self.world()
        transport = world.connect()
        _, answers = world.prove(transport, token="0" * 32)
        (error,) = [json.loads(answer) for answer in answers]
        self.assertEqual((error["type"], error["code"], error["retry_after"]), ("error", "auth_failed", 5.0))
        self.assertTrue(transport.gone)
        self.assertEqual(len(world.hub.sessions), 0)

    def test_unknown_name_gets_the_same_answer(self) -> None:
        """Who has a token of his own, who is disabled, and who is unknown cannot be told apart from outside: the same
        answer, after as many comparisons."""
        world = World(token=None, clients=CLIENTS)
        answers, counts = [], []
        for name in ("edge", "out", "nobody"):
            compared: list[bytes] = []

            def count(key: bytes, th: bytes, compared: list[bytes] = compared) -> bytes:
                compared.append(key)
                return client_mac(key, th)

            handshake = ClientHandshake(name, "0" * 32, b"one", "test")
            transport = world.connect()
            transport.say_json(handshake.hello())
            auth = handshake.receive_challenge(transport.payloads()[0], NO_BINDING)
            with mock.patch("gotunnel.wire.handshake.client_mac", count):
                transport.say_json(auth)
            answers.append(transport.payloads())
            counts.append(len(compared))
        self.assertEqual((answers[0], answers[0]), (answers[1], answers[2]))
        self.assertEqual(counts, [KEYS, KEYS, KEYS])

    def test_names_that_may_not_come_in(self) -> None:
        """A disabled name and a name that is not listed are refused although their token would be right, and so is a
        listed name with the shared token."""
        world = World(token=SHARED, clients=CLIENTS)
        for name, token in (("out", TOKEN), ("nobody", TOKEN), ("edge", SHARED), ("out", SHARED)):
            _, answers = world.prove(world.connect(), name, token=token)
            self.assertEqual([json.loads(answer)["code"] for answer in answers], ["auth_failed"], name)
        self.assertEqual(len(world.hub.sessions), 0)
        world.login("edge", host="192.0.2.2")
        _, answers = world.prove(world.connect("192.0.2.2"), "nobody", token=SHARED)
        self.assertEqual([json.loads(answer)["type"] for answer in answers if b"need_legs" not in answer], ["auth_ok"])

    def test_replay(self) -> None:
        """A recorded hello and auth, sent again, is refused: the server's nonce is another one."""
        world = self.world()
        handshake = ClientHandshake("edge", TOKEN, b"one", "test")
        hello = handshake.hello()
        first = world.connect()
        first.say_json(hello)
        auth = handshake.receive_challenge(first.payloads()[0], NO_BINDING)
        first.say_json(auth)
        self.assertIsInstance(first.heard()[0], AuthOk)
        second = world.connect()
        second.say_json(hello)
        second.payloads()
        second.say_json(auth)
        self.assertError(second, "auth_failed")
        self.assertEqual(len(world.hub.sessions), 1)

    def test_version(self) -> None:
        """A client that speaks other versions only is told so."""
        transport = self.world().connect()
        hello = json.loads(ClientHandshake("edge", TOKEN, b"one", "test").hello())
        transport.say_json(json.dumps({**hello, "v": 4, "min_v": 3}))
        self.assertError(transport, "version")

    def test_tls_required(self) -> None:
        """A plain hello, and a plain leg, are answered with tls_required."""
        state = Path(self.mktemp())
        state.mkdir()
        world = World(tls=own_server_tls(state))
        transport = world.connect()
        transport.say_json(ClientHandshake("edge", TOKEN, b"one", "test").hello())
        self.assertError(transport, "tls_required")
        transport = world.connect()
        transport.say(Leg(bytes(16), 1, "reverse", bytes(32)))
        self.assertError(transport, "tls_required")

    def test_plain_legs_are_excepted(self) -> None:
        """With allow_plain_legs a plain leg is looked at; a plain hello is refused all the same."""
        state = Path(self.mktemp())
        state.mkdir()
        world = World(tls=own_server_tls(state), allow_plain_legs=True)
        transport = world.connect()
        transport.say(Leg(bytes(16), 1, "reverse", bytes(32)))
        self.assertError(transport, "no_session")
        transport = world.connect()
        transport.say_json(ClientHandshake("edge", TOKEN, b"one", "test").hello())
        self.assertError(transport, "tls_required")

    def test_version_1(self) -> None:
        """`register` and `data_channel` of the Go client get its kind of answer, right token or not, TLS or not."""
        state = Path(self.mktemp())
        state.mkdir()
        for world in (self.world(), World(tls=own_server_tls(state))):
            for kind in ("register", "data_channel"):
                transport = world.connect()
                transport.say_json(json.dumps({"type": kind, "token": TOKEN, "remote_port": 10250, "name": "x"}))
                (answer,) = [json.loads(payload) for payload in transport.payloads()]
                self.assertEqual((answer["type"], answer["status"]), ("register_resp", "fail"))
                self.assertTrue(answer["reason"])
                self.assertTrue(transport.gone)
        self.assertEqual(world.relay.ports, [])


class LegTests(ServerTestCase):
    """leg, leg_ok."""

    def setUp(self) -> None:
        """A server with a client."""
        self.it = self.world()
        self.client = self.it.login()

    def refused(self, leg: Leg, code: str) -> None:
        """The leg is refused with the code, and no leg has come of it."""
        transport = self.it.connect()
        before = len(self.it.relay.legs)
        transport.say(leg)
        self.assertError(transport, code)
        self.assertEqual(len(self.it.relay.legs), before)

    def test_good(self) -> None:
        """A leg is answered with the server's proof and goes to the relay, told of what it is."""
        leg = self.client.bring_leg()
        self.assertEqual((leg.plain, leg.tag), (False, 1))

    def test_breaks_under_the_answer(self) -> None:
        """A connection that is gone when the relay takes it over is closed, without a word to nobody: it leaves neither
        a line in the log nor a timer."""
        log = EventLoggingObserver.createWithCleanup(self, globalLogPublisher)

        def broken(*args: object) -> None:
            raise RemoteProtocolError("the connection broke at the end of its handshake", "closed")

        self.patch(self.it.relay, "leg", broken)
        timers = len(self.it.clock.getDelayedCalls())
        transport = self.it.connect()
        transport.say(self.client.leg_message())
        self.assertTrue(transport.aborted)
        self.it.clock.advance(0)
        self.assertEqual(len(self.it.clock.getDelayedCalls()), timers)
        self.assertEqual([str(formatEvent(event)) for event in log], [])

    def test_replayed(self) -> None:
        """Each number serves once."""
        leg = self.client.leg_message()
        transport = self.it.connect()
        transport.say(leg)
        self.assertIsInstance(transport.heard()[0], LegOk)
        self.refused(leg, "auth_failed")

    def test_number_is_spent_by_proof_only(self) -> None:
        """A forged leg does not use up its number."""
        self.refused(Leg(self.client.established.sid, 7, "reverse", bytes(32)), "auth_failed")
        (answer,) = self.client.offer_leg(7).heard()
        self.assertIsInstance(answer, LegOk)

    def test_in_any_order(self) -> None:
        """Legs dialled side by side arrive in any order."""
        for seq in (9, 3, 8, 1):
            (answer,) = self.client.offer_leg(seq).heard()
            self.assertIsInstance(answer, LegOk, seq)

    def test_other_binding(self) -> None:
        """A MAC over another certificate than ours is refused."""
        self.refused(self.client.leg_message(cb=b"\1" * 32), "auth_failed")

    def test_other_purpose(self) -> None:
        """The purpose is under the MAC; a forward leg goes to the other half of the session."""
        sid, ks = self.client.established.sid, self.client.established.ks
        self.refused(Leg(sid, 1, "forward", leg_client_mac(ks, sid, 1, "reverse", NO_BINDING)), "auth_failed")
        transport = self.it.connect()
        transport.say(Leg(sid, 2, "forward", leg_client_mac(ks, sid, 2, "forward", NO_BINDING)))
        (answer,) = transport.heard()
        self.assertIsInstance(answer, LegOk)
        (session,) = self.it.hub._live
        self.assertEqual((session.legs_held, len(session.forward.legs)), (0, 1))

    def test_other_session(self) -> None:
        """The key of one session does not open another."""
        other = self.it.login("other")
        ks, sid = other.established.ks, self.client.established.sid
        self.refused(Leg(sid, 1, "reverse", leg_client_mac(ks, sid, 1, "reverse", NO_BINDING)), "auth_failed")

    def test_unknown_and_dead_session(self) -> None:
        """no_session: for an id that never was, after the control connection is lost, and after a takeover."""
        self.refused(Leg(bytes(16), 1, "reverse", bytes(32)), "no_session")
        self.client.publish(8080)
        self.client.transport.lose()
        self.refused(self.client.leg_message(), "no_session")
        fresh = self.it.login()
        self.refused(self.client.leg_message(), "no_session")
        self.it.login()
        self.refused(fresh.leg_message(), "no_session")

    def test_limit(self) -> None:
        """A session holds no more legs than `limits.legs`; one that is gone makes room."""
        self.it = self.world(limits={"legs": 2})
        self.client = self.it.login()
        legs = [self.client.bring_leg(), self.client.bring_leg()]
        self.refused(self.client.leg_message(), "limit")
        legs[0].lose()
        self.client.bring_leg()


class LastWordsTests(ServerTestCase):
    """Refusals and those who do not listen."""

    def test_error_then_close(self) -> None:
        """One frame and an orderly close, so that it is read; an abort 2 s later."""
        world = self.world()
        transport = world.connect(holds=True)
        transport.say_json(b"{}")
        self.assertEqual([type(m) for m in transport.heard()], [Error])
        self.assertEqual((transport.closed, transport.aborted), (True, False))
        world.clock.advance(2.0)
        self.assertTrue(transport.aborted)
        world.clock.advance(0)
        self.assertEqual(world.clock.getDelayedCalls(), [])
