"""The fast relay against the contract of all relays: over plain legs, over TLS of its own and over Twisted's; on
trial's reactor, where each descriptor is one of the reactor's. Its own loop is tried in test_pump_reactor."""

from __future__ import annotations

import os
import socket
import sys
from typing import Any
from unittest import skipUnless

from twisted.internet import reactor
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from gotunnel.core.outcome import Outcome
from gotunnel.interfaces import IRelay
from gotunnel.net import pathwatch, sockets
from gotunnel.wire.legs import data_header
from gotunnel.wire.legstate import End, State
from tests.relay_breaches import OPENED
from tests.relay_contract import RelayContract
from tests.relay_link import abort, digest_of, push, until, was_reset
from tests.relay_stage import MIB, RelayStage
from tests.relay_tls import RelayTls

LINUX = sys.platform.startswith("linux")


@skipUnless(LINUX, "the fast relay needs Linux")
class FastRelayTests(RelayContract, TestCase):
    """Plain legs: recv and send for what is small, splice for what is large."""

    def make_relay(self) -> IRelay:
        from gotunnel.net.fast.relay import FastRelay

        self.patch(pathwatch, "INTERVAL", 0.1)
        return FastRelay(reactor)

    async def test_quiet_streams_are_not_looked_at(self) -> None:
        """Where nothing is under way nobody looks; with the next byte, or when nobody takes more, somebody does, and
        notices a reset that the kernel tells nobody."""
        link = await self.link()
        watches = [relay._tools.watch for relay in link.relays]  # type: ignore[attr-defined]
        watched, begun = [watch._watched for watch in watches], [self.begun(watch) for watch in watches]
        for way, outcome in ((0, Outcome.RESET_BY_VISITOR), (1, Outcome.RESET_BY_TARGET)):
            stream = await link.visit()
            near, far = stream.ways()[way]
            for _ in range(2):
                before = len(begun[way])
                near.sendall(b"a word")
                self.assertEqual(await deferToThread(far.recv, 100), b"a word")
                self.assertTrue(watched[way] or begun[way][before:], "the leg that was written to")
                await until(lambda: not any(watched), "the stream is quiet")
            await deferToThread(push, near, 256 * MIB)
            self.assertTrue(all(watched), "neither end can pass on what it has")
            abort(near)
            self.assertTrue(await deferToThread(was_reset, far))
            await self.outcome(link, outcome, outcome)
        await link.stop()
        await self.at_base()

    async def test_closed_at_the_first_byte(self) -> None:
        """An owner that closes the leg when the first byte comes, here one of many through a pipe: what was in the pipe
        reaches nobody else."""
        lone = await self.lone(End.OPENER)
        relay: Any = lone.relay
        lone.visit()
        await lone.reaches(State.DIALLING)
        lone.send(OPENED + data_header(100_000))
        await until(lambda: lone.leg._left == 100_000, "the header is there")
        self.patch(lone.owner, "leg_first_byte", lambda leg: leg.close())
        lone.send(bytes(100_000))
        await lone.reaches(State.CLOSED)
        pipes = relay._tools.pipes
        pipe = pipes.borrow()
        self.assertRaises(BlockingIOError, os.read, pipe.reader, 1)
        self.assertEqual(pipe.held, 0)
        pipes.give_back(pipe)
        await lone.stop()
        await self.at_base()

    def begun(self, watch: pathwatch.PathWatch) -> list[object]:
        """Return a list of what is watched from now on, whether or not it still is."""
        begun: list[object] = []
        add = watch.add

        def noted(watched: pathwatch.Watched) -> None:
            begun.append(watched)
            add(watched)

        self.patch(watch, "add", noted)
        return begun


class FastRelayOverOwnTlsTests(RelayTls, FastRelayTests):
    """Legs on the standard library's TLS."""

    tls = own_tls = True


class FastRelayOverTwistedTlsTests(RelayTls, FastRelayTests):
    """Legs of a peer that dialled them without the server name."""

    tls = True


@skipUnless(LINUX, "the fast relay needs Linux")
class PacingTests(RelayStage, TestCase):
    """Who is spared pacing by the congestion control, where no network is in between."""

    def make_relay(self) -> IRelay:
        from gotunnel.net.fast.relay import FastRelay

        return FastRelay(reactor)

    async def test_from_the_start(self) -> None:
        """Visitors of a port on loopback and targets there are not paced from the start, where the system would."""
        self.patch(sockets, "_paces", lambda: True)
        link = await self.link()
        await link.visit()
        for owner in (link.opener, link.dialler):
            sock = owner.leg._local.sock
            self.assertEqual(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 5), b"reno\0")
        await link.stop()
        await self.at_base()

    async def test_much(self) -> None:
        """What leaves in mouthfuls is not paced, on the leg and on the connection behind it: each is looked at once
        and for the way that the bytes take. Words are no reason to look."""
        from gotunnel.net.fast import local, sending

        looked_at: list[socket.socket] = []
        for module in (sending, local):
            self.patch(module, "spare_pacing", looked_at.append)
        link = await self.link()
        stream = await link.visit()
        legs = [owner.leg._sock for owner in (link.opener, link.dialler)]
        behind = [link.opener.leg._local.sock, link.dialler.leg._local.sock]
        for near, far in stream.ways():
            near.sendall(b"a word")
            self.assertEqual(await deferToThread(far.recv, 100), b"a word")
        self.assertEqual(looked_at, [])
        for way, (near, far) in enumerate(stream.ways()):
            for _ in range(2):
                read = deferToThread(digest_of, far, 16 * MIB)
                await deferToThread(near.sendall, bytes(16 * MIB))
                await read
            wanted = [legs[way].fileno(), behind[1 - way].fileno()]
            self.assertCountEqual([sock.fileno() for sock in looked_at], wanted)
            looked_at.clear()
        await link.stop()
        await self.at_base()


class PacingOverOwnTlsTests(PacingTests):
    """The same inside TLS."""

    tls = own_tls = True
