"""Tests of gotunnel.net.targetway: which address of a target it is, where refusals are late and some never come."""

from __future__ import annotations

import errno

from gotunnel.core.dropped import Drop
from gotunnel.core.stream import PORT_UNREACHABLE
from gotunnel.errors import DialFailed
from gotunnel.net.flow import MOST_WAITING, MOST_WAITING_BYTES
from gotunnel.net.targetway import PATIENCE

from .targetflows import FIRST, HOSTS, SECOND, THIRD, Played, PlayedCase


class RefusedTests(PlayedCase):
    """What becomes of that which is refused."""

    def test_all_of_them(self) -> None:
        """What was sent until the refusal came is sent to the next address, as far as it is little."""
        flow = self.flow()
        many = [bytes([number]) for number in range(MOST_WAITING + 1)]
        for datagram in many:
            flow._take(datagram, True)
        self.played.made[0].refused()
        self.assertEqual(self.sent(), [(FIRST, many), (SECOND, many[:MOST_WAITING])])
        self.assertEqual([each.closed for each in self.played.made], [True, False])
        big = self.flow()
        big._take(b"x" * MOST_WAITING_BYTES, True)
        big._take(b"y", True)
        self.played.made[-1].refused()
        self.assertEqual(self.sent()[-1], (SECOND, [b"x" * MOST_WAITING_BYTES]))

    def test_refused_meanwhile(self) -> None:
        """Where the next one refuses, too, while it is sent that, all of it goes on to the one behind."""
        self.slow.hosts = HOSTS
        self.played.refuses = {SECOND: 1}
        flow = self.flow()
        flow._take(b"one", True)
        flow._take(b"two", True)
        self.played.made[0].refused()
        self.assertEqual(self.sent(), [(FIRST, [b"one", b"two"]), (SECOND, [b"one"]), (THIRD, [b"one", b"two"])])
        self.played.refuses[THIRD] = 1
        lost = self.flow()
        lost._take(b"one", True)
        lost._take(b"two", True)
        self.played.made[-1].refused()
        self.assertEqual((lost.gone, lost.why), (True, PORT_UNREACHABLE))

    def test_in_time(self) -> None:
        """A refusal that comes late is that of a service which was there: the flow ends, and keeps nothing meanwhile.
        So it is with the next address."""
        self.slow.hosts = HOSTS
        flow = self.flow()
        flow._take(b"one", True)
        self.slow.clock.advance(PATIENCE / 2)
        self.played.made[0].refused()
        flow._take(b"two", True)
        self.slow.clock.advance(PATIENCE - 0.1)
        self.assertEqual(flow._outlet._way._kept.datagrams, [b"one", b"two"])
        self.slow.clock.advance(0.1)
        flow._take(b"three", True)
        self.assertEqual((flow._outlet._way._kept.datagrams, self.slow.clock.getDelayedCalls()), ([], []))
        self.played.made[1].refused()
        self.assertEqual((flow.gone, flow.why), (True, PORT_UNREACHABLE))
        self.assertEqual(self.sent(), [(FIRST, [b"one"]), (SECOND, [b"one", b"two", b"three"])])

    def test_no_way(self) -> None:
        """An address to which there is no way is passed over; it has refused nothing."""
        self.slow.hosts = HOSTS
        self.played.nowhere = {FIRST}
        flow = self.flow()
        flow._take(b"one", True)
        self.played.made[0].arrived(b"answer")
        self.assertEqual((self.flow().host, self.sent()), (SECOND, [(SECOND, [b"one"]), (SECOND, [])]))
        self.assertEqual(self.answers._known, {})
        self.played.nowhere = {THIRD}
        lost = self.flow()
        lost._take(b"one", True)
        self.played.made[-1].refused()
        self.played.made[-1].refused()
        self.assertEqual((lost.why, self.played.made[-1].host), (PORT_UNREACHABLE, SECOND))
        self.played.nowhere = set(HOSTS)
        self.failureResultOf(self.dial(), DialFailed)

    def test_unsent(self) -> None:
        """What the system does not take is not kept for another address, and is dropped there, too."""
        flow = self.flow()
        flow._take(b"one", True)
        first = self.played.made[0]
        first.fails = OSError(errno.EMSGSIZE, "too long")
        flow._take(b"two", True)
        self.assertEqual((flow._outlet._way._kept.datagrams, self.dropped), ([b"one"], [Drop.UNSENT]))
        self.patch(Played.Socket, "send", lambda sock, datagram: (_ for _ in ()).throw(first.fails))
        first.refused()
        self.assertEqual((flow.gone, self.dropped), (False, [Drop.UNSENT] * 2))

    def test_one_address(self) -> None:
        """Of a target with one address, though it is named twice, nothing is kept: there is nobody to send it to."""
        self.slow.hosts = (FIRST, FIRST)
        flow = self.flow()
        flow._take(b"one", True)
        self.assertEqual((flow._outlet._way._kept.datagrams, self.slow.clock.getDelayedCalls()), ([], []))
        self.played.made[0].refused()
        self.assertEqual((flow.why, len(self.played.made)), (PORT_UNREACHABLE, 1))

    def test_closed(self) -> None:
        """A flow that ends while it is yet to be seen who answers leaves nothing."""
        flow = self.flow()
        flow._take(b"one", True)
        flow.abort()
        self.assertEqual((self.slow.clock.getDelayedCalls(), self.played.made[0].closed), ([], True))

    def test_too_many(self) -> None:
        """What it was sent beyond that until it refused is lost, and counted, once."""
        self.slow.hosts = HOSTS
        flow = self.flow()
        for _ in range(MOST_WAITING + 3):
            flow._take(b"x", True)
        self.assertEqual(self.dropped, [])
        self.played.made[0].refused()
        self.played.made[1].refused()
        self.assertEqual(self.dropped, [Drop.WAITING] * 3)

    def test_all_flows(self) -> None:
        """A system says to one asker that nobody listens a few times a second: what it says of one flow holds for all
        that may be refused there yet, and for no others."""
        flows = [self.flow() for _ in range(3)]
        for number, flow in enumerate(flows[:2]):
            flow._take(b"%d" % number, True)
        gone = self.flow()
        gone._take(b"gone", True)
        self.played.made[1].refused()
        gone.abort()
        self.slow.clock.advance(0)
        self.assertEqual([flow.host for flow in flows], [SECOND, SECOND, FIRST])
        self.assertEqual(self.sent()[-2:], [(SECOND, [b"1"]), (SECOND, [b"0"])])
        stays = self.flow()
        stays._take(b"stays", True)
        self.slow.clock.advance(PATIENCE)
        flows[2]._take(b"2", True)
        self.played.made[2].refused()
        self.slow.clock.advance(0)
        self.assertEqual((stays.host, flows[2].host, self.answers._hopeful), (FIRST, SECOND, {}))

    def test_unreached(self) -> None:
        """An address that cannot be reached, as a firewall says there or here, has no better claim than one that
        refuses; where it is the only one that is left, that is no end."""
        flow = self.flow()
        flow._take(b"one", True)
        self.played.made[0].unreached()
        self.assertEqual(self.sent(), [(FIRST, [b"one"]), (SECOND, [b"one"])])
        self.played.made[1].unreached()
        self.assertEqual((flow.gone, flow.host), (False, SECOND))
        here = self.flow()
        self.played.made[2].fails = PermissionError(errno.EPERM, "forbidden")
        here._take(b"one", True)
        self.assertEqual((self.sent()[-1], self.dropped), ((SECOND, [b"one"]), []))

    def test_of_one_before(self) -> None:
        """What the network says of a datagram is told with the next one, which is sent all the same."""
        flow = self.flow()
        self.slow.clock.advance(PATIENCE)
        flow._take(b"too long for this path", True)
        self.played.made[0].fails_once = OSError(errno.EMSGSIZE, "too long")
        flow._take(b"next", True)
        self.assertEqual((self.sent(), self.dropped), ([(FIRST, [b"too long for this path", b"next"])], []))
