"""The part of the relay contract about the other end's manners: frames it must not send, and answers that it owes."""

from __future__ import annotations

import socket
from collections.abc import Iterable

from twisted.internet.threads import deferToThread

from gotunnel.core.outcome import Outcome
from gotunnel.net import legbase
from gotunnel.wire.legbodies import OpenBody, OpenedBody, RstBody
from gotunnel.wire.legs import DONE_FRAME, FIN_FRAME, PROBE_FRAME, LegFrame, data_header, encode_leg_frame
from gotunnel.wire.legstate import FRAME_EVENTS, TABLES, Act, End, State

from .relay_link import Lone, abort, until, was_reset
from .relay_stage import RelayStage

__all__ = ["OPEN", "OPENED", "RelayBreaches"]

OPENED = encode_leg_frame(LegFrame.OPENED, OpenedBody().encode())
RST = encode_leg_frame(LegFrame.RST, RstBody("reset").encode())
OPEN = encode_leg_frame(LegFrame.OPEN, OpenBody("c1", "203.0.113.9:1", mapping="m").encode())
FRAMES = {
    LegFrame.DATA: data_header(4) + b"data",
    LegFrame.FIN: FIN_FRAME,
    LegFrame.RST: RST,
    LegFrame.OPEN: OPEN,
    LegFrame.OPENED: OPENED,
    LegFrame.DONE: DONE_FRAME,
    LegFrame.PROBE: PROBE_FRAME,
}

WAYS = {
    End.OPENER: {
        State.IDLE: "",
        State.PROBING: "probe",
        State.DIALLING: "visitor",
        State.DIALLING_FIN: "visitor fin",
        State.DIALLING_RST: "visitor abort",
        State.STREAMING: "visitor OPENED",
        State.FIN_SENT: "visitor OPENED fin",
        State.FIN_RECEIVED: "visitor OPENED FIN",
        State.FINISHED: "visitor OPENED fin FIN",
        State.RST_SENT: "visitor OPENED abort",
        State.ABORTED: "visitor OPENED FIN abort",
        State.RESET: "visitor OPENED RST",
    },
    End.DIALLER: {
        State.IDLE: "",
        State.STREAMING: "OPEN target",
        State.FIN_SENT: "OPEN target fin",
        State.FIN_RECEIVED: "OPEN target FIN",
        State.RST_SENT: "OPEN target abort",
    },
}
"""How each state is reached: capitals are frames of the other end, the rest is done by the visitor, target or owner."""

BEFORE_STREAMING = (State.IDLE, State.PROBING, State.DIALLING, State.DIALLING_FIN, State.DIALLING_RST)
STREAMING = (State.STREAMING, State.FIN_SENT, State.FIN_RECEIVED)

HAS_LOCAL = (State.DIALLING, State.DIALLING_FIN, *STREAMING)

GARBAGE = b"GET / HTTP/1.1\r\n\r\n"


