"""Clients that show their token: what travels, who is asked, and what an accepted client may do."""

from __future__ import annotations

import sys
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.internet.testing import EventLoggingObserver
from twisted.logger import globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from gotunnel.address import HostPort
from gotunnel.cli.doctor.login import log_in
from gotunnel.client.service import make_client
from gotunnel.client.standing import Standing
from gotunnel.config.identityfile import FileIdentity, written
from gotunnel.config.model import ClientConfig, ServerConfig, TlsClientConfig
from gotunnel.core.logins import Accepted, Login
from gotunnel.core.penalties import Offence
from gotunnel.core.ports import PortSet
from gotunnel.errors import AuthRejected, LocalProtocolError, RemoteProtocolError
from gotunnel.server.guests import within
from gotunnel.server.logins import AT_ONCE, SHARE, Logins, Unanswered
from gotunnel.server.reception import Door
from gotunnel.server.view import ServerView
from gotunnel.wire.greeting import BEARER, Bearer
from gotunnel.wire.handshake import NO_BINDING, ClientHandshake, ServerHandshake
from gotunnel.wire.messages import Auth, Limits, decode, encode
from tests.config.files import CLIENT, SERVER, FileTestCase
from tests.integration.base import TOKEN, IntegrationTestCase, reactor
from tests.plugins.places import PlaceTestCase, ReactorPlaceTestCase

SHOWN = "eyJhbGciOiJSUzI1NiJ9.shown-token-of-somebody"
CB = b"x" * 32

JUDGE = '''
from twisted.internet.defer import Deferred
from gotunnel.core.logins import Accepted

class O(Options):
    how: str = Field(default="token", description="x")
    token: str = Field(default="", description="x")
    who: str = Field(default="somebody", description="x")
    ports: list[str] | None = Field(default=None, description="x")
    seconds: float | None = Field(default=None, description="x")

class Judge:
    """Answers as its options say."""

    asked = []
    pending = []

    def __init__(self, reactor, options):
        self.options = options

    def judge(self, login):
        how = self.options.how
        self.asked.append((how, login))
        if how == "raise":
            raise RuntimeError("no idea about " + login.token)
        if how == "wait":
            self.pending.append(Deferred())
            return self.pending[-1]
        if how == "nonsense":
            return True
        if login.token != self.options.token:
            return None
        ports = self.options.ports
        return Accepted(self.options.who, None if ports is None else tuple(ports), self.options.seconds)

judge = Plugin(IAuthenticator, "judge", Judge, options=O)
'''


def judges() -> Any:
    """Return the class of the plugin above."""
    return sys.modules["gotunnel.plugins.judge"].Judge


def named(*options: dict[str, Any]) -> Any:
    """Return what a file says of such authenticators."""
    section = {"token": TOKEN, "authenticators": [{"plugin": "judge", **each} for each in options]}
    return ServerConfig.model_validate(section).authenticators


class HandshakeTests(SynchronousTestCase):
    """`bearer` in place of `auth`."""

    def ends(self, *, client: bool = True, server: bool = True) -> tuple[ClientHandshake, ServerHandshake]:
        one = ClientHandshake("edge", SHOWN, b"i", "test", ("enrol",), bearer=client)
        other = ServerHandshake(lambda name: [], ("forward",), b"s", bearer=server)
        return one, other

    def test_shown(self) -> None:
        """The server has the token, both have the key of the legs, and the server has proved that it has the token."""
        client, server = self.ends()
        challenge = server.receive_hello(client.hello())
        self.assertEqual(server.hello.caps, ("enrol", BEARER))
        payload = client.receive_challenge(challenge, CB)
        self.assertEqual(server.receive_auth(payload, CB), SHOWN)
        established = client.receive_auth_ok(server.established(Limits(1, 1, 1), 1.0, 3.0))
        self.assertEqual(established.ks, server.ks)
        self.assertNotIn(SHOWN, repr(decode(payload)))

    def test_of_another_connection(self) -> None:
        """A proof from another TLS session is worth nothing: who is in between cannot pass it on as it is."""
        client, server = self.ends()
        payload = client.receive_challenge(server.receive_hello(client.hello()), CB)
        self.assertRaises(AuthRejected, server.receive_auth, payload, b"y" * 32)

    def test_not_wanted(self) -> None:
        """A server that has nobody to ask does not hear the token, and refuses one that comes all the same."""
        client, server = self.ends(server=False)
        error = self.assertRaises(
            RemoteProtocolError, client.receive_challenge, server.receive_hello(client.hello()), CB
        )
        self.assertEqual(error.code, "no_bearer")
        self.assertRaises(RemoteProtocolError, server.receive_auth, encode(Bearer(SHOWN, b"m" * 32)), CB)

    def test_not_outside_tls(self) -> None:
        """Whatever a server asks for, nothing is shown without TLS."""
        client, server = self.ends()
        self.assertRaises(
            LocalProtocolError, client.receive_challenge, server.receive_hello(client.hello()), NO_BINDING
        )

    def test_off(self) -> None:
        """A client that was not told to shows nothing, also where a server could take it; its name is unknown there."""
        client, server = self.ends(client=False)
        payload = client.receive_challenge(server.receive_hello(client.hello()), CB)
        self.assertIsInstance(decode(payload), Auth)
        self.assertNotIn(SHOWN.encode(), payload)
        self.assertRaises(AuthRejected, server.receive_auth, payload, CB)


