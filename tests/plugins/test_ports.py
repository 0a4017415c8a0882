"""Which port a mapping gets that leaves it to the server, and what becomes of allocators that fail."""

from __future__ import annotations

import sys
from itertools import islice, pairwise
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from gotunnel.client.standing import Standing
from gotunnel.config.model import ServerConfig
from gotunnel.config.portoptions import StickyOptions
from gotunnel.core.ports import PortSet, Wish
from gotunnel.errors import PortUnavailable
from gotunnel.interfaces import IPortAllocator
from gotunnel.server.allocation import MOST_CANDIDATES, PATIENCE, Allocation, AnyPort, StickyPort
from tests.config.files import SERVER, FileTestCase
from tests.integration.base import TOKEN, IntegrationTestCase
from tests.plugins.places import PlaceTestCase, ReactorPlaceTestCase
from tests.ports import free_port

ASKED = '''
class O(Options):
    how: str = Field(description="x")
    ports: list[int] = Field(default=[], description="x")

class Asked:
    """Answers as its options say."""

    wishes = []
    pending = []

    def __init__(self, reactor, options):
        self.options = options

    def candidates(self, wish):
        from twisted.internet.defer import Deferred
        self.wishes.append(wish)
        if self.options.how == "raise":
            raise RuntimeError("no ports today")
        if self.options.how == "wait":
            self.pending.append(Deferred())
            return self.pending[-1]
        if self.options.how == "nonsense":
            return ["a port"]
        return self.options.ports

asked = Plugin(IPortAllocator, "asked", Asked, options=O)
'''


def allocator(**options: Any) -> Any:
    """Return what a file says of the allocator above."""
    section = {"token": TOKEN, "port_allocator": {"plugin": "asked", **options}}
    return ServerConfig.model_validate(section).port_allocator


class StickyTests(SynchronousTestCase):
    """A hash of both names."""

    def ports(self, client: str, mapping: str, ports: Any = None) -> list[int]:
        options = StickyOptions.model_validate({"ports": ports})
        found = StickyPort(None, options).candidates(Wish(client, mapping, "0.0.0.0", PortSet.parse(["20000-20099"])))
        return list(islice(found, 500))

    def test_contract(self) -> None:
        """Both that gotunnel has are allocators."""
        for each in (StickyPort(None, StickyOptions()), AnyPort(None, None)):
            self.assertTrue(verifyObject(IPortAllocator, each))

    def test_same(self) -> None:
        """Always the same for the same names, and mostly another for others."""
        self.assertEqual(self.ports("a", "web"), self.ports("a", "web"))
        first = {self.ports(client, mapping)[0] for client in "abcd" for mapping in ("web", "ssh", "pg")}
        self.assertGreater(len(first), 8)

    def test_all(self) -> None:
        """Each port that is allowed, once, the next one after the first, over gaps and past the end."""
        found = self.ports("a", "web")
        self.assertEqual(sorted(found), list(range(20000, 20100)))
        for before, after in pairwise(found):
            self.assertEqual(after, before + 1 if before < 20099 else 20000)

    def test_options(self) -> None:
        """Only what both the options and the rights allow; nothing where they have nothing in common."""
        self.assertEqual(sorted(self.ports("a", "web", ports=["20090-30000", 20001])), [20001, *range(20090, 20100)])
        self.assertEqual(self.ports("a", "web", ports=[443]), [])

    def test_any(self) -> None:
        """The ordinary one has no end, and stays within what is allowed."""
        found = AnyPort(None, None).candidates(Wish("a", "web", "", PortSet.parse([5, "10-12"])))
        self.assertEqual(set(islice(found, 1000)), {5, 10, 11, 12})
        self.assertEqual(list(AnyPort(None, None).candidates(Wish("a", "web", "", PortSet()))), [])


