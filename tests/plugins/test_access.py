"""The last word on ports, dials and visitors: what each answer leads to, and that no answer means no."""

from __future__ import annotations

import contextlib
import sys
from typing import Any

from twisted.internet.error import ConnectError

from gotunnel.client.standing import Standing
from gotunnel.config.model import ForwardConfig, ServerConfig
from gotunnel.core.outcome import Outcome
from gotunnel.server import access
from gotunnel.server.switching import switch_mapping
from tests.integration.base import TOKEN, IntegrationTestCase
from tests.plugins.places import ReactorPlaceTestCase

POLICY = '''
from twisted.internet.defer import Deferred, fail, succeed

class O(Options):
    publish: str = Field(default="yes", description="x")
    dial: str = Field(default="yes", description="x")
    enter: str = Field(default="yes", description="x")

class Policy:
    """Answers each question as its options say."""

    asked = []
    pending = []

    def __init__(self, reactor, options):
        self.options = options
        self.no = succeed("no")

    def _answer(self, how, question):
        self.asked.append(question)
        if how == "wait":
            self.pending.append(Deferred())
            return self.pending[-1]
        if how == "same no":
            return self.no
        if how == "raise":
            raise RuntimeError("it is broken")
        return {
            "yes": None, "no": "not\\non Sundays", "later yes": succeed(None), "later no": succeed("not today"),
            "nonsense": True, "fail": fail(RuntimeError("it is away")) if how == "fail" else None,
        }[how]

    def publish(self, question):
        return self._answer(self.options.publish, question)

    def dial(self, question):
        return self._answer(self.options.dial, question)

    def enter(self, question):
        return self._answer(self.options.enter, question)

policy = Plugin(IAccessPolicy, "policy", Policy, options=O)
'''

RULES = ServerConfig.model_validate({"allow_dial": ["127.0.0.1:1-65535"]}).allow_dial
FAILS = ("raise", "fail", "nonsense")


def policy(**options: str) -> Any:
    """Return what a file says of such a policy."""
    return ServerConfig.model_validate({"token": TOKEN, "access": {"plugin": "policy", **options}}).access


