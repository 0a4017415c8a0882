"""The part of the relay contract about what goes wrong: lost legs, silent and hostile ends, failing targets."""

from __future__ import annotations

import os
import socket
import time
from typing import Any

from twisted.internet.defer import CancelledError
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import SkipTest

from gotunnel.address import HostPort, UnixPath
from gotunnel.core.outcome import Outcome
from gotunnel.errors import DialFailed, PortUnavailable
from gotunnel.net import legacts, legbase
from gotunnel.net.transports import tcp_transport
from gotunnel.wire.legs import DONE_FRAME, FIN_FRAME, data_header
from gotunnel.wire.legstate import End, State
from tests.ports import free_port

from .relay_breaches import OPEN, OPENED, RelayBreaches
from .relay_link import Lone, NoNames, abort, clock, holdings, push, read_all, until, was_reset

__all__ = ["RelayFaults"]


class RelayFaults(RelayBreaches):
    """What a relay does when things go wrong."""

    # The leg is lost.

    async def test_leg_closed_while_streaming(self) -> None:
        """Whichever end closes the leg, visitor and target both see a reset, and no clean end."""
        for closing in (0, 1):
            link = await self.link()
            visitor, target = await link.visit()
            target.sendall(b"part of a")
            self.assertEqual(await deferToThread(visitor.recv, 100), b"part of a")
            (link.opener, link.dialler)[closing].leg.close()
            for far in (visitor, target):
                self.assertTrue(await deferToThread(was_reset, far))
            outcomes = [owner.ends[0].outcome for owner in (link.opener, link.dialler)]
            self.assertEqual(outcomes[closing], Outcome.STOPPED)
            self.assertEqual(outcomes[1 - closing], Outcome.LEG_LOST)
            await link.stop()
            await self.at_base()

    async def test_owner_with_a_bug(self) -> None:
        """An owner that fails when it hears of the end leaves no connection open that nobody reads any more: a loop
        would hear of it for ever."""

        def fail(leg: Any, end: Any) -> None:
            raise ZeroDivisionError

        for bad in (b"GET / HTTP/1.1\r\n\r\n", OPENED):
            lone = await self.lone(End.OPENER)
            await self.lead(lone, End.OPENER, State.STREAMING)
            lone.owner.leg_ended = fail  # type: ignore[method-assign]
            lone.send(bad)
            await until(lambda lone=lone: lone.peer.lost and lone.owner.lost, "the leg is closed")
            self.assertTrue(lone.owner.lost[0].startswith("protocol error: "))
            self.assertTrue(self.flushLoggedErrors(ZeroDivisionError))
            await lone.stop()
            await self.at_base()

    async def test_leg_ends_while_streaming(self) -> None:
        """The other end goes in order or not, as a killed process does: what is cut is reset."""
        for end in End:
            for state in (State.STREAMING, State.FIN_SENT, State.FIN_RECEIVED):
                for go in ("loseConnection", "abortConnection"):
                    lone = await self.lone(end)
                    await self.lead(lone, end, state)
                    lone.peer.transport.unregisterProducer()
                    getattr(lone.peer.transport, go)()
                    self.assertTrue(await deferToThread(was_reset, lone.local, after_fin=state is State.FIN_RECEIVED))
                    await until(lambda lone=lone: lone.owner.lost, "the leg is lost")
                    self.assertEqual([each.outcome for each in lone.owner.ends], [Outcome.LEG_LOST])
                    await lone.stop()
                    await self.at_base()

    async def test_lost_while_paused(self) -> None:
        """A leg that is not read, since nobody takes its bytes, is lost: that is noticed, and nobody takes what he got
        for all."""
        for end in End:
            lone = await self.lone(end)
            await self.lead(lone, end, State.STREAMING)
            while not lone.peer.blocked:
                lone.send(data_header(1 << 20) + os.urandom(1 << 20))
                await deferToThread(time.sleep, 0.05)
            lone.peer.transport.abortConnection()
            await until(lambda lone=lone: lone.owner.lost, "the leg is lost")
            self.assertTrue(await deferToThread(was_reset, lone.local))
            await lone.stop()
            await self.at_base()

    async def test_closes_while_we_are_full(self) -> None:
        """The other end ends TLS or TCP while we have much to send: nothing hangs on it."""
        for end in End:
            lone = await self.lone(end)
            await self.lead(lone, end, State.STREAMING)
            lone.peer.transport.pauseProducing()
            await deferToThread(push, lone.local, 64 << 20)
            lone.peer.transport.unregisterProducer()
            lone.peer.transport.loseConnection()
            await until(lambda lone=lone: lone.owner.lost, "the leg is lost")
            self.assertTrue(await deferToThread(was_reset, lone.local))
            await lone.stop()
            await self.at_base()

    async def test_idle_leg_closes_in_order(self) -> None:
        """Either end closes an idle leg without a reset."""
        for closing in (0, 1):
            link = await self.link()
            visitor, target = await link.visit()
            visitor.close()
            target.close()
            await link.rest()
            owners = (link.opener, link.dialler)
            owners[closing].leg.close()
            self.assertIs(owners[closing].leg.state, State.CLOSED)
            await until(lambda link=link: link.opener.lost and link.dialler.lost, "both ends have lost the leg")
            self.assertEqual(owners[closing].lost, ["closed by this end"])
            self.assertEqual(owners[1 - closing].lost, ["the other end closed it"])
            await link.stop()
            await self.at_base()

    async def test_idle_leg_closes_though_nobody_listens(self) -> None:
        """Closing an idle leg ends also if the other end does not take part in it."""
        self.patch(legbase, "END_TIMEOUT", 0.1)
        lone = await self.lone(End.OPENER)
        lone.peer.transport.pauseProducing()
        lone.leg.close()
        await until(lambda: lone.owner.lost, "the leg is lost")
        lone.peer.transport.resumeProducing()
        await lone.stop()
        await self.at_base()

    # Dials.

    async def test_visitor_leaves_during_dial(self) -> None:
        """The dial for a visitor who has left is given up, with the leg."""
        self.patch(legacts, "END_TIMEOUT", 0.2)
        link = await self.link()
        link.dialler.hold = True
        visitor = link.visit_alone()
        await until(lambda: link.dialler.leg.state is State.DIALLING, "the dialler was asked")
        abort(visitor)
        await until(lambda: "abandoned" in link.dialler.events, "the dial is abandoned")
        await until(lambda: link.opener.lost, "the leg is lost")
        self.assertEqual(link.opener.ends[0].outcome, Outcome.VISITOR_LEFT)
        self.assertEqual(link.opener.lost, ["a reset was not acknowledged"])
        await link.stop()
        await self.at_base()

    async def test_visitor_leaves_and_dial_ends(self) -> None:
        """When the dial for a visitor who has left ends in time, either way, the leg serves the next one."""
        link = await self.link()
        for answered in (True, False):
            link.dialler.hold = True
            visitor = link.visit_alone()
            await until(lambda: link.dialler.leg.state is State.DIALLING, "the dialler was asked")
            abort(visitor)
            await until(lambda: link.opener.leg.state is State.DIALLING_RST, "the visitor has left")
            if answered:
                link.dialler.dial()
                target, _ = await deferToThread(link.target.accept)
                self.assertTrue(await deferToThread(was_reset, target))
                target.close()
            else:
                link.dialler.leg.refuse("timeout")
            ends = await link.rest()
            self.assertEqual(ends[0].outcome, Outcome.VISITOR_LEFT)
            if answered:
                self.assertEqual(ends[1].outcome, Outcome.VISITOR_LEFT, "the same at both ends")
            link.dialler.hold = False
        visitor, target = await link.visit()
        visitor.close()
        target.close()
        await link.rest()
        await link.stop()
        await self.at_base()

    async def test_leg_lost_during_dial(self) -> None:
        """The dial for a leg that is gone is given up, however it went, though nobody reads it."""
        for go in ("loseConnection", "abortConnection"):
            lone = await self.lone(End.DIALLER)
            lone.owner.hold = True
            lone.send(OPEN)
            await lone.reaches(State.DIALLING)
            getattr(tcp_transport(lone.peer.transport), go)()
            await until(lambda lone=lone: "abandoned" in lone.owner.events, "the dial is abandoned")
            await until(lambda lone=lone: lone.owner.lost, "the leg is lost")
            self.assertEqual([each.outcome for each in lone.owner.ends], [Outcome.LEG_LOST])
            await lone.stop()
            await self.at_base()

    async def test_dial_gives_up(self) -> None:
        """A target that does not answer fails the dial in time, and a dial that is cancelled leaves nothing."""
        lone = await self.lone(End.DIALLER)
        silent = socket.socket()
        silent.bind(("127.0.0.1", 0))
        silent.listen(0)
        address = HostPort(*silent.getsockname())
        waiting = [socket.socket() for _ in range(3)]
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(silent.getsockname())
        await until(lambda: holdings()[1:] == self.base[1:], "everything is written, and the leg has begun")
        before = holdings()
        failed = await self.assertFailure(lone.relay.dial(address, 0.1), DialFailed)
        self.assertEqual(failed.code, "timeout")
        dial = lone.relay.dial(address, 5.0)
        dial.cancel()
        await self.assertFailure(dial, DialFailed, CancelledError)

        def left() -> list[Any]:
            readers, writers, timers = (now - then for now, then in zip(holdings(), before, strict=True))
            return [*readers, *writers, *(timer for timer in timers if timer.getTime() - clock.seconds() > 1)]

        await until(lambda: not left(), "nothing is left of the dials")
        for each in [silent, *waiting]:
            each.close()
        await lone.stop()
        await self.at_base()

    async def test_dial_failures(self) -> None:
        """Each way in which a target cannot be reached has its code."""
        lone = await self.lone(End.DIALLER)
        self.addCleanup(clock.installNameResolver, clock.installNameResolver(NoNames(silent=False)))
        nobody = HostPort("127.0.0.1", free_port(self))
        for target, code in (
            (nobody, "refused"),
            (HostPort("nowhere.invalid", 80), "unknown_host"),
            (UnixPath(os.path.relpath(self.mktemp())), "failed"),
        ):
            failed: Any = await self.assertFailure(lone.relay.dial(target, 5.0), DialFailed)
            self.assertEqual(failed.code, code, str(target))
            self.assertIn(str(target), failed.reason)
        clock.installNameResolver(NoNames(silent=True))
        failed = await self.assertFailure(lone.relay.dial(HostPort("silent.invalid", 80), 0.1), DialFailed)
        self.assertIn(failed.code, ("timeout", "unknown_host"))
        await lone.stop()
        await self.at_base()

    async def test_unix_target(self) -> None:
        """A target may be a unix socket; half-close works as it does over TCP."""
        link = await self.link()
        # A short name of its own: such a path has at most 107 bytes.
        path = os.path.relpath(self.mktemp())
        link.target.close()
        link.target = socket.socket(socket.AF_UNIX)
        link.target.bind(path)
        link.target.listen()
        link.target.settimeout(15)
        link.dialler.target = UnixPath(path)
        for _ in range(2):
            visitor, target = await link.visit()
            visitor.sendall(b"select 1")
            visitor.shutdown(socket.SHUT_WR)
            self.assertEqual(await deferToThread(read_all, target), b"select 1")
            target.sendall(b"1")
            target.close()
            self.assertEqual(await deferToThread(read_all, visitor), b"1")
            await self.outcome(link, Outcome.COMPLETED, Outcome.COMPLETED)
        await link.stop()
        await self.at_base()

    # Visitors and ports.

    async def test_ipv6(self) -> None:
        """A port may be bound to an IPv6 address, and says where its visitors come from."""
        await self._visits("::1", "::1", "[::1]:")

    async def test_both_families(self) -> None:
        """A visitor who comes by IPv4 to [::] is known by his IPv4 address."""
        await self._visits("::", "127.0.0.1", "127.0.0.1:")

    async def _visits(self, bound: str, to: str, known_as: str) -> None:
        lone = await self.lone(End.OPENER)
        came: list[Any] = []
        try:
            port = lone.relay.listen(bound, 0, came.append, 10)
        except PortUnavailable:
            await lone.stop()
            raise SkipTest("no IPv6 here") from None
        visitor = socket.create_connection((to, port.getHost().port))
        await until(lambda: came, "the visitor is there")
        self.assertTrue(came[0].address.startswith(known_as), came[0].address)
        self.assertEqual(came[0].host, known_as.rstrip(":").strip("[]"))
        came[0].abort()
        self.assertTrue(await deferToThread(was_reset, visitor))
        visitor.close()
        await port.stopListening()
        await lone.stop()
        await self.at_base()

    async def test_port_in_use(self) -> None:
        """A port that is taken, and an address that is not ours, are named by the wire's codes."""
        lone = await self.lone(End.OPENER)
        taken = lone.port.getHost().port
        for host, port, code in (("127.0.0.1", taken, "port_in_use"), ("203.0.113.1", 0, "bad_request")):
            failed = self.assertRaises(PortUnavailable, lone.relay.listen, host, port, lambda _: None, 10)
            self.assertEqual(failed.code, code)
        await lone.stop()
        await self.at_base()

    async def test_gone_while_waiting(self) -> None:
        """The owner of a visitor who waits hears that he has reset, once; a leg that gets him later finds him gone."""
        lone = await self.lone(End.OPENER)
        await self.lead(lone, End.OPENER, State.STREAMING)
        gone: list[str] = []
        waiting = socket.create_connection(("127.0.0.1", lone.port.getHost().port))
        await until(lambda: lone.owner.waiting, "he waits")
        lone.owner.waiting[0].on_gone = lambda: gone.append("gone")
        abort(waiting)
        await until(lambda: gone, "he is gone")
        lone.send(FIN_FRAME)
        lone.local.shutdown(socket.SHUT_WR)
        await lone.reaches(State.FINISHED)
        lone.send(DONE_FRAME)
        await lone.reaches(State.DIALLING_RST)
        self.assertEqual(gone, ["gone"])
        await lone.stop()
        await self.at_base()

    # What came behind the handshake.

    async def test_leftover(self) -> None:
        """Frames that arrived with the handshake's last frame are the leg's first, but its owner knows it by then; what
        follows them keeps its place."""
        ours, theirs = await self.pair(alone=True)
        content = os.urandom(20_000)
        leftover = OPEN + data_header(20_000) + content[:9]
        lone = Lone(self.make_relay(), (ours, theirs), End.DIALLER, not self.tls, leftover)
        self.assertEqual(lone.owner.bodies, [])
        lone.send(content[9:] + FIN_FRAME)
        target = await lone.accept()
        self.assertEqual(await deferToThread(read_all, target), content)
        await lone.stop()
        await self.at_base()