class JudgingTests(PlaceTestCase):
    """One authenticator after the other, on a clock that stands still."""

    def setUp(self) -> None:
        self.module(self.place(), "judge", JUDGE)
        self.clock = Clock()
        self.log = EventLoggingObserver.createWithCleanup(self, globalLogPublisher)
        self.logins = Logins(self.clock, named({"how": "raise"}))

    def ask(self, *options: dict[str, Any], logins: Logins | None = None) -> Deferred[Any]:
        logins = logins or Logins(self.clock, named(*options))
        return Deferred.fromCoroutine(logins.judge(Login("edge", SHOWN, "192.0.2.7"), 5.0))

    def asked(self) -> list[str]:
        return [how for how, _ in judges().asked]

    def test_first_one(self) -> None:
        """Whoever accepts first is the last one asked."""
        accepted, by = self.successResultOf(self.ask({"how": "no"}, {"token": SHOWN}, {"how": "raise"}))
        self.assertEqual((accepted, by.options.token), (Accepted("somebody"), SHOWN))
        self.assertEqual(self.asked(), ["no", "token"])
        self.assertNotIn(SHOWN, repr(judges().asked[0][1]))

    def test_token_told(self) -> None:
        """A service that calls a client by its token does not get that into the log."""
        ((accepted, _),) = [self.successResultOf(self.ask({"token": SHOWN, "who": f"user {SHOWN}"}))]
        self.assertEqual(accepted.who, "user (the token)")

    def test_nobody(self) -> None:
        """All say no."""
        self.assertIsNone(self.successResultOf(self.ask({"how": "no"}, {"how": "no"})))

    def test_fails(self) -> None:
        """One that raises, or answers with anything else, lets nobody in; others are asked. The log has no token."""
        for how in ("raise", "nonsense"):
            self.failureResultOf(self.ask({"how": how}, {"how": "no"}), Unanswered)
            self.assertIsNotNone(self.successResultOf(self.ask({"how": how}, {"token": SHOWN})))
        said = [str(event["reason"]) for event in self.log if "reason" in event]
        self.assertEqual(said[0], "no idea about (the token)")
        self.assertEqual(said[-1], "it answered with a bool")
        self.assertNotIn(SHOWN, str(self.log))

    def test_late(self) -> None:
        """All share four fifths of the client's time; who is late is cancelled, and leaves the next his share."""
        asking = self.ask({"how": "wait"}, {"how": "wait"})
        self.clock.advance(5.0 * SHARE / 2)
        self.assertEqual([each.called for each in judges().pending], [True, False])
        self.clock.advance(5.0 * SHARE / 2 - 0.01)
        self.assertNoResult(asking)
        self.clock.advance(0.01)
        self.failureResultOf(asking, Unanswered)
        self.assertEqual((len(judges().pending), self.clock.getDelayedCalls()), (2, []))
        asking = self.ask({"how": "wait"}, {"token": SHOWN})
        self.clock.advance(5.0 * SHARE / 2)
        self.assertIsNotNone(self.successResultOf(asking))

    def test_nobody_asked(self) -> None:
        """A name that is nobody's business has its no as late as the last one that was asked about, and takes a place
        meanwhile."""
        logins = Logins(self.clock, named({"how": "wait"}))
        asking = self.ask(logins=logins)
        self.clock.advance(1.25)
        judges().pending[-1].callback(None)
        self.assertIsNone(self.successResultOf(asking))
        before = len(self.asked())
        other = Deferred.fromCoroutine(logins.judge(Login("own", SHOWN, "192.0.2.7"), 5.0, ask=False))
        self.clock.advance(1.2)
        self.assertNoResult(other)
        self.clock.advance(0.05)
        self.assertIsNone(self.successResultOf(other))
        self.assertEqual((len(self.asked()), logins._judged), (before, 0))

    def test_given_up(self) -> None:
        """Given up, nobody else is asked, and the place is free."""
        logins = Logins(self.clock, named({"how": "wait"}, {"token": SHOWN}))
        asking = self.ask(logins=logins)
        asking.cancel()
        self.failureResultOf(asking, CancelledError)
        self.assertEqual((self.asked()[-1], logins._judged, judges().pending[-1].called), ("wait", 0, True))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_breaks(self) -> None:
        """One that breaks when it is given up holds no place for ever."""
        logins = Logins(self.clock, named({"how": "wait"}))
        for _ in range(AT_ONCE + 1):
            asking = self.ask(logins=logins)
            judges().pending[-1]._canceller = lambda _: 1 // 0
            self.clock.advance(5.0)
            self.failureResultOf(asking, Unanswered)
        self.flushLoggedErrors(ZeroDivisionError)
        self.assertEqual(self.asked().count("wait"), AT_ONCE + 1)

    def test_lines(self) -> None:
        """Strangers who come while nobody answers, or one too many at a time, do not fill the log."""
        for _ in range(20):
            self.failureResultOf(self.ask({"how": "raise"}, logins=self.logins), Unanswered)
        said = [event for event in self.log if "has no answer" in event.get("log_format", "")]
        self.assertEqual(len(said), 5)

    def test_nonsense(self) -> None:
        """What cannot hold is refused when it is said, and not when it is needed: seconds that never end, ports that
        are none, letters of a text taken for ports."""
        nan = float("nan")
        for values in (
            {"seconds": nan}, {"seconds": float("inf")}, {"seconds": 0}, {"seconds": True}, {"seconds": "60"},
            {"seconds": 10**400}, {"allow_ports": "8000-9000"}, {"allow_ports": 80}, {"allow_ports": (0,)},
            {"allow_ports": ("x",)}, {"who": None},
        ):
            self.assertRaises(ValueError, Accepted, **values)

    def test_many(self) -> None:
        """Only so many at a time, however many clients come."""
        logins = Logins(self.clock, named({"how": "wait"}))
        waiting = [self.ask(logins=logins) for _ in range(AT_ONCE)]
        self.failureResultOf(self.ask(logins=logins), Unanswered)
        judges().pending[0].callback(None)
        self.assertIsNone(self.successResultOf(waiting[0]))
        again = self.ask(logins=logins)
        self.assertNoResult(again)
        for each in judges().pending[1:]:
            each.callback(None)
        self.successResultOf(again)

    def test_within(self) -> None:
        """What two sets of ports have in common."""
        found = within(PortSet.parse(["1000-2000", 3000]), PortSet.parse(["1-1005", "1999-3500"]))
        self.assertEqual(str(found), "1000-1005, 1999-2000, 3000")


