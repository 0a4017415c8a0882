"""What these tests look at from outside: listeners as the kernel lists them, descriptors, timers, the time that an idle
process takes; and a path between client and server that loses what it is told to."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path as File
from typing import Any, NamedTuple

from twisted.internet.defer import maybeDeferred
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure

from gotunnel.client.service import ClientService
from gotunnel.net.quiet import OneProtocol
from gotunnel.server.service import ServerService
from gotunnel.server.session import ServerSession
from tests.integration.base import IntegrationTestCase, reactor

__all__ = ["DEADLINE", "Figures", "Path", "RegressionTestCase"]

DEADLINE = 30.0
"""Seconds after which a wait fails; far more than is needed, for a machine that is busy."""
LISTEN = "0A"
"""The state of a listening socket in /proc/net/tcp."""


class Figures(NamedTuple):
    """What one process holds."""

    descriptors: int
    timers: int
    readers: int
    legs: int


class RegressionTestCase(IntegrationTestCase):
    """A test that counts before and after."""

    timeout = 120

    async def until(self, condition: Callable[[], Any], what: str, seconds: float = DEADLINE) -> None:
        await super().until(condition, what, seconds)

    @staticmethod
    def listeners(port: int) -> list[str]:
        """Return the inodes of all sockets that listen on a port, whatever their address."""
        rows = [line.split() for line in File("/proc/net/tcp").read_text().splitlines()[1:]]
        return [row[9] for row in rows if row[3] == LISTEN and row[1].endswith(f":{port:04X}")]

    def listener(self, port: int) -> str:
        """Return the inode of the one socket that listens there: the same inode is the same socket, not bound anew."""
        found = self.listeners(port)
        self.assertEqual(len(found), 1, f"sockets that listen on {port}")
        return found[0]

    @staticmethod
    def session(server: ServerService, name: str = "edge") -> ServerSession | None:
        """Return the session that serves a client now, if one does."""
        peer = server.hub.peers.get(name)
        return None if peer is None else peer.session

    def settled(self, server: ServerService, client: ClientService, legs: int = 2) -> bool:
        """Whether one session is there at both ends with nothing but its first legs, and no visitor."""
        session = self.session(server)
        return (
            session is not None
            and self.is_open(client)
            and not server.hub.live
            and len(server.hub._present) == len(client.link._sessions) == 1
            and len(session._legs) == len(client.link.session.legs.legs) == legs  # type: ignore[union-attr]
        )

    def figures(self, server: ServerService) -> Figures:
        """Count what this process holds now."""
        legs = sum(len(session._legs) for session in server.hub._present)
        return Figures(self.descriptors(), len(reactor.getDelayedCalls()), len(reactor.getReaders()), legs)

    async def as_before(
        self, server: ServerService, before: Figures, quiet: Callable[[], object], spare: int = 0
    ) -> None:
        """Wait until all figures are at most what they were, `spare` timers and readers aside that come and go."""

        def fits() -> bool:
            now = self.figures(server)
            return bool(quiet()) and all(new <= old + spare for new, old in zip(now, before, strict=True))

        try:
            await self.until(fits, "as before")
        except self.failureException:
            calls = [str(call) for call in reactor.getDelayedCalls()]
            self.fail(f"{before} has become {self.figures(server)}; quiet: {bool(quiet())}; timers: {calls}")

    async def idle_cpu(self, seconds: float) -> float:
        """Return which part of one processor this process takes while nothing happens in it."""
        began, used = time.monotonic(), time.process_time()
        await self.pause(seconds)
        return (time.process_time() - used) / (time.monotonic() - began)


class _End(Protocol):
    """One of the two ends of a connection through a `Path`."""

    other: _End | None = None
    holed = False
    held = False

    def __init__(self) -> None:
        self.early: list[bytes] = []
        self.port = 0
        self.stands = False

    def connectionMade(self) -> None:
        self.port = self.transport.getHost().port
        self.stands = True

    def dataReceived(self, data: bytes) -> None:
        if self.holed:
            return
        if self.other is not None and self.other.stands and not self.held:
            self.other.transport.write(data)
        else:
            self.early.append(data)

    def release(self) -> None:
        """Pass on what was kept."""
        self.held = False
        early, self.early = self.early, []
        if self.other is not None and self.other.stands:
            for data in early:
                self.other.transport.write(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.stands = False
        if not self.holed and self.other is not None and self.other.stands:
            self.other.transport.loseConnection()


class Path(Factory):
    """A relay in front of a server, each connection numbered from 0: the first of a client is its control connection.
    Alters no byte."""

    noisy = False

    def __init__(self, case: IntegrationTestCase, server_port: int) -> None:
        self.ends: list[tuple[_End, _End]] = []
        self._server_port = server_port
        self._closed = False
        self._listening = reactor.listenTCP(0, self, interface="127.0.0.1")
        self.port: int = self._listening.getHost().port
        case.addCleanup(self._close)

    def close(self) -> None:
        """Let nobody new through, until `open`."""
        self._closed = True

    def open(self) -> None:
        """Let new connections through."""
        self._closed = False

    def buildProtocol(self, addr: object) -> Protocol | None:
        if self._closed:
            return None
        near, far = _End(), _End()
        near.other, far.other = far, near
        self.ends.append((near, far))

        def connected(_: object) -> None:
            near.release()
            if not near.stands:
                far.transport.loseConnection()

        endpoint = HostnameEndpoint(reactor, "127.0.0.1", self._server_port)
        endpoint.connect(OneProtocol(lambda: far)).addCallback(connected).addErrback(lambda _: None)
        return near

    def of(self, session: ServerSession) -> int:
        """Return the number of a session's control connection."""
        port = int(session.address.rpartition(":")[2])
        (number,) = [n for n, (_, far) in enumerate(self.ends) if far.stands and far.port == port]
        return number

    def hole(self, number: int) -> None:
        """Let nothing pass on a connection any more: no byte, no end, no reset."""
        for end in self.ends[number]:
            end.holed = True

    def delay_legs(self) -> None:
        """Keep what the server sends on the newest two connections, its client's legs, until `release`: a slow path."""
        for _, far in self.ends[-2:]:
            far.held = True

    def release(self) -> None:
        """Pass on what was kept."""
        for _, far in self.ends:
            far.release()

    def reset(self, number: int, *, client: bool = True, server: bool = True) -> None:
        """Reset one end of a connection, or both. The one that is left stays as it is: nobody tells it."""
        self.hole(number)
        for end, wanted in zip(self.ends[number], (client, server), strict=True):
            if wanted and end.stands:
                end.transport.abortConnection()

    async def _close(self) -> None:
        await maybeDeferred(self._listening.stopListening)
        for number in range(len(self.ends)):
            self.reset(number)

