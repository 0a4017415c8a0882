"""The proofs of OPENs on plain legs, from one end to the other: counted alike, and gone with their leg."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from typing import Any, ClassVar

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from gotunnel.core.stream import StreamEnd
from gotunnel.core.usage import Usage
from gotunnel.errors import DialFailed
from gotunnel.interfaces import ILeg, ILocal
from gotunnel.net.dialled import DialledStream, Route
from gotunnel.net.dialling import DiallingEnd
from gotunnel.net.greeting import SessionKey
from gotunnel.net.opening import OpeningEnd
from gotunnel.net.visitor import Visitor
from gotunnel.wire.fields import Purpose
from gotunnel.wire.legbodies import OpenBody
from gotunnel.wire.legstate import End
from tests.doubles import FakeLeg, FakeLocal


class Opener(OpeningEnd):
    """One that has its legs from the test."""

    purpose: ClassVar[Purpose] = "reverse"

    def need_legs(self, plain: bool, count: int) -> None:
        """See LegSupply."""

    def leg_ended(self, leg: ILeg, end: StreamEnd) -> None:
        """See OpeningEnd."""
        del self.streams[leg]

    def legs_gone(self) -> None:
        """See OpeningEnd."""


class Dialler(DiallingEnd):
    """One whose targets answer as the test says."""

    purpose: ClassVar[Purpose] = "reverse"
    dial: Callable[[], ILocal | Deferred[ILocal]]

    def route(self, leg: ILeg, opening: OpenBody) -> Route:
        """See DiallingEnd."""
        return Route("target", lambda: self.dial())

    def ended(self, stream: DialledStream, end: StreamEnd) -> None:
        """See DiallingEnd."""


class ProofTests(SynchronousTestCase):
    """One leg, both ends of it."""

    def setUp(self) -> None:
        self.clock = Clock()
        key = SessionKey(bytes(16), bytes(32))
        waiting: dict[bool, Any] = {False: [], True: []}
        self.opener = Opener(self.clock, key, waiting, 10, 0, Usage(), plain_legs=True)
        self.dialler = Dialler(self.clock, key, lambda: None, Usage())

    def leg(self, seq: int = 1) -> tuple[FakeLeg, FakeLeg]:
        """Return the ends of a new one."""
        ours = FakeLeg(self.clock, None, End.OPENER, self.opener, plain=True)
        theirs = FakeLeg(self.clock, None, End.DIALLER, self.dialler, plain=True)
        ours.tag = theirs.tag = seq
        self.opener.leg_arrived(ours)
        self.dialler.add(theirs)
        return ours, theirs

    def visit(self, ours: FakeLeg) -> bytes:
        """Return the OPEN of a visitor, who is given this leg."""
        local: Any = FakeLocal()
        self.assertTrue(self.opener.serve(Visitor("c-1", "web", True, local, 0.0)))
        return ours.opened[-1].encode()

    def refuse(self) -> ILocal:
        """No target."""
        raise DialFailed("refused", "")

    def test_counted_alike(self) -> None:
        """Whatever becomes of a visitor, the next one's proof fits; an earlier one never does again."""
        ours, theirs = self.leg()
        dials: list[Deferred[ILocal]] = []

        def wait() -> Deferred[ILocal]:
            dials.append(Deferred())
            return dials[-1]

        bodies = []
        for dial in (FakeLocal, self.refuse, wait, wait, FakeLocal):
            self.dialler.dial = dial  # type: ignore[assignment]
            bodies.append(self.visit(ours))
            theirs.receive_open(bodies[-1])
            if len(dials) == 1 and theirs.state == "dialling":
                dials[0].errback(DialFailed("timeout", "late"))
            elif theirs.state == "dialling":
                dials[1].callback(FakeLocal())  # type: ignore[arg-type]
            self.assertFalse(theirs.closed)
            ours.finish()
            theirs.finish()
        self.assertEqual(len(set(bodies)), 5)
        theirs.receive_open(bodies[1])
        self.assertTrue(theirs.closed)

    def test_of_its_own(self) -> None:
        """A leg that comes later has proofs of its own, though it may be where one that is gone has been."""
        for seq in range(1, 6):
            ours, theirs = self.leg(seq)
            self.dialler.dial = FakeLocal  # type: ignore[assignment]
            theirs.receive_open(self.visit(ours))
            self.assertFalse(theirs.closed)
            ours.lose()
            theirs.lose()

    def test_gone_with_the_leg(self) -> None:
        """Nothing is kept of a leg that is gone, be it that its OPEN was bad."""
        for bad in (False, True):
            ours, theirs = self.leg()
            self.dialler.dial = FakeLocal  # type: ignore[assignment]
            body = self.visit(ours)
            theirs.receive_open(body.replace(b'"src":"1', b'"src":"2') if bad else body)
            self.assertEqual(theirs.closed, bad)
            ours.close()
            theirs.close()
            self.clock.advance(0)
            kept = [weakref.ref(ours), weakref.ref(theirs)]
            del ours, theirs
            gc.collect()
            self.assertEqual([each() for each in kept], [None, None])