class ConfiguredTests(FileTestCase):
    """What a file may say."""

    def test_client(self) -> None:
        """A client that would show its token to whoever answers is refused."""
        pin = "sha256:HgzT7CzTvx3pL3ArkxqunE/HZBaQO6hH9XN3RI4ErDQ="
        text = f"{CLIENT}  local_ports: 22\n  bearer: true\n"
        for tls in ("", "  tls: {mode: required}\n", "  tls: {mode: 'off'}\n"):
            found = self.problem(text + tls)
            self.assertEqual(found.key, "client.tls")
            self.assertIn("bearer would show the token to anybody", found.wrong)
        client = self.load(f"{text}  tls: {{pin: '{pin}'}}\n").client
        assert client is not None
        self.assertTrue(client.bearer)

    def test_server(self) -> None:
        """A server with authenticators needs no token of its own, and TLS."""
        self.write("x", "passwords")
        authenticators = "  authenticators: {plugin: htpasswd, file: passwords}\n"
        server = self.load(f"server:\n{authenticators}").server
        assert server is not None
        self.assertEqual(server.authenticators[0].plugin, "htpasswd")
        found = self.problem(f"{SERVER}{authenticators}  tls: {{mode: 'off'}}\n")
        self.assertEqual((found.key, found.wrong[:6]), ("server.tls.mode", "leaves"))

    def test_options(self) -> None:
        """Mistakes in the options of those that gotunnel has."""
        for options, key, why in (
            ("{plugin: webhook, url: 'http://auth.example.com/'}", "url", "would send tokens in clear"),
            ("{plugin: webhook, url: 'https://a:b@auth.example.com/'}", "url", "has a password in it"),
            ("{plugin: webhook, url: nonsense}", "url", "'nonsense' is not a URL"),
            ("{plugin: tokenreview, client: '{namespace}'}", "client", "gives all service accounts one name"),
            ("{plugin: tokenreview, client: '{pod} {name}'}", "client", "is not a pattern of a client's name"),
            ("{plugin: tokenreview, client: '{namespace}-{name}'}", "client", "accounts of two namespaces one name"),
            ("{plugin: tokenreview, client: '{name}{namespace}'}", "client", "accounts of two namespaces one name"),
            ("{plugin: tokenreview, client: '{name}.{name}'}", "client", "has a part twice"),
            ("{plugin: tokenreview, client: 'k8s-{name}'}", "client", "accounts of several namespaces one name"),
            ("{plugin: tokenreview, namespaces: [a, b], client: '{name}'}", "client", "several namespaces one name"),
            ("{plugin: tokenreview, namespaces: []}", "namespaces", "is a list of nothing"),
            ("{plugin: tokenreview, audiences: []}", "audiences", "is a list of nothing"),
            ("{plugin: webhook, url: 'https://[::1/'}", "url", "is not a URL"),
            ("{plugin: webhook, url: 'https://a:99999/'}", "url", "is not a URL"),
        ):
            found = self.problem(f"{SERVER}  authenticators: {options}\n")
            self.assertEqual(found.key, f"server.authenticators[0].{key}")
            self.assertTrue(found.wrong.endswith(why), found.wrong)
        for key in ("allow", "mappings"):
            found = self.problem(f"{SERVER}  access: {{plugin: networks, {key}: []}}\n")
            self.assertEqual((found.key, found.wrong), (f"server.access.{key}", "is a list of nothing"))


