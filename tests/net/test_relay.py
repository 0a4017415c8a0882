"""The portable relay against the contract of all relays, over plain and over TLS legs, and what is its own."""

from __future__ import annotations

import errno
import socket
import time

from twisted.internet import reactor
from twisted.internet.task import Clock
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import SynchronousTestCase, TestCase

from gotunnel.core.outcome import Outcome
from gotunnel.interfaces import IRelay
from gotunnel.net import pathwatch
from gotunnel.net.relay import PortableRelay, listen_failure
from gotunnel.net.transports import unsent_bytes
from gotunnel.wire.legs import DONE_FRAME, FIN_FRAME, data_header
from gotunnel.wire.legstate import End, State
from tests.relay_breaches import OPEN, OPENED
from tests.relay_contract import RelayContract
from tests.relay_link import is_stuck, until, was_reset
from tests.relay_stage import RelayStage
from tests.relay_tls import RelayTls


class PortableRelayTests(RelayContract, TestCase):
    """Plain legs."""

    def make_relay(self) -> IRelay:
        self.patch(pathwatch, "INTERVAL", 0.1)
        return PortableRelay(reactor)


class PortableRelayOverTlsTests(RelayTls, PortableRelayTests):
    """Legs in TLS."""

    tls = True


class OwnTests(RelayStage, TestCase):
    """What the contract cannot see."""

    def make_relay(self) -> IRelay:
        return PortableRelay(reactor)

    async def test_noticed_in_time(self) -> None:
        """With the interval that is used in earnest, a dialling end notices within 5 seconds that the leg is gone."""
        lone = await self.lone(End.DIALLER)
        lone.owner.hold = True
        lone.send(OPEN)
        await lone.reaches(State.DIALLING)
        begin = time.monotonic()
        lone.peer.transport.abortConnection()
        await until(lambda: "abandoned" in lone.owner.events, "the dial is abandoned")
        self.assertLess(time.monotonic() - begin, 5.0)
        await lone.stop()
        await self.at_base()

    async def test_stop(self) -> None:
        """A relay that stops resets a visitor who still takes his last bytes; its legs are not its own."""
        lone = await self.lone(End.OPENER)
        visitor = lone.visit()
        visitor.shutdown(socket.SHUT_WR)
        lone.send(OPENED)
        await lone.reaches(State.FIN_SENT)
        local, size = lone.leg._local.transport, 0
        while not is_stuck(local):
            lone.send(data_header(20_000) + bytes(20_000))
            size += 20_000
            await until(lambda size=size: lone.leg._tally.received == size, "it is passed on")
            await until(lambda: is_stuck(local) or not unsent_bytes(local), "no more is taken")
        lone.send(FIN_FRAME + DONE_FRAME)
        await lone.reaches(State.IDLE)
        self.assertEqual([(end.outcome, end.down) for end in lone.owner.ends], [(Outcome.COMPLETED, size)])
        self.assertTrue(unsent_bytes(local))
        lone.relay.stop()
        self.assertTrue(await deferToThread(was_reset, visitor))
        self.assertIs(lone.leg.state, State.IDLE)
        await lone.stop()
        await self.at_base()


class CompletionTests(SynchronousTestCase):
    """A reactor that waits for completions and not for descriptors, as Windows has one."""

    def test_listens(self) -> None:
        """It listens in its own way."""
        asked: list[tuple[int, int, str]] = []

        class Completions(Clock):
            def listenTCP(self, port: int, factory: object, backlog: int, interface: str) -> str:
                asked.append((port, backlog, interface))
                return "listening"

        self.assertEqual(PortableRelay(Completions()).listen("127.0.0.1", 8080, lambda local: None), "listening")
        self.assertEqual(asked, [(8080, 1024, "127.0.0.1")])


class ListenFailureTests(SynchronousTestCase):
    """What the system says about listening."""

    def test_codes(self) -> None:
        """It becomes a code of the wire and one line that names the address."""
        for number, host, wanted in (
            (errno.EADDRINUSE, "", "port_in_use: *:80: another program on the server listens there"),
            (errno.EMFILE, "::1", "no_fds: [::1]:80: the server is out of file descriptors"),
            (errno.EACCES, "10.0.0.1", "acl_denied: 10.0.0.1:80: the server's system does not let it listen there"),
            (errno.EADDRNOTAVAIL, "10.0.0.1", "bad_request: 10.0.0.1:80: the server has no such address"),
            (errno.EPIPE, "10.0.0.1", "bad_request: 10.0.0.1:80: odd"),
        ):
            self.assertEqual(str(listen_failure(host, 80, OSError(number, "odd"))), wanted)
