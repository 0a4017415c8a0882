"""Brings a server and clients up on loopback and the real reactor, and takes them down so that nothing is left: no
connection, no port, no timer."""

from __future__ import annotations

import itertools
import os
import resource
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from twisted.internet import reactor as global_reactor
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.error import ConnectionDone
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.testing import EventLoggingObserver
from twisted.logger import formatEvent, globalLogPublisher
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from gotunnel.address import HostPort
from gotunnel.client import pace
from gotunnel.client.published import Published
from gotunnel.client.service import ClientService, make_client
from gotunnel.client.standing import Standing
from gotunnel.config.model import ClientConfig, LimitsConfig, MappingConfig, ServerConfig
from gotunnel.core import backoff
from gotunnel.logs import set_level
from gotunnel.net.quiet import OneProtocol
from gotunnel.net.systemd import Handed
from gotunnel.server import public
from gotunnel.server.service import ServerService, make_server
from tests.ports import free_port, unreserved

__all__ = ["TOKEN", "Echo", "IntegrationTestCase", "Peer", "reactor"]

reactor: Any = global_reactor
TOKEN = "7f3a9c51e8d24b60af17c3925be8d046"
DEADLINE = 15.0
"""Seconds after which a wait fails; far more than is needed."""


class Peer(Protocol):
    """A visitor, or any other connection that a test holds in its hand."""

    def __init__(self) -> None:
        self.received = b""
        self.ended: Failure | None = None

    def dataReceived(self, data: bytes) -> None:
        self.received += data

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.ended = reason

    def hang_up(self) -> None:
        """Reset the connection, if it is there."""
        if self.ended is None:
            self.transport.abortConnection()

    @property
    def was_reset(self) -> bool:
        """Whether the end was not an orderly one."""
        return self.ended is not None and not self.ended.check(ConnectionDone)


class Echo(Peer):
    """A service that sends everything back."""

    def dataReceived(self, data: bytes) -> None:
        self.received += data
        self.transport.write(data)