class AllocationTests(PlaceTestCase):
    """A plugin that answers late, or not, or with nonsense."""

    wish = Wish("edge", "web", "0.0.0.0", PortSet.parse(["1-65535"]))

    def setUp(self) -> None:
        self.module(self.place(), "asked", ASKED)
        self.clock = Clock()

    def ask(self, **options: Any) -> Deferred[list[int]]:
        allocation = Allocation(self.clock, allocator(**options))
        return Deferred.fromCoroutine(allocation.candidates(self.wish))

    def refused(self, asking: Deferred[list[int]]) -> None:
        """It is a refusal whose text tells a stranger nothing, and the log has the cause."""
        error = self.failureResultOf(asking, PortUnavailable).value
        self.assertEqual((error.code, error.reason), ("port_in_use", "the server's port allocator has no answer"))
        self.assertEqual(len(self.flushLoggedErrors()), 1)

    def test_answers(self) -> None:
        """What it says, and no more than 64 of it; it may answer later."""
        self.assertEqual(self.successResultOf(self.ask(how="say", ports=list(range(1, 99)))), list(range(1, 65)))
        self.assertEqual(MOST_CANDIDATES, 64)
        asking = self.ask(how="wait")
        self.assertNoResult(asking)
        self.pending().callback([7, 8])
        self.assertEqual(self.successResultOf(asking), [7, 8])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_fails(self) -> None:
        """It raises, it answers with what is no port, its Deferred fails, or it is silent: the mapping is refused."""
        self.refused(self.ask(how="raise"))
        self.refused(self.ask(how="nonsense"))
        asking = self.ask(how="wait")
        self.pending().errback(RuntimeError("it is gone"))
        self.refused(asking)
        asking = self.ask(how="wait")
        self.clock.advance(PATIENCE)
        self.refused(asking)

    def test_lines(self) -> None:
        """A client that asks again and again of one that fails does not fill the log."""
        allocation = Allocation(self.clock, allocator(how="raise"))
        for _ in range(20):
            asking = Deferred.fromCoroutine(allocation.candidates(self.wish))
            self.failureResultOf(asking, PortUnavailable)
        self.assertEqual(len(self.flushLoggedErrors()), 5)

    def pending(self) -> Deferred[list[int]]:
        found: Deferred[list[int]] = sys.modules["gotunnel.plugins.asked"].Asked.pending[-1]
        return found


class ConfiguredTests(FileTestCase):
    """`server.port_allocator`."""

    def test_options(self) -> None:
        """A word or a group; ports are read as everywhere."""
        for text in ("sticky", "{plugin: sticky, ports: '20000-29999'}"):
            server = self.load(f"{SERVER}  port_allocator: {text}\n").server
            assert server is not None and server.port_allocator is not None
            self.assertEqual(server.port_allocator.plugin, "sticky")
        found = self.problem(f"{SERVER}  port_allocator: {{plugin: sticky, ports: 5-1}}\n")
        self.assertEqual(found.key, "server.port_allocator.ports")


class RunningTests(ReactorPlaceTestCase, IntegrationTestCase):
    """A server that asks one."""

    def setUp(self) -> None:
        super().setUp()
        self.addCleanup(self.pause, 0.02)  # what was refused or cut a moment ago still ends
        self.module(self.place(), "asked", ASKED)

    async def test_rights(self) -> None:
        """What it says is checked: a port that the client may not have is passed over, as is one that is taken; a
        mapping with a port of its own wish is none of its business."""
        free, _ = await self.target()
        wanted = free_port(self)
        config = allocator(how="say", ports=[1, 70000, free, wanted])
        server = await self.server(port_allocator=config, allow_ports=(f"{min(free, wanted)}-{max(free, wanted)}",))
        client = await self.open_client(server, self.mapping(free))
        self.assertEqual(self.port_of(client), wanted)
        wishes = sys.modules["gotunnel.plugins.asked"].Asked.wishes
        self.assertEqual([(wish.client, wish.mapping, wish.bind) for wish in wishes], [("edge", "web", "127.0.0.1")])

    async def test_fails(self) -> None:
        """While it fails the mapping is refused; after a reload without it the client gets a port."""
        self.quick()
        target, _ = await self.target()
        server = await self.server(port_allocator=allocator(how="raise"))
        client = self.client(server, self.mapping(target))
        statuses = client.link.published.statuses
        await self.until(lambda: statuses["web"].standing is Standing.REFUSED, "a refusal")
        self.assertIn("the server's port allocator has no answer", statuses["web"].reason)
        await server.reload(server.hub.config.model_copy(update={"port_allocator": None}))
        await self.until(lambda: self.is_open(client), "a port")
        self.assertGreaterEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