class RunningTests(ReactorPlaceTestCase, IntegrationTestCase):
    """A server that asks, and clients that show their token."""

    def setUp(self) -> None:
        super().setUp()
        self.addCleanup(self.pause, 0.02)  # what was refused or cut a moment ago still ends
        self.quick()
        self.module(self.place(), "judge", JUDGE)

    async def begun(self, *options: dict[str, Any], **server: Any) -> tuple[Any, TlsClientConfig]:
        """Start a server, and return it with what proves it to a client."""
        service = await self.server(authenticators=named(*options), token=None, **server)
        line = next(line for line in self.lines() if "pin sha256:" in line)
        pin = line.partition("pin ")[2].partition(",")[0]
        return service, TlsClientConfig.model_validate({"pin": pin})

    async def test_let_in(self) -> None:
        """A client comes in by a token that this server has never heard of, and its visitors are served; it may publish
        what both the answer and the server's own rights have; when its connection breaks it is judged anew."""
        target, _ = await self.target()
        other, _ = await self.target()
        server, tls = await self.begun({"token": SHOWN, "ports": ["20000-65535"]}, allow_ports=("1024-60000",))
        mappings = self.mapping(target), self.mapping(other, name="low", remote=2000)
        client = self.client(server, *mappings, bearer=True, token=SHOWN, tls=tls)
        statuses = client.link.published.statuses
        await self.until(lambda: statuses["web"].standing is Standing.OPEN, "the mapping is open")
        self.assertTrue(20000 <= self.port_of(client) <= 60000)
        self.assertEqual(statuses["low"].standing, Standing.REFUSED)
        self.assertIn("allowed: 20000-60000", statuses["low"].reason)
        await self.echoes(self.port_of(client))
        said = "client edge from 127.0.0.1:"
        line = next(line for line in self.lines() if line.startswith(said))
        self.assertTrue(line.endswith("is let in by the authenticator judge, as somebody"), line)
        (rights,) = ServerView(server).rights()
        self.assertEqual((rights.source, rights.allow_ports), ("the authenticator judge", "20000-60000"))
        server.hub.peers["edge"].session.control.transport.abortConnection()
        await self.until(lambda: len(judges().asked) == 2 and self.is_open(client) is False, "it was asked again")
        await self.until(lambda: statuses["web"].standing is Standing.OPEN, "the mapping is open")
        await self.stop(client)
        await self.until(lambda: not server.hub.left, "it has left")
        self.assertIsNotNone(server.hub.guests.get("edge"))  # it may come back, and has its ports until then
        server.hub.peers["edge"]._grace_over()
        await self.until(lambda: server.hub.guests.get("edge") is None, "nothing is left of it")
        self.assertFalse(any(SHOWN in line for line in self.lines()))

    async def test_refused(self) -> None:
        """Whom nobody accepts hears what a wrong token hears; it costs its address the same. A client that proves a
        token in place of showing it is refused, and nobody is asked."""
        server, tls = await self.begun({"token": "another-token-altogether"})
        client = self.client(server, self.mapping(1), bearer=True, token=SHOWN, tls=tls)
        await self.said("does not let this client in: auth_failed: the client name or the token is wrong")
        await self.stop(client)
        asked = len(judges().asked)
        self.client(server, self.mapping(1), token=SHOWN, tls=tls, name="other")
        await self.until(lambda: server.hub.usage.refused["auth_failed"] > asked, "a refusal")
        self.assertEqual(len(judges().asked), asked)

    async def test_no_answer(self) -> None:
        """Where nobody can say, nobody is let in, and that costs the address nothing."""
        server, tls = await self.begun({"how": "wait"}, handshake_timeout=0.3)
        self.client(server, self.mapping(1), bearer=True, token=SHOWN, tls=tls)
        await self.said("does not let this client in: internal: the server cannot have the token judged now", times=2)
        self.assertEqual(server.hub.usage.refused["auth_failed"], 0)

    async def test_comes_and_goes(self) -> None:
        """Who leaves while others are asked on his behalf keeps them busy no longer, and pays for it."""
        charged: list[Offence] = []
        self.patch(Door, "charge", lambda door, offence: charged.append(offence))
        server, tls = await self.begun({"how": "wait"}, handshake_timeout=10.0)
        client = self.client(server, self.mapping(1), bearer=True, token=SHOWN, tls=tls)
        await self.until(lambda: judges().pending, "the question")
        pending = judges().pending[-1]
        await self.stop(client)
        await self.until(lambda: pending.called, "it is given up, ahead of its time", 5.0)
        self.assertEqual((charged, server.hub.logins._judged), ([Offence.NO_AUTH], 0))

    async def test_address(self) -> None:
        """Where a client comes from is told as its own address also where the server listens on [::]."""
        server, tls = await self.begun({"token": SHOWN}, addr=HostPort("::", 0))
        self.client(server, self.mapping(1), bearer=True, token=SHOWN, tls=tls)
        await self.until(lambda: server.hub.connected, "it is in")
        self.assertEqual(judges().asked[0][1].address, "127.0.0.1")

    async def test_own_identity(self) -> None:
        """A name that has an identity is nobody else's business: no token opens it but its own."""
        config = ServerConfig.model_validate({"clients": [{"name": "edge", "token": TOKEN}]})
        server, tls = await self.begun({"token": SHOWN}, clients=config.clients)
        client = self.client(server, self.mapping(1), bearer=True, token=SHOWN, tls=tls)
        await self.said("does not let this client in: auth_failed")
        await self.stop(client)
        self.assertEqual(judges().asked, [])

    async def test_identity_elsewhere(self) -> None:
        """The same for a name that another file has, whether it has a token of its own or none at all."""
        filed = self.folder / "more.json"
        filed.write_bytes(written([FileIdentity(name="edge", keys=())]))
        filed.chmod(0o600)
        section = {"token": TOKEN, "authenticators": {"plugin": "identities", "file": str(filed)}}
        more = ServerConfig.model_validate(section).authenticators
        server = await self.server(authenticators=(*named({"token": SHOWN}), *more), token=None)
        line = next(line for line in self.lines() if "pin sha256:" in line)
        tls = TlsClientConfig.model_validate({"pin": line.partition("pin ")[2].partition(",")[0]})
        client = self.client(server, self.mapping(1), bearer=True, token=SHOWN, tls=tls)
        await self.said("does not let this client in: auth_failed")
        await self.stop(client)
        self.assertEqual(judges().asked, [])

    async def test_over(self) -> None:
        """When its time is over it is cut, and judged anew when it comes back."""
        target, _ = await self.target()
        server, tls = await self.begun({"token": SHOWN, "seconds": 1.5})
        client = await self.open_client(server, self.mapping(target), bearer=True, token=SHOWN, tls=tls)
        visitor = await self.echoes(self.port_of(client))
        await self.until(lambda: visitor.ended, "the visitor is cut")
        await self.said("; else ask the authenticator judge, which had let it in")
        await self.until(lambda: len(judges().asked) > 1, "it was asked again")

    async def test_removed(self) -> None:
        """A reload without the authenticator cuts whom it has let in; one that keeps it does not."""
        target, _ = await self.target()
        server, tls = await self.begun({"token": SHOWN})
        client = await self.open_client(server, self.mapping(target), bearer=True, token=SHOWN, tls=tls)
        visitor = await self.echoes(self.port_of(client))
        await server.reload(server.hub.config.model_copy(update={"leg_wait": 3.0}))
        visitor.transport.write(b"more")
        await self.until(lambda: visitor.received == b"hellomore", "the echo")
        report = await server.reload(server.hub.config.model_copy(update={"authenticators": named({"how": "no"})}))
        self.assertIn("clients that may not stay: edge", report.lines)
        await self.until(lambda: visitor.ended, "the visitor is cut")

    async def test_identity_given(self) -> None:
        """When its name gets an identity it is cut: from then on that name has a token of its own, and no other."""
        target, _ = await self.target()
        server, tls = await self.begun({"token": SHOWN})
        client = await self.open_client(server, self.mapping(target), bearer=True, token=SHOWN, tls=tls)
        visitor = await self.echoes(self.port_of(client))
        clients = ServerConfig.model_validate({"clients": [{"name": "edge", "token": TOKEN}]}).clients
        await server.reload(server.hub.config.model_copy(update={"clients": clients}))
        await self.until(lambda: visitor.ended, "the visitor is cut")
        await self.said("was disconnected (127.0.0.1:")
        await self.said("does not let this client in: auth_failed")

    async def test_token_of_a_file(self) -> None:
        """A token that others give out is read anew each time; one that cannot be read is said, and tried again."""
        target, _ = await self.target()
        server, tls = await self.begun({"token": SHOWN}, {"token": SHOWN + "2"})
        file = self.folder / "token"
        file.write_text(SHOWN)
        file.chmod(0o600)
        more: dict[str, Any] = {"bearer": True, "token": SHOWN, "token_file": str(file), "tls": tls}
        client = await self.open_client(server, self.mapping(target), **more)
        file.write_text(SHOWN + "2")
        server.hub.peers["edge"].session.control.transport.abortConnection()
        await self.until(lambda: judges().asked[-1][1].token == SHOWN + "2", "the new one was shown")
        await self.until(lambda: self.is_open(client), "it is in")
        file.unlink()
        server.hub.peers["edge"].session.control.transport.abortConnection()
        await self.said("not connected to the server 127.0.0.1:", times=1)
        await self.said("the token cannot be read: ")

    async def test_belt(self) -> None:
        """Whatever a file was made to say, nothing is shown where no certificate proves the server."""
        server, tls = await self.begun({"token": SHOWN})
        section = {"name": "edge", "token": SHOWN, "bearer": True, "tls": tls, "server_addr": str(server.address)}
        config = ClientConfig.model_validate({**section, "local_ports": [1]})
        bold = make_client(config.model_copy(update={"tls": TlsClientConfig()}), reactor, self.folder)
        bold.startService()
        self.addCleanup(self.stop, bold)
        await self.said("client.bearer shows the token to a server that a certificate proves, and to no other")
        self.assertEqual(judges().asked, [])

    async def test_doctor(self) -> None:
        """`gotunnel doctor` logs in as the client would."""
        server, tls = await self.begun({"token": SHOWN})
        client = self.client(server, self.mapping(1), bearer=True, token=SHOWN, tls=tls)
        await self.until(lambda: judges().asked, "the client is in")
        login = await log_in(reactor, client.link.path, client.config.model_copy(update={"name": "other"}), 5.0)
        self.assertIsNone(login.refused)
        self.assertEqual(judges().asked[-1][1].client, "other")
        await self.until(lambda: all(each.peer.name != "other" for each in server.hub.left), "it has left")

    async def test_rogue(self) -> None:
        """A server with another key never hears the token, nor anything else of the client."""
        server, _ = await self.begun({"token": SHOWN})
        wrong = TlsClientConfig.model_validate({"pin": "sha256:" + "A" * 43 + "="})
        self.client(server, self.mapping(1), bearer=True, token=SHOWN, tls=wrong)
        await self.said("which client.tls.pin does not name", times=2)
        self.assertEqual(judges().asked, [])