class AccessTests(ReactorPlaceTestCase, IntegrationTestCase):
    """A server that asks."""

    def setUp(self) -> None:
        super().setUp()
        self.addCleanup(self.pause, 0.02)  # what was refused or cut a moment ago still ends
        self.quick()
        self.module(self.place(), "policy", POLICY)

    def asked(self) -> list[Any]:
        found: list[Any] = sys.modules["gotunnel.plugins.policy"].Policy.asked
        return found

    def pending(self) -> list[Any]:
        found: list[Any] = sys.modules["gotunnel.plugins.policy"].Policy.pending
        return found

    def failures(self) -> int:
        """Return how often the log says that there was no answer, which is forgotten then."""
        return len(self.flushLoggedErrors())

    async def change(self, server: Any, **options: str) -> None:
        """Let the server ask another one."""
        await server.reload(server.hub.config.model_copy(update={"access": policy(**options)}))

    async def test_publish(self) -> None:
        """A port that it forbids is not opened, and the client hears why; one that has no answer is forbidden too. What
        it allows once stays open."""
        target, _ = await self.target()
        server = await self.server(access=policy(publish="no"))
        client = self.client(server, self.mapping(target))
        status = client.link.published.statuses["web"]
        await self.until(lambda: status.standing is Standing.REFUSED, "a refusal")
        self.assertRegex(status.reason, r"acl_denied: port [0-9]+: not\\non Sundays")
        question = self.asked()[0]
        self.assertEqual((question.client, question.mapping, question.bind), ("edge", "web", "127.0.0.1"))
        for how in FAILS:
            await self.change(server, publish=how)
            await self.until(lambda: "has no answer" in status.reason, f"a refusal: {how}")
            status.reason = ""
        self.assertGreaterEqual(self.failures(), len(FAILS))
        await self.change(server, publish="later yes")
        await self.until(lambda: self.is_open(client), "the port is open")
        await self.change(server, publish="no", enter="yes")
        await self.echoes(self.port_of(client))

    async def test_publish_patience(self) -> None:
        """One that never answers is given up, and the port stays closed."""
        self.patch(access, "PATIENCE", 0.05)
        server = await self.server(access=policy(publish="wait"))
        client = self.client(server, self.mapping(1))
        status = client.link.published.statuses["web"]
        await self.until(lambda: status.standing is Standing.REFUSED, "a refusal")
        self.assertIn("the server's access policy has no answer", status.reason)
        self.assertEqual(self.failures(), 0)  # it is no defect of anybody's that needs a traceback
        await self.said("the access policy policy has no answer to publish, which counts as no: no answer within")
        before = len(self.pending())
        await self.until(lambda: len(self.pending()) > before, "the client asks again")
        self.assertLess(len(self.pending()), 10)  # and not once for each of 64 ports

    async def test_dial(self) -> None:
        """What a client may reach through the server it asks about once more."""
        target, _ = await self.target()
        dial = f"127.0.0.1:{target}"
        server = await self.server(access=policy(), allow_dial=RULES)
        forward = ForwardConfig.model_validate({"name": "db", "listen": "127.0.0.1:0", "dial": dial})
        client = self.client(server, forwards=(forward,))
        await self.until(lambda: client.link.session is not None, "a session")
        address = client.links.forwards.address("db")
        assert address is not None and not isinstance(address, str)
        port = address.port  # type: ignore[union-attr]
        for how in ("yes", "later yes", "no", "later no", *FAILS):
            await self.change(server, dial=how)
            if how.endswith("yes"):
                await self.echoes(port)
                continue
            visitor = await self.connect(port)
            visitor.transport.write(b"hello")
            await self.until(lambda v=visitor: v.ended, f"he is cut: {how}")  # type: ignore[misc]
            self.assertEqual(visitor.received, b"")
        self.assertEqual(self.failures(), len(FAILS))
        question = self.asked()[-1]
        self.assertEqual((question.client, question.target, question.visitor[:10]), ("edge", dial, "127.0.0.1:"))
        await self.said("not\\non Sundays")

    async def test_dial_patience(self) -> None:
        """One that never answers is given up, nothing is dialled, and the visitor is reset."""
        self.patch(access, "PATIENCE", 0.05)
        target, made = await self.target()
        server = await self.server(access=policy(dial="wait"), allow_dial=RULES)
        config = {"name": "db", "listen": "127.0.0.1:0", "dial": f"127.0.0.1:{target}"}
        client = self.client(server, forwards=(ForwardConfig.model_validate(config),))
        await self.until(lambda: client.link.session is not None, "a session")
        visitor = await self.connect(client.links.forwards.address("db").port)  # type: ignore[union-attr]
        visitor.transport.write(b"hello")
        await self.until(lambda: visitor.ended, "he is cut")
        self.assertEqual((made, len(self.pending()), self.failures()), ([], 1, 0))

    async def test_enter(self) -> None:
        """A visitor is served at once, later, or reset; what he says meanwhile is not lost."""
        target, made = await self.target()
        server = await self.server(access=policy())
        client = await self.open_client(server, self.mapping(target))
        port = self.port_of(client)
        for how in ("yes", "later yes"):
            await self.change(server, enter=how)
            await self.echoes(port)
        question = self.asked()[-1]
        self.assertEqual((question.client, question.mapping, question.address), ("edge", "web", "127.0.0.1"))
        served = len(made)
        for how in ("no", "later no", *FAILS):
            await self.change(server, enter=how)
            try:
                visitor = await self.connect(port)
            except ConnectError:
                continue  # he was reset before he knew that he was connected
            await self.until(lambda v=visitor: v.ended, f"he is cut: {how}")  # type: ignore[misc]
            self.assertTrue(visitor.was_reset)
        self.assertEqual((len(made), server.hub.outcomes[Outcome.DENIED]), (served, 5))
        self.assertEqual(self.failures(), len(FAILS))
        await self.said("of client edge was reset: not\\non Sundays (")
        await self.change(server, enter="wait")
        visitor = await self.connect(port)
        visitor.transport.write(b"early")
        await self.until(self.pending, "the question")
        await self.pause(0.02)
        self.assertEqual((len(made), visitor.received), (served, b""))
        self.pending()[-1].callback(None)
        await self.until(lambda: visitor.received == b"early", "the echo")

    async def test_enter_shut(self) -> None:
        """Who is let in once his mapping was switched off is reset, as who waited for a leg was: nobody new gets in. It
        is no word of the policy's."""
        target, made = await self.target()
        server = await self.server(access=policy(enter="wait"))
        client = await self.open_client(server, self.mapping(target))
        visitor = await self.connect(self.port_of(client))
        await self.until(self.pending, "the question")
        await switch_mapping(server.hub, None, "web", off=True)
        self.pending()[-1].callback(None)
        await self.until(lambda: visitor.ended, "he is reset")
        self.assertEqual((visitor.was_reset, made), (True, []))
        self.assertEqual((server.hub.outcomes[Outcome.MAPPING_DOWN], server.hub.live), (1, 0))
        self.assertEqual(server.hub.peers["edge"].visitors, 0)

    async def test_enter_leaves(self) -> None:
        """One who goes away while it is asked is counted as one who left; one who is there when the server stops is
        reset; one for whom no answer comes is denied."""
        target, _ = await self.target()
        server = await self.server(access=policy(enter="wait"))
        client = await self.open_client(server, self.mapping(target))
        visitor = await self.connect(self.port_of(client))
        await self.until(self.pending, "the question")
        visitor.transport.abortConnection()
        await self.until(lambda: server.hub.outcomes[Outcome.VISITOR_LEFT], "he is counted")
        self.patch(access, "PATIENCE", 0.05)
        visitor = await self.connect(self.port_of(client))
        await self.until(lambda: server.hub.outcomes[Outcome.DENIED], "he is denied")
        await self.said("the access policy policy has no answer to enter, which counts as no: no answer within 0.05 s")
        self.patch(access, "PATIENCE", 60.0)
        visitor = await self.connect(self.port_of(client))
        await self.until(lambda: len(self.pending()) == 3, "the question")
        await self.stop(server)
        await self.until(lambda: visitor.ended, "he is reset")
        self.assertEqual((server.hub.outcomes[Outcome.STOPPED], server.hub.live), (1, 0))

    async def test_same_again(self) -> None:
        """A policy that answers with one Deferred for ever means the same each time: its no never becomes a yes."""
        target, made = await self.target()
        server = await self.server(access=policy(enter="same no"))
        client = await self.open_client(server, self.mapping(target))
        for number in range(1, 4):
            with contextlib.suppress(ConnectError):
                await self.connect(self.port_of(client))
            await self.until(lambda n=number: server.hub.outcomes[Outcome.DENIED] == n, "he is denied")  # type: ignore[misc]
        self.assertEqual(made, [])

    async def test_crowd(self) -> None:
        """While it is slow no more are asked about than may be here; the others are turned away at once. When it fails
        for all of them the log has some lines, and the counters have them all."""
        target, made = await self.target()
        server = await self.server(access=policy(enter="wait"), limits={"visitors": 100})
        client = await self.open_client(server, self.mapping(target))
        visitors = [await self.connect(self.port_of(client)) for _ in range(100)]
        for _ in range(10):
            with contextlib.suppress(ConnectError):  # he may be reset before he knows that he was connected
                visitors.append(await self.connect(self.port_of(client)))
        await self.until(lambda: server.hub.outcomes[Outcome.DENIED] == 10, "ten are one too many")
        self.assertEqual(len(self.pending()), 100)
        for each in self.pending()[:50]:
            each.callback(None)
        for each in self.pending()[50:]:
            each.errback(RuntimeError("it is away"))
        await self.until(lambda: server.hub.outcomes[Outcome.DENIED] == 60, "they are denied")
        await self.until(lambda: len(made) == 50, "the others are served")
        self.assertEqual(self.failures(), 5)
        self.assertEqual(sum("was reset: the server's access policy" in line for line in self.lines()), 5)
        for each in visitors:
            each.hang_up()
        await self.until(lambda: not server.hub.live, "all are gone")
        [peer] = server.hub.peers.values()
        self.assertEqual((peer.visitors, peer._asked), (0, 0))

    async def test_reload(self) -> None:
        """One that stays as it is in the file stays the same object. Who waits for the answer of one that is gone is
        told of by that, and is turned away when the server stops."""
        target, made = await self.target()
        server = await self.server(access=policy(enter="wait"))
        client = await self.open_client(server, self.mapping(target))
        first = server.hub.access
        await self.change(server, enter="wait")
        self.assertIs(server.hub.access, first)
        visitors = [await self.connect(self.port_of(client)) for _ in range(2)]
        await self.until(lambda: len(self.pending()) == 2, "the questions")
        await self.change(server, enter="no")
        self.assertIsNot(server.hub.access, first)
        self.pending()[0].callback(None)
        await self.until(lambda: len(made) == 1, "he is served")
        await self.stop(server)
        await self.until(lambda: all(each.ended for each in visitors), "both are over")
        self.assertEqual(server.hub.outcomes[Outcome.STOPPED], 1)

    async def test_absent(self) -> None:
        """Where there is none, nobody is asked, and nothing of it is loaded with a visitor."""
        server = await self.server()
        self.assertIsNone(server.hub.access)
        self.assertIsNone(server.hub.vetter("edge", "web", ""))


