"""The authenticators that gotunnel has, against services on loopback: a webhook, an API server, a file of passwords."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from twisted.internet import reactor as global_reactor
from twisted.internet.defer import CancelledError, Deferred, maybeDeferred
from twisted.internet.protocol import Protocol
from twisted.internet.task import deferLater
from twisted.internet.testing import EventLoggingObserver
from twisted.logger import formatEvent, globalLogPublisher
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Site
from zope.interface.verify import verifyObject

from gotunnel.config.judgeoptions import HtpasswdOptions, NetworksOptions, TokenReviewOptions, WebhookOptions
from gotunnel.core.logins import Accepted, Dial, Entry, Login, Publication
from gotunnel.errors import GotunnelError
from gotunnel.interfaces import IAccessPolicy, IAuthenticator
from gotunnel.net.certificates import TlsFilesError, load_pair
from gotunnel.net.quiet import OneProtocol
from gotunnel.net.tls import web_creator
from gotunnel.server.judges import htpasswd
from gotunnel.server.judges.asking import MOST_BODY
from gotunnel.server.judges.htpasswd import Htpasswd, hashed
from gotunnel.server.judges.networks import Networks
from gotunnel.server.judges.tokenreview import PATH, TokenReview
from gotunnel.server.judges.webhook import WebhookAccess, WebhookAuthenticator
from tests.certificates import Authority

reactor: Any = global_reactor
LOGIN = Login("prod.edge", "a-token-of-somebody-else", "192.0.2.7")


class Service(Resource):
    """Answers every question with `status` and `answer`, and keeps what it was asked."""

    isLeaf = True
    status = 200
    answer: Any = None
    raw: bytes | None = None
    silent = False

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[tuple[str, dict[str, Any], str | None]] = []

    def render(self, request: Any) -> Any:
        secret = request.getHeader("Authorization")
        self.asked.append((request.uri.decode(), json.load(request.content), secret))
        request.setResponseCode(self.status)
        if self.status == 302:
            request.setHeader("Location", "/elsewhere")
        if self.silent:
            return NOT_DONE_YET
        return json.dumps(self.answer).encode() if self.raw is None else self.raw


class Flood(Protocol):
    """Answers with `begin`, and then with `more` for as long as somebody takes it."""

    transport: Any

    def __init__(self, begin: bytes, more: bytes) -> None:
        self.sent = 0
        self._begin, self._more = begin, more * (65536 // len(more))

    def dataReceived(self, data: bytes) -> None:
        self.transport.write(self._begin)
        self.transport.registerProducer(self, False)

    def resumeProducing(self) -> None:
        """Called by the transport."""
        self.sent += len(self._more)
        self.transport.write(self._more)

    def stopProducing(self) -> None:
        """Called by the transport."""


class JudgeTestCase(TestCase):
    """A test with a service on loopback."""

    timeout = 30

    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()
        self.service = Service()
        site = Site(self.service)
        site.noisy = False
        port = reactor.listenTCP(0, site, interface="127.0.0.1")

        async def end() -> None:
            await maybeDeferred(port.stopListening)
            await deferLater(reactor, 0.02)  # the ends of what was cut

        self.addCleanup(end)
        self.url = f"http://127.0.0.1:{port.getHost().port}/judge"

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.write_text(text)
        path.chmod(0o600)
        return path

    async def why_not(self, judging: Any) -> str:
        """Return why there is no answer."""
        with self.assertRaises(GotunnelError) as caught:
            await judging
        self.assertNotIn(LOGIN.token, str(caught.exception))
        return str(caught.exception)


class WebhookTests(JudgeTestCase):
    """A service of somebody's."""

    def judge(self, **options: Any) -> WebhookAuthenticator:
        return WebhookAuthenticator(reactor, WebhookOptions.model_validate({"url": self.url, **options}))

    async def test_answers(self) -> None:
        """Yes, with what comes with it; no, in any of three ways. It hears the name, the token, the address, and our
        secret, which is read anew each time."""
        secret = self.write("secret", "first\n")
        judge = self.judge(secret_file=str(secret))
        self.assertTrue(verifyObject(IAuthenticator, judge))
        self.service.answer = {"allow": True, "who": "some\none", "allow_ports": [80, "90-99"], "seconds": 60}
        self.assertEqual(await judge.judge(LOGIN), Accepted("some\\none", (80, "90-99"), 60))
        secret.write_text("second")
        self.service.answer = {"allow": True}
        self.assertEqual(await judge.judge(LOGIN), Accepted())
        self.service.answer = {"allow": False}
        self.assertIsNone(await judge.judge(LOGIN))
        for self.service.status in (401, 403):
            self.assertIsNone(await judge.judge(LOGIN))
        question = {"client": "prod.edge", "token": LOGIN.token, "address": "192.0.2.7"}
        self.assertEqual(self.service.asked[0], ("/judge", question, "Bearer first"))
        self.assertEqual(self.service.asked[1][2], "Bearer second")

    async def test_no_answer(self) -> None:
        """Anything else is none: neither yes nor no."""
        judge = self.judge()
        for answer, why in (
            ({}, "its answer has no allow"),
            ({"allow": "yes"}, "its answer has no allow"),
            (["allow"], "its answer has no allow"),
            ({"allow": True, "allow_ports": "x"}, "are no ports"),
            ({"allow": True, "allow_ports": [True]}, "are no ports"),
            ({"allow": True, "allow_ports": "8000-9000"}, "are no ports"),
            ({"allow": True, "allow_ports": {"80": 1}}, "are no ports"),
            ({"allow": True, "seconds": -1}, "are no number above 0"),
            ({"allow": True, "seconds": 1e12}, "are no number above 0"),
        ):
            self.service.answer = answer
            self.assertIn(why, await self.why_not(judge.judge(LOGIN)), answer)
        # Of two answers under one key the last would win; NaN seconds would never be over; the last one ends Python's
        # own reader.
        for raw in (
            b'{"allow": false, "allow": true}', b'{"allow": true, "seconds": NaN}',
            b'{"allow": true, "seconds": 1e999}', b'\xef\xbb\xbf{"allow": true}',
            b'{"allow": true, "x": ' + b"[" * 20_000 + b"]" * 20_000 + b"}",
        ):
            self.service.raw = raw
            self.assertIn("its answer has no allow", await self.why_not(judge.judge(LOGIN)), raw[:40])
        self.service.raw = b"<html>"
        self.assertIn("its answer has no allow", await self.why_not(judge.judge(LOGIN)))
        self.service.raw = b" " * (MOST_BODY + 1)
        self.assertIn("is longer than", await self.why_not(judge.judge(LOGIN)))
        for self.service.status in (302, 404, 500):
            self.service.raw = b"{}"
            said = f"it answers with status {self.service.status}"
            self.assertEqual(await self.why_not(judge.judge(LOGIN)), said)
        self.assertEqual({uri for uri, _, _ in self.service.asked}, {"/judge"})
        nowhere = self.judge(url="http://127.0.0.1:1/")
        self.assertIn("it cannot be asked: ", await self.why_not(nowhere.judge(LOGIN)))

    async def test_endless(self) -> None:
        """An answer whose head, whose interim answers or whose chunks do not end is cut, and not kept."""
        for begin, more in (
            (b"HTTP/1.1 200 OK\r\n", b"x: y\r\n"), (b"HTTP/1.1 200 OK\r\nx: ", b"y"),
            (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
            (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1;" + b"e" * 1000 + b"\r\nx\r\n"),
        ):
            flood = Flood(begin, more)
            port = reactor.listenTCP(0, OneProtocol(lambda flood=flood: flood), interface="127.0.0.1")
            self.addCleanup(port.stopListening)
            judge = self.judge(url=f"http://127.0.0.1:{port.getHost().port}/")
            await self.why_not(judge.judge(LOGIN))
            self.assertLess(flood.sent, 16 * 1024 * 1024)  # what the kernel takes ahead of it
            await deferLater(reactor, 0.02)

    async def test_tls(self) -> None:
        """Nothing is said to a service whose certificate is not for its name, or not by `ca`, which is looked at when
        it changes."""
        folders = [self.folder / name for name in ("one", "other")]
        for each in folders:
            each.mkdir()
        one, other = map(Authority, folders)
        trusted = self.folder / "trusted.pem"
        trusted.write_bytes(other.file.read_bytes())
        site = Site(self.service)
        site.noisy = False
        ports = []
        for name in ("localhost", "elsewhere.example"):
            creator = web_creator(load_pair(*one.issue(name)))
            ports.append(reactor.listenTCP(0, TLSMemoryBIOFactory(creator, False, site), interface="127.0.0.1"))
            self.addCleanup(ports[-1].stopListening)
        judge, misnamed = (
            self.judge(url=f"https://localhost:{port.getHost().port}/judge", ca=str(trusted)) for port in ports
        )
        self.service.answer = {"allow": True}
        why = await self.why_not(judge.judge(LOGIN))
        self.assertIn("was not issued by an authority of server.authenticators.ca", why)
        trusted.write_bytes(one.file.read_bytes())
        self.assertIn("is not for localhost", await self.why_not(misnamed.judge(LOGIN)))
        self.assertEqual(self.service.asked, [])
        self.assertIsNotNone(await judge.judge(LOGIN))
        self.assertRaises(TlsFilesError, self.judge, url="https://localhost/", ca=str(self.write("no.pem", "x")))

    async def test_cancelled(self) -> None:
        """Given up, its connection is closed."""
        self.service.silent = True
        judging: Deferred[Any] = self.judge().judge(LOGIN)
        while not self.service.asked:
            await deferLater(reactor, 0.005)
        judging.cancel()
        self.failureResultOf(judging)

    def test_secret(self) -> None:
        """A secret that cannot be read is told at the start."""
        for name, text in (("empty", " \n"), ("two", "a\nb"), ("long", "x" * 20_000)):
            path = self.write(name, text)
            error = self.assertRaises(GotunnelError, self.judge, secret_file=str(path))
            self.assertIn("is not one line of text", str(error))
        self.assertRaises(GotunnelError, self.judge, secret_file=str(self.folder / "nowhere"))

    async def test_access(self) -> None:
        """The same as an access policy: which question it is, and what it is about; a no may say why."""
        policy = WebhookAccess(reactor, WebhookOptions.model_validate({"url": self.url}))
        self.assertTrue(verifyObject(IAccessPolicy, policy))
        self.service.answer = {"allow": True}
        self.assertIsNone(await policy.publish(Publication("edge", "web", "0.0.0.0", 80)))
        self.service.answer = {"allow": False, "reason": "not on\nSundays"}
        self.assertEqual(await policy.dial(Dial("edge", "10.0.0.1:22", "192.0.2.7:1")), "not on\\nSundays")
        self.service.answer = {"allow": False}
        self.assertEqual(await policy.enter(Entry("edge", "web", "192.0.2.7")), "the webhook says no")
        self.assertEqual(
            [question for _, question, _ in self.service.asked],
            [
                {
                    "ask": "publish", "client": "edge", "mapping": "web", "bind": "0.0.0.0", "port": 80,
                    "protocol": "tcp",
                },
                {"ask": "dial", "client": "edge", "target": "10.0.0.1:22", "visitor": "192.0.2.7:1"},
                {"ask": "enter", "client": "edge", "mapping": "web", "address": "192.0.2.7"},
            ],
        )


class TokenReviewTests(JudgeTestCase):
    """An API server."""

    def judge(self, **options: Any) -> TokenReview:
        secret, ca = self.write("token", "our-own-account"), None
        options = {"api": self.url.removesuffix("/judge"), "secret_file": str(secret), **options}
        model = TokenReviewOptions.model_validate(options)
        return TokenReview(reactor, model.model_copy(update={"ca": ca}))

    def test_outside_of_a_cluster(self) -> None:
        """Where no authorities are, as outside of a pod, the line says which option names them."""
        options = TokenReviewOptions.model_validate({"audiences": ["gotunnel"], "secret_file": "/nonexistent"})
        error = self.assertRaises(GotunnelError, TokenReview, reactor, options)
        said = "serviceaccount/ca.crt: No such file or directory; name their file with ca of tokenreview"
        self.assertIn(said, str(error))

    def says(self, username: Any = "system:serviceaccount:prod:edge", **status: Any) -> None:
        """Let it answer so."""
        status = {"authenticated": True, "user": {"username": username}, "audiences": ["gotunnel"], **status}
        self.service.status, self.service.answer = 201, {"kind": "TokenReview", "status": status}

    async def test_account(self) -> None:
        """A service account comes in under the name that belongs to it. The API server hears the token and for whom it
        must be meant, and our own account."""
        judge = self.judge()
        self.assertTrue(verifyObject(IAuthenticator, judge))
        self.says()
        self.assertEqual(await judge.judge(LOGIN), Accepted("system:serviceaccount:prod:edge"))
        ((uri, review, secret),) = self.service.asked
        self.assertEqual((uri, secret), (PATH, "Bearer our-own-account"))
        self.assertEqual(review["spec"], {"token": LOGIN.token, "audiences": ["gotunnel"]})
        self.assertEqual((review["kind"], review["apiVersion"]), ("TokenReview", "authentication.k8s.io/v1"))

    async def test_others(self) -> None:
        """Another name, another account, a user, a token meant for somebody else, one that is not valid, an API server
        that has not looked for whom it is meant: none gets in."""
        judge = self.judge()
        for says in (
            {"username": "system:serviceaccount:prod:other"},
            {"username": "system:serviceaccount:test:edge"},
            {"username": "system:node:edge"},
            {"username": "prod.edge"},
            {"username": 7},
            {"authenticated": False},
            {"authenticated": "true"},
            {"audiences": ["https://kubernetes.default.svc"]},
            {"audiences": None},
            {"audiences": "gotunnel"},
            {"user": None},
        ):
            self.says(**says)
            self.assertIsNone(await judge.judge(LOGIN), says)

    async def test_options(self) -> None:
        """Namespaces that may come in, and another way to call clients."""
        self.says()
        self.assertIsNone(await self.judge(namespaces="test").judge(LOGIN))
        self.assertIsNotNone(await self.judge(namespaces=["test", "prod"]).judge(LOGIN))
        self.assertEqual((await self.judge(seconds=3600).judge(LOGIN)).seconds, 3600)  # type: ignore[union-attr]
        judge = self.judge(client="k8s-{name}", namespaces="prod")
        self.assertIsNone(await judge.judge(LOGIN))
        self.assertIsNotNone(await judge.judge(Login("k8s-edge", LOGIN.token, "")))

    async def test_no_answer(self) -> None:
        """An API server that refuses us, fails, or says nothing of use."""
        judge = self.judge()
        for self.service.status, why in ((403, "may its service account create tokenreviews?"), (500, "status 500")):
            self.assertIn(why, await self.why_not(judge.judge(LOGIN)))
        self.says(error="cannot reach the issuer")
        self.assertIn("names an error", await self.why_not(judge.judge(LOGIN)))
        self.service.status, self.service.answer = 201, {"status": "Failure"}
        self.assertIn("has no status", await self.why_not(judge.judge(LOGIN)))


class HtpasswdTests(JudgeTestCase):
    """A file of names and hashes."""

    def line(self, name: str, password: str, rounds: int = 1000) -> str:
        digest = hashlib.pbkdf2_hmac("sha256", password.encode(), b"saltsalt", rounds).hex()
        return f"{name}:pbkdf2_sha256${rounds}$saltsalt${digest}\n"

    async def test_passwords(self) -> None:
        """Its own password opens a name, and nothing else does; the file is read anew."""
        lines = ("# nobody\n", self.line("prod.edge", LOGIN.token), f"plain:{LOGIN.token}\n")
        file = self.write("passwords", "".join(lines))
        judge = Htpasswd(reactor, HtpasswdOptions.model_validate({"file": str(file)}))
        self.assertTrue(verifyObject(IAuthenticator, judge))
        self.assertEqual(await judge.judge(LOGIN), Accepted("prod.edge"))
        brief = Htpasswd(reactor, HtpasswdOptions.model_validate({"file": str(file), "seconds": 60}))
        self.assertEqual(await brief.judge(LOGIN), Accepted("prod.edge", None, 60))
        for line in ("prod.edge:\n", "prod.edge:  \n", "prod.edge::\n", "prod.edge:\v\n", "prod.edge:x\n"):
            file.write_text(line)
            for password in (LOGIN.token, "\n", ""):
                self.assertIsNone(await judge.judge(Login("prod.edge", password, "")), (line, password))
        file.write_text("".join(lines))
        for name, password in (("prod.edge", "wrong"), ("other", LOGIN.token), ("plain", LOGIN.token), ("#", "nobody")):
            self.assertIsNone(await judge.judge(Login(name, password, "")), name)
        file.write_text(self.line("prod.edge", "another"))
        self.assertIsNone(await judge.judge(LOGIN))
        file.unlink()
        self.assertIn("no such file", await self.why_not(judge.judge(LOGIN)))

    def test_file(self) -> None:
        """A file that is not there, or that others can read, is told at the start."""
        file = self.write("passwords", "")
        file.chmod(0o644)
        for path, why in ((file, "can be read or changed by others"), (self.folder / "no", "no such file")):
            options = HtpasswdOptions.model_validate({"file": str(path)})
            self.assertIn(why, str(self.assertRaises(GotunnelError, Htpasswd, reactor, options)))

    def test_hash(self) -> None:
        """What is no such hash, or one that would cost minutes, equals no hash, not even itself."""
        salt = b"$saltsalt$" + b"0" * 64
        for stored in (
            b"", b"x", b"pbkdf2_sha256$1" + salt, b"pbkdf2_sha256$1000$s$" + b"0" * 64,
            b"pbkdf2_sha256$10000000" + salt, b"$2b$31$" + b"a" * 53, b"{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=",
        ):
            self.assertNotEqual(hashed(b"u", b"p", stored), stored)

    def test_unknown_lines(self) -> None:
        """Lines by which nobody comes in are told at the start, the first with its number."""
        log = EventLoggingObserver.createWithCleanup(self, globalLogPublisher)
        file = self.write("passwords", f"# a:b\n{self.line('a', 'x')}\nprod.edge:\nb:$2y$10$abc\n")
        Htpasswd(reactor, HtpasswdOptions.model_validate({"file": str(file)}))
        (line,) = (str(formatEvent(event)) for event in log)
        self.assertIn("line 4 of the passwords ", line)
        self.assertTrue(line.endswith("(1 more like this)"), line)
        self.assertNotIn("$2y$", line)

    def test_same_time(self) -> None:
        """A name that is not there costs as much as one that is."""
        file = self.write("passwords", self.line("prod.edge", "x", 2000) + "blank:\n")
        judge = Htpasswd(reactor, HtpasswdOptions.model_validate({"file": str(file)}))
        rounds: list[int] = []
        self.patch(htpasswd.hashlib, "pbkdf2_hmac", lambda *values: rounds.append(values[3]) or b"")
        for name in ("prod.edge", "nobody", "blank"):
            self.assertIsNone(judge._compare(Login(name, LOGIN.token, "")))
        self.assertEqual(rounds, [2000] * 3)

    def test_compared(self) -> None:
        """Hashes are compared as every other secret is, in a time that does not tell where they differ."""
        file = self.write("passwords", self.line("prod.edge", LOGIN.token))
        judge = Htpasswd(reactor, HtpasswdOptions.model_validate({"file": str(file)}))
        compared: list[bool] = []

        def noted(one: bytes, other: bytes) -> bool:
            compared.append(one == other)
            return compared[-1]

        self.patch(htpasswd, "same_mac", noted)
        for password, accepted in ((LOGIN.token, True), ("another-password", False)):
            self.assertEqual(judge._compare(Login("prod.edge", password, "")) is not None, accepted)
        self.assertEqual(compared, [True, False])

    def test_crowd(self) -> None:
        """Two hashes at a time, however many are asked for; who is given up ahead of his turn costs none, and a thread
        that nobody waits for any more is busy until it is done."""
        begun: list[Any] = []

        class Threads:
            """Stands for the reactor and its threads: nothing begun here ends by itself."""

            def getThreadPool(self) -> Threads:
                return self

            def callInThreadWithCallback(self, over: Any, work: Any, login: Login) -> None:
                begun.append((login.client, over))

            def callFromThread(self, work: Any, *values: Any) -> None:
                work(*values)

        file = self.write("passwords", self.line("prod.edge", "x"))
        judge = Htpasswd(Threads(), HtpasswdOptions.model_validate({"file": str(file)}))
        asked = [judge.judge(Login(name, "x", "")) for name in "abcde"]
        self.assertEqual([name for name, _ in begun], ["a", "b"])
        asked[0].cancel()
        asked[2].cancel()
        self.failureResultOf(asked[0], CancelledError)
        self.failureResultOf(asked[2], CancelledError)
        self.assertEqual(len(begun), 2)
        begun[0][1](True, None)
        self.assertEqual([name for name, _ in begun], ["a", "b", "d"])
        begun[1][1](True, Accepted("b"))
        self.assertEqual(self.successResultOf(asked[1]), Accepted("b"))
        begun[2][1](False, Failure(GotunnelError("no file")))
        self.failureResultOf(asked[3], GotunnelError)
        begun[3][1](True, None)
        self.assertIsNone(self.successResultOf(asked[4]))


class NetworksTests(TestCase):
    """Visitors by their addresses."""

    def enter(self, address: str, **options: Any) -> str | None:
        policy = Networks(None, NetworksOptions.model_validate(options))
        self.assertTrue(verifyObject(IAccessPolicy, policy))
        return policy.enter(Entry("edge", "web", address))

    def test_rules(self) -> None:
        """Denied wins; without `allow` all others may; IPv4 in IPv6 is IPv4; other mappings are not its business."""
        rules = {"allow": ["10.0.0.0/8", "2001:db8::/32"], "deny": "10.6.6.6"}
        for address, may in (
            ("10.1.2.3", True), ("::ffff:10.1.2.3", True), ("10.6.6.6", False), ("::ffff:10.6.6.6", False),
            ("192.0.2.7", False), ("2001:db8::1", True), ("2001:db9::1", False), ("fe80::1%eth0", False), ("", True),
        ):  # fmt: skip
            self.assertEqual(self.enter(address, **rules) is None, may, address)
        self.assertIsNone(self.enter("192.0.2.7", deny="10.0.0.0/8"))
        for denied in ("::ffff:10.6.6.6", "::ffff:10.0.0.0/104"):  # nobody would have such an address
            self.assertIsNotNone(self.enter("10.6.6.6", deny=denied))
            self.assertIsNotNone(self.enter("::ffff:10.6.6.6", deny=denied))
        self.assertIsNotNone(self.enter("no address", allow="0.0.0.0/0"))
        self.assertIsNone(self.enter("10.6.6.6", deny="10.0.0.0/8", mappings="edge/ssh"))
        self.assertIsNotNone(self.enter("10.6.6.6", deny="10.0.0.0/8", mappings="edge/*"))
        policy = Networks(None, NetworksOptions())
        self.assertIsNone(policy.publish(Publication("edge", "web", "", 80)))
        self.assertIsNone(policy.dial(Dial("edge", "10.0.0.1:22", "")))