class IntegrationTestCase(TestCase):
    """A test with real connections. Whatever it starts is ended after it, the clients first."""

    timeout = 60
    relay = "auto"
    """How both ends move bytes."""

    def setUp(self) -> None:
        """Note what there is."""
        self.addCleanup(self._check_nothing_left, self._held())
        # An ordinary user's 1024 descriptors are too few where both roles and their visitors are one process.
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 4096)), hard))
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir(parents=True)
        self._numbers = itertools.count(1)
        self.patch(public, "any_ports", unreserved(public.any_ports))
        self.log = EventLoggingObserver.createWithCleanup(self, globalLogPublisher)

    # What there is.

    @staticmethod
    def _held() -> tuple[set[Any], list[str]]:
        found = set(reactor.getReaders()) | set(reactor.getWriters())
        # A reactor that is started again has wakers of its own, made anew.
        found = {each for each in found if type(each).__module__ != "twisted.internet._signals"}
        # trial's own timeout of each phase of a test is none of ours.
        calls = [call for call in reactor.getDelayedCalls() if call.func.__module__ != "twisted.trial._asynctest"]
        return found, [str(call) for call in calls]

    async def _check_nothing_left(self, before: tuple[set[Any], list[str]]) -> None:
        end = reactor.seconds() + 3
        while reactor.seconds() < end:
            found, calls = self._held()
            left, timers = found - before[0], [call for call in calls if call not in before[1]]
            if not left and not timers:
                break
            await self.pause(0.005)
        self.assertEqual(([str(each) for each in left], timers), ([], []))

    @staticmethod
    def descriptors() -> int:
        """Count what this process has open."""
        return len(os.listdir("/proc/self/fd"))

    # Starting.

    async def server(self, handed: Sequence[Handed] = (), **config: Any) -> ServerService:
        """Start a server on a free port, or with sockets that were handed over."""
        values: dict[str, Any] = {
            "addr": HostPort("127.0.0.1", free_port(self)),
            "token": TOKEN,
            "relay": self.relay,
            "drain_timeout": 0.0,
            "allow_ports": ("1024-65535",),
            **config,
        }
        if isinstance(values.get("limits"), dict):
            values["limits"] = LimitsConfig(**values["limits"])
        state = self.folder / f"state{next(self._numbers)}"
        state.mkdir()
        service = make_server(ServerConfig(**values), reactor, state, handed=handed)
        service.startService()
        self.addCleanup(self.stop, service)
        return service

    def client(self, server: ServerService | int, *mappings: MappingConfig, **config: Any) -> ClientService:
        """Start a client; it is connected some time later."""
        port = server if isinstance(server, int) else server.address.port
        values: dict[str, Any] = {
            "name": "edge",
            "token": TOKEN,
            "relay": self.relay,
            "server_addr": HostPort("127.0.0.1", port),
            "mappings": mappings,
            "drain_timeout": 0.0,
            **config,
        }
        service = make_client(ClientConfig(**values), reactor, self.folder)
        service.startService()
        self.addCleanup(self.stop, service)
        return service

    async def open_client(
        self, server: ServerService | int, *mappings: MappingConfig, **config: Any
    ) -> ClientService:
        """Start a client and wait until all its mappings are open."""
        client = self.client(server, *mappings, **config)
        await self.until(lambda: self.is_open(client), "all mappings are open")
        return client

    async def stop(self, service: Any) -> None:
        """Stop a service, if it runs. Everybody who came is over then, on his own account."""
        if service.running:
            await maybeDeferred(service.stopService)
        usage = service.hub.usage if isinstance(service, ServerService) else service.usage
        self.assertEqual((usage.live, usage.accounts.all.here, len(usage.accounts)), (0, 0, 0))

    @staticmethod
    def mapping(target: int, name: str = "web", remote: Any = 0, **more: Any) -> MappingConfig:
        """Return a mapping to a port of 127.0.0.1, published on 127.0.0.1."""
        where = f"127.0.0.1:{remote}" if isinstance(remote, int) else remote
        return MappingConfig.model_validate({"name": name, "local": target, "remote": where, **more})

    async def target(self, make: Callable[[], Protocol] = Echo) -> tuple[int, list[Any]]:
        """Start a service; return its port, and the list of its connections."""
        made: list[Any] = []

        class Service(Factory):
            noisy = False

            def buildProtocol(self, addr: object) -> Protocol:
                made.append(make())
                return made[-1]

        port = reactor.listenTCP(free_port(self), Service(), interface="127.0.0.1")

        async def end() -> None:
            await maybeDeferred(port.stopListening)
            for each in made:
                each.hang_up()

        self.addCleanup(end)
        return port.getHost().port, made

    async def connect(self, port: int) -> Peer:
        """Connect to a port of 127.0.0.1."""
        return await self.join(Peer(), port)

    async def join(self, peer: Peer, port: int) -> Peer:
        """The same with a protocol of one's own."""
        await TCP4ClientEndpoint(reactor, "127.0.0.1", port, 10).connect(OneProtocol(lambda: peer))
        self.addCleanup(peer.hang_up)
        return peer

    # Looking.

    @staticmethod
    def is_open(client: ClientService) -> bool:
        """Whether all mappings of a client are open."""
        return all(status.standing is Standing.OPEN for status in client.link.published.statuses.values())

    @staticmethod
    def port_of(client: ClientService, name: str = "web") -> int:
        """Return where a mapping is open."""
        address = client.link.published.statuses[name].address
        assert address is not None
        return address.port

    def lines(self) -> list[str]:
        """Return all that was logged."""
        return [str(formatEvent(event)) for event in self.log]

    async def said(self, words: str, times: int = 1, skip: int = 0) -> None:
        """Wait until so many lines of the log, behind the first `skip`, have these words."""
        await self.until(lambda: sum(words in line for line in self.lines()[skip:]) >= times, f"a line: {words}")

    # Waiting.

    async def pause(self, seconds: float) -> None:
        """Let the reactor run."""
        waited: Deferred[None] = Deferred()
        reactor.callLater(seconds, waited.callback, None)
        await waited

    async def until(self, condition: Callable[[], Any], what: str, seconds: float = DEADLINE) -> None:
        """Wait until something holds."""
        end = reactor.seconds() + seconds
        while not condition():
            if reactor.seconds() > end:
                self.fail(f"not seen in {seconds:g} s: {what}; the log ends with {self.lines()[-15:]}")
            await self.pause(0.005)

    async def echoes(self, port: int, words: bytes = b"hello") -> Peer:
        """Visit a port and wait for one's own words."""
        visitor = await self.connect(port)
        visitor.transport.write(words)
        await self.until(lambda: visitor.received == words or visitor.ended, "the echo")
        self.assertEqual(visitor.received, words)
        return visitor

    # Making it quick.

    def quick(self, first: float = 0.01, cap: float = 0.05) -> None:
        """Let clients try again, and ask again for refused mappings, after some milliseconds."""
        self.patch(Published, "pause", lambda published: 0.05)
        self.patch(backoff, "LEAST_DELAY", first)
        self.patch(pace, "Backoff", lambda: backoff.Backoff(first=first, cap=cap))

    def debug(self) -> None:
        """Log everything."""
        set_level("debug")
        self.addCleanup(set_level, "info")
