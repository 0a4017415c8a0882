"""The part of the relay contract about visitors who are held: nothing is read from them until their target has
answered, and who is not answered is given back as he was."""

from __future__ import annotations

import socket

from twisted.internet import reactor
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread

from gotunnel.core.outcome import Outcome
from gotunnel.net.fast import tools
from gotunnel.wire.legs import DONE_FRAME, LegFrame
from gotunnel.wire.legstate import End, State

from .relay_breaches import OPEN, OPENED, RST
from .relay_link import Lone, abort, read_all, until, was_reset
from .relay_stage import RelayStage

__all__ = ["RelayHeld"]

D, F = LegFrame.DATA, LegFrame.FIN


class RelayHeld(RelayStage):
    """What a relay does with a visitor whom another member of a group may serve."""

    async def held(self, words: bytes = b"hello") -> tuple[Lone, socket.socket]:
        """Return an opener that waits for the answer to an OPEN, and its held visitor, who has said these words and
        ended his direction."""
        lone = await self.lone(End.OPENER)
        lone.owner.held = True
        visitor = lone.visit()
        visitor.sendall(words)
        visitor.shutdown(socket.SHUT_WR)
        await until(lambda: LegFrame.OPEN in lone.peer.kinds(), "the OPEN is there")
        return lone, visitor

    def words(self, lone: Lone) -> bytes:
        """Return what has come as DATA."""
        return b"".join(body for kind, body in lone.peer.frames if kind is D)

    async def test_held_until_answered(self) -> None:
        """Neither bytes nor the end of a held visitor travel before OPENED; then all of them do, and so does the
        answer."""
        lone, visitor = await self.held()
        await deferLater(reactor, 0.3)  # several looks at connections that nobody reads
        self.assertEqual(lone.peer.kinds(), [LegFrame.OPEN])
        lone.send(OPENED)
        await until(lambda: F in lone.peer.kinds(), "his end is there")
        self.assertEqual((self.words(lone), lone.peer.kinds()[-1]), (b"hello", F))
        lone.send(b"\x00\x00\x00\x02hi" + b"\x01\x00\x00\x00" + DONE_FRAME)
        self.assertEqual(await deferToThread(read_all, visitor), b"hi")
        await until(lambda: lone.owner.ends, "the end")
        self.assertEqual([(end.outcome, end.up, end.down) for end in lone.owner.ends], [(Outcome.COMPLETED, 5, 2)])
        await lone.stop()
        await self.at_base()

    async def test_awaited(self) -> None:
        """At the other end an OPENED that is awaited leaves at once, also where others wait for the target's first
        bytes."""
        self.patch(tools, "UNHURRIED", 60.0)
        lone = await self.lone(End.DIALLER)
        lone.owner.awaited = True
        lone.send(OPEN)
        await lone.accept()
        await until(lambda: LegFrame.OPENED in lone.peer.kinds(), "OPENED is there")
        await lone.stop()
        await self.at_base()

    async def test_held_and_refused(self) -> None:
        """Who is refused is given back at once, ahead of DONE, and the next OPEN serves him with all that he had
        said."""
        words = b"all of it" * 1000
        lone, visitor = await self.held(words)
        lone.owner.waiting.append(lone.owner.serving)
        lone.send(RST)
        await until(lambda: lone.owner.ends, "he is given back")
        self.assertEqual([(end.outcome, end.code) for end in lone.owner.ends], [(Outcome.REFUSED, "reset")])
        self.assertEqual((lone.leg.state, lone.owner.events), (State.RESET, ["ended"]))
        lone.send(DONE_FRAME)
        await until(lambda: lone.peer.kinds().count(LegFrame.OPEN) == 2, "the leg is idle, and opens for him again")
        self.assertEqual((lone.peer.kinds(), len(lone.owner.ends)), ([LegFrame.OPEN, LegFrame.RST, LegFrame.OPEN], 1))
        lone.send(OPENED)
        await until(lambda: F in lone.peer.kinds(), "his end is there")
        self.assertEqual(self.words(lone), words)
        lone.send(b"\x00\x00\x00\x02hi" + b"\x01\x00\x00\x00" + DONE_FRAME)
        self.assertEqual(await deferToThread(read_all, visitor), b"hi")
        await lone.stop()
        await self.at_base()

    async def test_held_and_lost(self) -> None:
        """A leg that breaks, breaks the protocol or is closed before the answer gives the visitor back unharmed."""
        for how in ("break", "breach", "close"):
            lone, visitor = await self.held()
            if how == "break":
                lone.peer.transport.abortConnection()
            elif how == "breach":
                lone.send(DONE_FRAME)
            else:
                lone.leg.close()
            await until(lambda lone=lone: lone.owner.ends, "he is given back")
            outcome = {"break": Outcome.LEG_LOST, "breach": Outcome.PROTOCOL_ERROR, "close": Outcome.STOPPED}[how]
            self.assertEqual([(end.outcome, end.code) for end in lone.owner.ends], [(outcome, None)])
            local = lone.owner.serving
            await deferLater(reactor, 0.05)
            self.assertFalse(local.gone)
            visitor.setblocking(False)
            self.assertRaises(BlockingIOError, visitor.recv, 1)
            visitor.settimeout(10)
            local.abort()
            self.assertTrue(await deferToThread(was_reset, visitor))
            await lone.stop()
            await self.at_base()

    async def test_held_and_leaving(self) -> None:
        """A visitor who is reset while he is held is noticed, though nothing is read from him: the other end hears
        it, and nobody is given back."""
        lone = await self.lone(End.OPENER)
        lone.owner.held = True
        visitor = lone.visit()
        await until(lambda: LegFrame.OPEN in lone.peer.kinds(), "the OPEN is there")
        abort(visitor)
        await until(lambda: LegFrame.RST in lone.peer.kinds(), "the RST is there")
        self.assertTrue(lone.owner.serving.gone)
        lone.send(RST)
        await until(lambda: lone.owner.ends, "the end")
        self.assertEqual([end.outcome for end in lone.owner.ends], [Outcome.VISITOR_LEFT])
        lone.send(DONE_FRAME)
        await lone.reaches(State.IDLE)
        await lone.stop()
        await self.at_base()

    async def test_held_and_cut(self) -> None:
        """A held visitor who is reset on purpose is reset, and nobody else's."""
        lone, visitor = await self.held()
        lone.leg.reset("acl_denied")
        self.assertTrue(await deferToThread(was_reset, visitor))
        lone.send(RST + DONE_FRAME)
        await until(lambda: lone.owner.ends, "the end")
        self.assertEqual([(end.outcome, end.code) for end in lone.owner.ends], [(Outcome.STOPPED, "acl_denied")])
        await lone.stop()
        await self.at_base()