class RelayBreaches(RelayStage):
    """What a relay does with an end that breaks the contract."""

    async def lead(self, lone: Lone, end: End, state: State) -> None:
        """Bring a leg into a state."""
        for word in WAYS[end][state].split():
            if word.isupper():
                lone.send(FRAMES[LegFrame[word]])
            elif word == "visitor":
                lone.visit()
            elif word == "target":
                await lone.accept()
            elif word == "probe":
                lone.leg.probe()
            elif lone.local is not None and word == "fin":
                lone.local.shutdown(socket.SHUT_WR)
            elif lone.local is not None:
                abort(lone.local)
        await lone.reaches(state)

    # The other end breaks the contract.

    async def breach(self, end: End, state: State, bad: bytes) -> None:
        """Send something bad in a state, and check what becomes of it."""
        lone = await self.lone(end)
        self.warnings.clear()
        await self.lead(lone, end, state)
        lone.send(bad)
        what = f"{bad[:12]!r} in {state.name}"
        await until(lambda: lone.owner.lost and lone.peer.lost, f"{what} closes the leg")
        self.assertTrue(lone.owner.lost[0].startswith("protocol error: "), f"{what}: {lone.owner.lost}")
        self.assertEqual(self.warnings, [], f"{what}: the owner is told, and warns of it now and then")
        if lone.local is not None and state in HAS_LOCAL:
            self.assertTrue(await deferToThread(was_reset, lone.local, after_fin=state is State.FIN_RECEIVED), what)
        if state not in (State.IDLE, State.PROBING):
            self.assertEqual(len(lone.owner.ends), 1)
            self.assertIsNot(lone.owner.ends[0].outcome, Outcome.COMPLETED)
        self.assertEqual(self.flushLoggedErrors(), [], what)
        await lone.stop()
        await self.at_base()

    async def wrong_frames(self, end: End, states: Iterable[State]) -> None:
        """In each of these states, each frame that the contract does not expect there closes the leg and tells its
        owner so, and its visitor or target sees a reset."""
        for state in states:
            bad = [
                content
                for kind, content in FRAMES.items()
                if Act.BREACH in TABLES[end][state, FRAME_EVENTS[kind]][1]
            ]
            self.assertTrue(bad)
            for content in [*bad, GARBAGE]:
                await self.breach(end, state, content)

    # Several tests, since a hundred legs one after the other take a busy machine longer than a test may last.

    async def test_wrong_frames(self) -> None:
        """At the opening end, as long as no target has answered."""
        await self.wrong_frames(End.OPENER, BEFORE_STREAMING)

    async def test_wrong_frames_streaming(self) -> None:
        """There, while a visitor is served."""
        await self.wrong_frames(End.OPENER, STREAMING)

    async def test_wrong_frames_at_the_end(self) -> None:
        """There, in all other states."""
        others = [state for state in WAYS[End.OPENER] if state not in BEFORE_STREAMING + STREAMING]
        await self.wrong_frames(End.OPENER, others)

    async def test_wrong_frames_at_dialler(self) -> None:
        """At the dialling end, in every state."""
        await self.wrong_frames(End.DIALLER, WAYS[End.DIALLER])

    async def test_bad_frames(self) -> None:
        """Frames that would be expected, but are not what they should be."""
        refusal = encode_leg_frame(LegFrame.RST, b'{"code":1}')
        for state in (State.DIALLING, State.STREAMING):
            await self.breach(End.OPENER, state, refusal)
        await self.breach(End.DIALLER, State.STREAMING, refusal)
        await self.breach(End.OPENER, State.DIALLING, encode_leg_frame(LegFrame.OPENED, b"[]"))
        await self.breach(End.OPENER, State.STREAMING, b"\x00\x00\x00\x00")
        await self.breach(End.OPENER, State.FINISHED, DONE_FRAME + b"\x00")
        await self.breach(End.DIALLER, State.FIN_RECEIVED, FRAMES[LegFrame.DATA])

    async def test_frames_behind_a_breach(self) -> None:
        """Behind a breach nothing is looked at that came with it: neither frames that fit no state any more, nor more
        DATA than is passed on at a time."""
        data = FRAMES[LegFrame.DATA]
        for end, state in ((End.OPENER, State.IDLE), (End.DIALLER, State.FIN_RECEIVED)):
            for behind in (PROBE_FRAME, RST, data * 100, data * 64 + FIN_FRAME):
                await self.breach(end, state, data + behind)
        await self.breach(End.OPENER, State.STREAMING, data + OPENED + FIN_FRAME + PROBE_FRAME)

    async def test_breach_while_dialling(self) -> None:
        """What stands behind an OPEN is read when the target has answered, and then resets it."""
        lone = await self.lone(End.DIALLER)
        lone.owner.hold = True
        lone.send(OPEN + data_header(5) + b"first" + GARBAGE)
        await lone.reaches(State.DIALLING)
        lone.owner.dial()
        target = await lone.accept()
        self.assertTrue(await deferToThread(was_reset, target))
        self.assertEqual([end.outcome for end in lone.owner.ends], [Outcome.PROTOCOL_ERROR])
        await until(lambda: lone.owner.lost, "the owner is told")
        self.assertTrue(lone.owner.lost[0].startswith("protocol error: "))
        await lone.stop()
        await self.at_base()

    async def test_never_reads(self) -> None:
        """An end that asks and never reads the answers does not fill our memory."""
        lone = await self.lone(End.DIALLER)
        lone.peer.transport.pauseProducing()
        while lone.peer.lost is None and not lone.owner.lost:
            if not lone.peer.blocked:
                lone.send(PROBE_FRAME * 10_000)
            await until(lambda: not lone.peer.blocked or lone.owner.lost, "the probes are read")
        self.assertIn("PROBE while much", lone.owner.lost[0])
        await lone.stop()
        await self.at_base()

    # Probes.

    async def test_probe(self) -> None:
        """PROBE comes back at once, several times, and the leg serves visitors before and after."""
        link = await self.link()
        for number in (1, 2):
            link.opener.leg.probe()
            self.assertIs(link.opener.leg.state, State.PROBING)
            await until(lambda number=number: link.opener.events.count("probed") == number, "the probe is back")
            self.assertIs(link.opener.leg.state, State.IDLE)
            visitor, target = await link.visit()
            visitor.close()
            target.close()
            await link.rest()
        await link.stop()
        await self.at_base()

    async def test_probe_unanswered(self) -> None:
        """A leg whose probe does not come back is closed."""
        self.patch(legbase, "PROBE_TIMEOUT", 0.1)
        lone = await self.lone(End.OPENER)
        lone.leg.probe()
        await until(lambda: lone.owner.lost, "the leg is given up")
        self.assertEqual(lone.owner.lost, ["no answer to a probe"])
        await until(lambda: lone.peer.lost, "the peer has lost the leg")
        self.assertEqual(lone.peer.kinds(), [LegFrame.PROBE])
        await lone.stop()
        await self.at_base()
