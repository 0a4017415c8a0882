"""The part of the relay contract about targets that are to hear something ahead of the visitor, as `begin_with` says:
the header of the PROXY protocol."""

from __future__ import annotations

import hashlib
import os
import socket

from twisted.internet.threads import deferToThread

from gotunnel.core.outcome import Outcome
from gotunnel.wire.legs import FIN_FRAME, LegFrame, data_header
from gotunnel.wire.legstate import End, State

from .relay_breaches import OPEN
from .relay_link import Link, abort, digest_of, read_all, until, was_reset
from .relay_stage import MIB, RelayStage

__all__ = ["RelayBegins"]

HEADER = b"PROXY TCP4 192.0.2.7 198.51.100.1 50000 443\r\n"


class RelayBegins(RelayStage):
    """What a relay does with `begin_with`, at a dialler."""

    async def alone(self, link: Link) -> None:
        """A visitor who says nothing yet, of a target that speaks first: it hears the header at once."""
        link.dialler.begins = HEADER
        visitor, target = await link.visit()
        self.assertEqual(await deferToThread(target.recv, 100), HEADER)
        await deferToThread(target.sendall, b"220 ready")
        self.assertEqual(await deferToThread(visitor.recv, 100), b"220 ready")
        await deferToThread(visitor.sendall, b"EHLO")
        visitor.shutdown(socket.SHUT_WR)
        self.assertEqual(await deferToThread(read_all, target), b"EHLO")
        target.close()
        ends = await link.rest()
        self.assertEqual([(end.outcome, end.up, end.down) for end in ends], [(Outcome.COMPLETED, 4, 9)] * 2)

    async def alone_and_late(self, link: Link) -> None:
        """The same after a dial that took its time."""
        link.dialler.begins = HEADER
        link.dialler.hold = True
        visitor = link.visit_alone()
        await until(lambda: link.dialler.leg.state is State.DIALLING, "the dialler was asked")
        link.dialler.hold = False
        link.dialler.dial()
        target, _ = await deferToThread(link.target.accept)
        target.settimeout(20)
        self.assertEqual(await deferToThread(target.recv, 100), HEADER)
        visitor.close()
        self.assertEqual(await deferToThread(read_all, target), b"")
        target.close()
        await self.outcome(link, Outcome.COMPLETED, Outcome.COMPLETED)

    async def ahead_of_early_data(self, link: Link) -> None:
        """What a visitor said during a dial, and his end, come behind the header. Nobody counts it as his."""
        link.dialler.begins = HEADER
        content = os.urandom(200_000)
        _, target = await link.visit_early(content)
        self.assertEqual(await deferToThread(read_all, target), HEADER + content)
        target.close()
        ends = await link.rest()
        self.assertEqual([end.up for end in ends], [len(content)] * 2)

    async def ahead_of_much(self, link: Link) -> None:
        """However the bytes travel then, the header is the first of them."""
        link.dialler.begins = HEADER
        content = os.urandom(8 * MIB)
        visitor = link.visit_alone()
        sending = deferToThread(visitor.sendall, content)
        target, _ = await deferToThread(link.target.accept)
        target.settimeout(20)
        read = await deferToThread(digest_of, target, len(HEADER) + len(content))
        self.assertEqual(read, hashlib.sha256(HEADER + content).digest())
        await sending
        visitor.close()
        target.close()
        await self.outcome(link, Outcome.COMPLETED, Outcome.COMPLETED)

    async def ahead_of_nothing(self, link: Link) -> None:
        """A visitor who only ends his direction: the target hears the header, and that end."""
        link.dialler.begins = HEADER
        visitor = link.visit_alone()
        visitor.shutdown(socket.SHUT_WR)
        target, _ = await deferToThread(link.target.accept)
        target.settimeout(20)
        self.assertEqual(await deferToThread(read_all, target), HEADER)
        await deferToThread(target.sendall, b"bye")
        target.close()
        self.assertEqual(await deferToThread(read_all, visitor), b"bye")
        await self.outcome(link, Outcome.COMPLETED, Outcome.COMPLETED)

    async def begins_and_resets(self, link: Link) -> None:
        """Resets pass as ever: of a visitor behind the header, and of a target that has got it."""
        link.dialler.begins = HEADER
        for way, outcome in ((0, Outcome.RESET_BY_VISITOR), (1, Outcome.RESET_BY_TARGET)):
            stream = await link.visit()
            self.assertEqual(await deferToThread(stream.target.recv, 100), HEADER)
            near, far = stream.ways()[way]
            abort(near)
            self.assertTrue(await deferToThread(was_reset, far))
            await self.outcome(link, outcome, outcome)

    async def begins_with_nothing(self, link: Link) -> None:
        """The next target on the leg hears nothing that was not meant for it."""
        link.dialler.begins = b""
        visitor, target = await link.visit()
        await deferToThread(visitor.sendall, b"x")
        visitor.shutdown(socket.SHUT_WR)
        self.assertEqual(await deferToThread(read_all, target), b"x")
        target.close()
        await self.outcome(link, Outcome.COMPLETED, Outcome.COMPLETED)

    async def said_by_opener(self, link: Link) -> None:
        """An opener, too, can have something said ahead of a visitor's bytes: it is counted with them."""
        for held in (False, True):
            link.opener.says, link.opener.held = HEADER, held
            visitor, target = await link.visit()
            self.assertEqual(await deferToThread(target.recv, 100), HEADER)
            await deferToThread(visitor.sendall, b"x")
            visitor.shutdown(socket.SHUT_WR)
            self.assertEqual(await deferToThread(read_all, target), b"x")
            target.close()
            ends = await link.rest()
            self.assertEqual([(end.outcome, end.up) for end in ends], [(Outcome.COMPLETED, len(HEADER) + 1)] * 2)
        link.opener.says, link.opener.held = b"", False

    async def said_together(self, link: Link) -> None:
        """What the opener says comes ahead of what is there already, and behind what the dialler says."""
        link.dialler.begins, link.opener.says = HEADER, b"and "
        visitor = link.visit_alone()
        visitor.sendall(b"more")
        visitor.shutdown(socket.SHUT_WR)
        target, _ = await deferToThread(link.target.accept)
        target.settimeout(20)
        self.assertEqual(await deferToThread(read_all, target), HEADER + b"and more")
        target.close()
        await self.outcome(link, Outcome.COMPLETED, Outcome.COMPLETED)
        link.dialler.begins = link.opener.says = b""

    async def test_said_by_opener(self) -> None:
        """Forwards."""
        await self.run_cases(self.said_by_opener, self.said_together, self.begins_with_nothing, self.said_by_opener)

    async def test_begins(self) -> None:
        """The header comes first, whatever the visitor does, and each target gets its own."""
        cases = [
            self.alone, self.alone_and_late, self.ahead_of_early_data, self.ahead_of_nothing, self.begins_and_resets,
            self.ahead_of_much,
        ]  # fmt: skip
        await self.run_cases(*cases, self.begins_with_nothing, *reversed(cases))

    async def test_begins_in_one_read(self) -> None:
        """OPEN, bytes and end arrive in one piece, so that the dial and all the rest happen within one read."""
        for words in (b"", b"hello"):
            lone = await self.lone(End.DIALLER)
            lone.owner.begins = HEADER
            data = data_header(len(words)) + words if words else b""
            lone.send(OPEN + data + FIN_FRAME)
            target = await lone.accept()
            self.assertEqual(await deferToThread(read_all, target), HEADER + words)
            target.close()
            await until(lambda lone=lone: lone.owner.ends, "the end")
            self.assertEqual([(end.outcome, end.up) for end in lone.owner.ends], [(Outcome.COMPLETED, len(words))])
            await until(lambda lone=lone: lone.peer.kinds()[-1:] == [LegFrame.DONE], "DONE")
            await lone.stop()
            await self.at_base()
