"""What the tests of a target of datagrams with several addresses stand on: names, flows, sockets that are played."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet import reactor
from twisted.internet.address import IPv4Address
from twisted.internet.interfaces import IReactorFDSet
from twisted.internet.task import Clock
from twisted.trial.unittest import TestCase
from zope.interface import implementer

from gotunnel.address import HostPort
from gotunnel.core.dropped import Drop
from gotunnel.errors import DialFailed
from gotunnel.net import targetway
from gotunnel.net.lastanswer import LastAnswers
from gotunnel.net.relay import PortableRelay
from gotunnel.net.targetflow import dial_flow
from tests.ports import free_port

__all__ = ["FIRST", "HOSTS", "SECOND", "THIRD", "FlowCase", "Played", "PlayedCase", "Slow"]

FIRST, SECOND, THIRD = HOSTS = ("127.0.0.2", "127.0.0.3", "127.0.0.4")


@implementer(IReactorFDSet)
class Slow:
    """The reactor, but that its time stands still, and that every name has these addresses."""

    def __init__(self) -> None:
        real: Any = reactor
        self.clock = Clock()
        self.hosts: tuple[str, ...] = (FIRST, SECOND)
        self.looks = 0
        self.answering = True
        self.asked: list[tuple[Any, int]] = []
        self.seconds, self.callLater = self.clock.seconds, self.clock.callLater
        for name in ("addReader", "removeReader", "addWriter", "removeWriter", "removeAll", "getReaders", "getWriters"):
            setattr(self, name, getattr(real, name))

    @property
    def nameResolver(self) -> Slow:
        """What looks names up."""
        return self

    def resolveHostName(self, receiver: Any, host: str, port: int) -> Any:
        """Called by the look-up."""
        self.looks += 1
        self.asked.append((receiver, port))
        if self.answering:
            self.answer()
        return self

    def answer(self) -> None:
        """Answer all that was asked."""
        for receiver, port in self.asked:
            for each in self.hosts:
                receiver.addressResolved(IPv4Address("UDP", each, port))
            receiver.resolutionComplete()
        self.asked = []


class FlowCase(TestCase):
    """Flows of one target."""

    timeout = 30

    def setUp(self) -> None:
        self.slow = Slow()
        self.answers = LastAnswers(self.slow)
        self.target = HostPort("service.test", free_port(self))
        self.dropped: list[Drop] = []

    def dial(self) -> Any:
        """Look the name up and begin one, at once."""
        relay = PortableRelay(reactor)
        return dial_flow(self.slow, relay, self.target, 1.0, 60.0, self.dropped.append, self.answers)

    def flow(self) -> Any:
        """Return one that has begun."""
        flow = self.successResultOf(self.dial())
        self.addCleanup(flow.abort)
        return flow


class Played:
    """Sockets to targets that do as they are told."""

    def __init__(self) -> None:
        self.made: list[Played.Socket] = []
        self.nowhere: set[str] = set()
        self.refuses: dict[str, int] = {}
        """How many datagrams each takes before it refuses."""
        self.here = "192.0.2.1"
        """From which address they are made."""

    def __call__(
        self, _: Any, host: str, port: int, arrived: Callable[[bytes], None], refused: Any, unreached: Any
    ) -> Any:
        if host in self.nowhere:
            raise DialFailed("unreachable", "no way")
        found = self.Socket(host, arrived, refused, unreached, self.refuses.get(host))
        found.here = f"{self.here}:{len(self.made)}"
        self.made.append(found)
        return found

    class Socket:
        """One of them."""

        here = ""

        def __init__(
            self, host: str, arrived: Callable[[bytes], None], refused: Any, unreached: Any, most: int | None
        ) -> None:
            self.host = host
            self.arrived = arrived
            self.refused = refused
            self.unreached = unreached
            self.most = most
            self.sent: list[bytes] = []
            self.fails: OSError | None = None
            self.fails_once: OSError | None = None
            self.closed = False

        def send(self, datagram: bytes) -> None:
            """Keep it."""
            if self.fails is not None:
                raise self.fails
            if self.fails_once is not None:
                failed, self.fails_once = self.fails_once, None
                raise failed
            if len(self.sent) == self.most:
                raise ConnectionRefusedError
            self.sent.append(datagram)

        def source(self) -> str:
            """From which address it sends."""
            return self.here.rpartition(":")[0]

        def close(self) -> None:
            """Nothing more."""
            self.closed = True


class PlayedCase(FlowCase):
    """With sockets that refuse late, as those to other machines do."""

    def setUp(self) -> None:
        super().setUp()
        self.played = Played()
        self.patch(targetway, "TargetSocket", self.played)

    def sent(self) -> list[tuple[str, list[bytes]]]:
        """What was sent to whom."""
        return [(each.host, each.sent) for each in self.played.made]
