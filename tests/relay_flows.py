"""The part of the relay contract about flows of datagrams: one DATA frame is one datagram, however the connection cuts
and joins what it carries, and what a leg does not take is dropped and counted."""

from __future__ import annotations

import errno
import os
from typing import Any

from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread
from zope.interface.verify import verifyObject

from gotunnel.core.dropped import Drop
from gotunnel.core.outcome import Outcome
from gotunnel.interfaces import IDatagramRelay, ILocal
from gotunnel.net.flow import MOST_WAITING
from gotunnel.wire.datagrams import MOST_DATAGRAM
from gotunnel.wire.legbodies import OpenBody, RstBody
from gotunnel.wire.legs import DONE_FRAME, FIN_FRAME, LegFrame, data_header, encode_leg_frame
from gotunnel.wire.legstate import End, State

from .relay_breaches import OPEN, OPENED, RST
from .relay_link import Lone, clock, until
from .relay_stage import RelayStage

__all__ = ["RelayFlows"]


class Net:
    """What is on the other side of a flow."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.dropped: list[Drop] = []
        self.closed = 0
        self.refuses = False

    def send(self, datagram: bytes) -> None:
        if self.refuses:
            raise ConnectionRefusedError(errno.ECONNREFUSED, "nobody listens")
        self.sent.append(datagram)

    def close(self) -> None:
        self.closed += 1

    def flow(self, lone: Lone, *, idle: float = 60.0, answered: bool = False) -> Any:
        """Return a flow of this relay."""
        relay: Any = lone.relay
        return relay.flow(self, idle, "192.0.2.7:5000", "192.0.2.7", "198.51.100.1:53", self.dropped.append, answered)


class Heard:
    """What the other end of the leg gets, frame by frame, though they arrive in pieces."""

    def __init__(self, lone: Lone) -> None:
        self._raw = bytearray()
        lone.peer.dataReceived = self._raw.extend  # type: ignore[method-assign]

    @property
    def frames(self) -> list[tuple[LegFrame, bytes]]:
        """Return the frames that are complete."""
        found, at = [], 0
        while at + 4 <= len(self._raw):
            header = int.from_bytes(self._raw[at : at + 4], "big")
            end = at + 4 + (header & 0xFFFFFF)
            if end > len(self._raw):
                break
            found.append((LegFrame(header >> 24), bytes(self._raw[at + 4 : end])))
            at = end
        return found

    @property
    def datagrams(self) -> list[bytes]:
        """Return what came in DATA frames."""
        return [body for kind, body in self.frames if kind is LegFrame.DATA]

    @property
    def codes(self) -> list[str]:
        """Return the codes of the resets."""
        return [RstBody.decode(body).code for kind, body in self.frames if kind is LegFrame.RST]


def framed(*datagrams: bytes) -> bytes:
    """Return DATA frames."""
    return b"".join(data_header(len(each)) + each for each in datagrams)


SIZES = (1, 2, 3, 4, 5, 1472, 16_379, 16_380, 16_384, 16_389, 32_768, 40_000, MOST_DATAGRAM)


class RelayFlows(RelayStage):
    """What a relay does with flows."""

    async def test_flow_at_an_opener(self) -> None:
        """The datagrams that wait travel right behind the OPEN, a frame each, and no more than may wait before the
        target is there; then all do. Frames that arrive come out as datagrams of the same length."""
        lone, net = await self.lone(End.OPENER), Net()
        heard, flow = Heard(lone), net.flow(lone)
        verifyObject(IDatagramRelay, lone.relay)
        verifyObject(ILocal, flow)
        self.assertEqual((flow.destination(), flow.host), ("198.51.100.1:53", "192.0.2.7"))
        early = [bytes([number]) * (number + 1) for number in range(MOST_WAITING + 3)]
        for datagram in early[:5]:
            flow.arrived(datagram)
        flow.arrived(b"")
        lone.leg.open(flow, OpenBody("c0", flow.address, mapping="m").encode())
        for datagram in early[5:]:
            flow.arrived(datagram)
        await until(lambda: len(heard.datagrams) == MOST_WAITING, "what may wait has come")
        self.assertEqual((heard.frames[0][0], heard.datagrams), (LegFrame.OPEN, early[:MOST_WAITING]))
        self.assertEqual(net.dropped, [Drop.EMPTY, *[Drop.WAITING] * 3])
        flow.answered()
        lone.send(OPENED)
        await lone.reaches(State.STREAMING)
        for size in SIZES:
            count = len(heard.datagrams)
            flow.arrived(bytes([size % 251]) * size)
            await until(lambda count=count: len(heard.datagrams) > count, "it comes")
        await until(lambda: len(heard.datagrams) == MOST_WAITING + len(SIZES), "each in a frame of its own")
        self.assertEqual([len(each) for each in heard.datagrams[MOST_WAITING:]], list(SIZES))
        await self._arrive(lone, net)
        flow.end("idle")
        await lone.reaches(State.RST_SENT)
        lone.send(RST + DONE_FRAME)
        await lone.reaches(State.IDLE)
        self.assertEqual((lone.owner.ends[-1].outcome, net.closed), (Outcome.QUIET, 1))
        await until(lambda: heard.codes == ["idle"], "the dialler hears it")
        await self.leave(lone)

    async def _arrive(self, lone: Lone, net: Net) -> None:
        """Send frames to the leg in all kinds of pieces."""
        wanted = [os.urandom(size) for size in SIZES]
        for datagram in wanted:
            lone.send(framed(datagram))
        await until(lambda: len(net.sent) == len(wanted), "whole frames")
        self.assertEqual(net.sent, wanted)
        net.sent.clear()
        lone.send(framed(*wanted[:8], *wanted))  # many in one piece of the connection
        await until(lambda: len(net.sent) == len(wanted) + 8, "joined frames")
        self.assertEqual(net.sent, wanted[:8] + wanted)
        net.sent.clear()
        raw = framed(b"abc", b"d" * 300, b"e")
        for at in range(len(raw)):
            lone.send(raw[at : at + 1])
            await deferLater(clock, 0)
        await until(lambda: len(net.sent) == 3, "frames byte by byte")
        self.assertEqual(net.sent, [b"abc", b"d" * 300, b"e"])
        net.sent.clear()
        before = len(net.dropped)
        half = framed(b"x" * (MOST_DATAGRAM + 1), b"behind", b"y" * 200_000, b"it")
        lone.send(half[:40_000])
        await deferLater(clock, 0.01)
        lone.send(half[40_000:])
        await until(lambda: len(net.sent) == 2, "what is behind a frame that is too long")
        self.assertEqual((net.sent, net.dropped[before:]), ([b"behind", b"it"], [Drop.TOO_LONG] * 2))
        net.sent.clear()

    async def test_flow_at_a_dialler(self) -> None:
        """The same at the other end: what came while it was dialled is delivered, FIN ends nothing, and a refusal of
        the target's system ends the flow with its code; the leg lives on and takes a connection next."""
        lone, net = await self.lone(End.DIALLER), Net()
        heard = Heard(lone)
        lone.owner.hold = True
        lone.send(OPEN + framed(b"one", b"two") + data_header(5))
        await lone.reaches(State.DIALLING)
        flow = net.flow(lone, answered=True)
        lone.leg.accept(flow)
        await until(lambda: net.sent == [b"one", b"two"], "what waited, though the next one has begun")
        lone.send(b"three")
        await until(lambda: net.sent[2:] == [b"three"], "the rest of it")
        net.sent.clear()
        flow.arrived(b"answer")
        await until(lambda: heard.datagrams == [b"answer"], "the answer")
        await self._arrive(lone, net)
        lone.send(FIN_FRAME)
        await lone.reaches(State.FIN_RECEIVED)
        flow.arrived(b"more")
        await until(lambda: heard.datagrams[-1] == b"more", "it goes on")
        flow.end("port_unreachable")
        await lone.reaches(State.IDLE)
        end = lone.owner.ends[-1]
        self.assertEqual((end.outcome, end.code), (Outcome.REFUSED, "port_unreachable"))
        await until(lambda: heard.codes == ["port_unreachable"], "the opener hears it")
        lone.send(encode_leg_frame(LegFrame.OPEN, OpenBody("c2", "203.0.113.9:2", mapping="m").encode()))
        await lone.reaches(State.DIALLING)
        second = Net()
        second.refuses = True
        lone.leg.accept(second.flow(lone, answered=True))
        lone.send(framed(b"into nothing"))
        await lone.reaches(State.RST_SENT)
        lone.send(RST)
        await lone.reaches(State.IDLE)
        self.assertEqual((second.closed, lone.owner.ends[-1].outcome), (1, Outcome.RESET_BY_TARGET))
        lone.owner.hold = False
        lone.send(OPEN + framed(b"a stream"))
        target = await lone.accept()
        self.assertEqual(await deferToThread(target.recv, 8), b"a stream")
        await self.leave(lone)

    async def test_flow_on_a_blocked_leg(self) -> None:
        """What a leg does not take is kept, as far as it is little, else dropped and counted; when it takes more, it is
        given what was kept and what comes then. Whoever resets the leg's stream ends the flow."""
        lone, net = await self.lone(End.OPENER), Net()
        heard, flow = Heard(lone), net.flow(lone, answered=True)
        flow.arrived(b"first")
        lone.leg.open(flow, OpenBody("c0", flow.address, mapping="m").encode())
        lone.send(OPENED)
        await lone.reaches(State.STREAMING)
        lone.peer.transport.pauseProducing()
        big, sent = os.urandom(60_000), 0
        while not net.dropped:
            flow.arrived(big)
            sent += 1
            self.assertLess(sent, 2000)
            await deferLater(clock, 0)
        for _ in range(10):
            flow.arrived(big)
        self.assertEqual(set(net.dropped), {Drop.BLOCKED})
        dropped = len(net.dropped)
        self.assertEqual(lone.leg.carried[0], 5 + (sent + 10 - dropped - MOST_WAITING) * len(big))
        lone.peer.transport.resumeProducing()
        await until(lambda: flow.reading, "the leg takes more")
        flow.arrived(b"last")
        await until(lambda: heard.datagrams[-1:] == [b"last"], "it comes")
        self.assertEqual(len(heard.datagrams), 2 + sent + 10 - dropped)
        lone.leg.reset("kicked")
        self.assertTrue(flow.gone)
        lone.send(RST + DONE_FRAME)
        await lone.reaches(State.IDLE)
        self.assertEqual((lone.owner.ends[-1].code, net.closed), ("kicked", 1))
        await until(lambda: heard.codes == ["kicked"], "the dialler hears it")
        await self.leave(lone)

    async def test_flow_is_gone(self) -> None:
        """A flow that is gone before it has a leg resets it, and the leg lives on."""
        lone, net = await self.lone(End.OPENER), Net()
        heard, flow = Heard(lone), net.flow(lone)
        flow.arrived(b"first")
        flow.abort()
        flow.arrived(b"second")
        lone.leg.open(flow, OpenBody("c0", flow.address, mapping="m").encode())
        await lone.reaches(State.DIALLING_RST)
        lone.send(OPENED + RST + DONE_FRAME)
        await lone.reaches(State.IDLE)
        self.assertEqual((heard.codes, heard.datagrams), (["visitor_left"], []))
        self.assertEqual((lone.owner.ends[-1].outcome, net.closed), (Outcome.VISITOR_LEFT, 1))
        await self.leave(lone)

    async def test_flow_has_ended(self) -> None:
        """One that has ended before it has a leg resets it with its code."""
        lone, net = await self.lone(End.OPENER), Net()
        heard, flow = Heard(lone), net.flow(lone)
        flow.end("closed")
        lone.leg.open(flow, OpenBody("c0", flow.address, mapping="m").encode())
        lone.send(OPENED + RST + DONE_FRAME)
        await lone.reaches(State.IDLE)
        await until(lambda: heard.codes == ["closed"], "the dialler hears it")
        end = lone.owner.ends[-1]
        self.assertEqual((end.outcome, end.code, net.closed), (Outcome.STOPPED, "closed", 1))
        await self.leave(lone)

    async def leave(self, lone: Lone) -> None:
        """Close everything: nothing is left."""
        await lone.stop()
        await self.at_base()
