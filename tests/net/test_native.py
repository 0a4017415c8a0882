"""The compiled inner part of the fast relay: whatever holds for the one in Python holds for it, on the same reactor and
by the same tests."""

from __future__ import annotations

import errno
import gc
import math
import os
import random
import re
import signal
import socket
from collections.abc import Callable
from dataclasses import fields
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import skipUnless

from twisted.internet import reactor
from twisted.internet.task import Clock
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import SynchronousTestCase, TestCase

from gotunnel.core.outcome import Outcome
from gotunnel.core.stream import StreamEnd
from gotunnel.interfaces import IRelay
from gotunnel.net import pathwatch
from gotunnel.net.legbase import MOST_UNSENT
from gotunnel.net.sockets import LINGER_RESET
from gotunnel.wire.legs import HEADER_BYTES, MAX_BODY_BYTES, MAX_DATA_BYTES, data_header
from tests.net import test_fast, test_fast_local, test_pump, test_pump_reactor
from tests.ports import KERNELS
from tests.relay_link import digest_of
from tests.relay_stage import MIB
from tests.relay_tls import RelayTls

try:
    from gotunnel.net.fast import _native, nativerules
    from gotunnel.net.fast.listener import Listener
    from gotunnel.net.fast.local import MOST_PIECES, FastLocal
    from gotunnel.net.fast.nativeleg import NativeLocal, NativePlainLeg, NativePump, NativeTlsLeg
    from gotunnel.net.fast.nativerelay import NativeRelay
    from gotunnel.net.fast.nativerules import NativeTally
    from gotunnel.net.fast.poller import IN, MOST_EVENTS
    from gotunnel.net.fast.tlsleg import PLAIN_AT_ONCE, SEALED_AT_ONCE
    from gotunnel.net.fast.tools import RECORD_BYTES, Tools

    BUILT = True
except ImportError:
    BUILT = False

NATIVE = Path(__file__).resolve().parents[2] / "gotunnel" / "net" / "fast" / "native"
built = skipUnless(BUILT, "the extension is not built")


@built
class NativeRelayTests(test_fast.FastRelayTests):
    """Plain legs."""

    def make_relay(self) -> IRelay:
        self.patch(pathwatch, "INTERVAL", 0.1)
        return NativeRelay(reactor)

    async def test_it_is_compiled(self) -> None:
        """What these tests are about is what serves, and nothing of it is left when the visitors are gone."""
        link = await self.link()
        left = []
        for _ in range(12):
            stream = await link.visit()
            held = [kind for relay in link.relays for kind in map(type, relay._locals)]  # type: ignore[attr-defined]
            self.assertEqual(held, [NativeLocal, NativeLocal])
            stream.visitor.close()
            stream.target.close()
            await link.rest()
            gc.collect()
            left.append(len([each for each in gc.get_objects() if type(each) is NativeLocal]))
        self.assertEqual(left[1:], left[:1] * 11)
        legs = {type(owner.leg) for owner in (link.opener, link.dialler)}
        self.assertEqual(legs, {NativeTlsLeg if self.own_tls else NativePlainLeg})
        await link.stop()
        await self.at_base()


@built
class NativeRelayOverOwnTlsTests(RelayTls, NativeRelayTests):
    """Legs on the standard library's TLS."""

    tls = own_tls = True

    async def test_more_than_is_read_at_a_time(self) -> None:
        """However much waits for the wire, all of it leaves."""
        link = await self.link()
        stream = await link.visit()
        content = os.urandom(MIB)
        link.opener.leg._out += data_header(MIB) + content
        link.opener.leg._flush()
        got = await deferToThread(digest_of, stream.target, MIB)
        self.assertEqual(got, sha256(content).digest())
        await link.stop()
        await self.at_base()


@built
class NativeRelayOverTwistedTlsTests(test_fast.FastRelayOverTwistedTlsTests):
    """Legs in Python that carry compiled local connections."""

    make_relay = NativeRelayTests.make_relay


@built
class NativePacingTests(test_fast.PacingTests):
    """Who is spared pacing."""

    make_relay = NativeRelayTests.make_relay


@built
class NativePacingOverOwnTlsTests(NativePacingTests):
    """The same inside TLS."""

    tls = own_tls = True


@built
class OwnLoopTests(test_pump_reactor.ContractTests):
    """The same on the compiled loop."""

    def test_plain(self) -> None:
        """Over plain legs."""
        self.run_python(test_pump_reactor.CONTRACT, "tests.net.test_native.NativeRelayTests")

    def test_tls(self) -> None:
        """Over TLS of its own."""
        self.run_python(test_pump_reactor.CONTRACT, "tests.net.test_native.NativeRelayOverOwnTlsTests")


@built
class NativePumpTests(test_pump.PumpTests):
    """The loop alone."""

    if BUILT:
        make_pump = NativePump

    def test_stays(self) -> None:
        """It does not return for what has nothing to say to the reactor."""
        near, far = self.pair()

        def pass_on(events: int) -> None:
            self.told.append(("near", events))
            near.recv(1)
            self.pump.must_return = len(self.told) == 5

        self.pump.add(near.fileno(), IN, pass_on)
        far.send(b"12345")
        self.assertFalse(self.pump.serve(-1, -1))
        self.assertEqual(len(self.told), 5)

    def test_signal(self) -> None:
        """A signal is heard while it waits, and what its handler raises comes out."""

        def heard(number: int, frame: object) -> None:
            self.told.append(("signal", number))
            self.pump.must_return = True
            if len(self.told) == 2:
                raise KeyboardInterrupt

        signal.signal(signal.SIGALRM, heard)
        signal.setitimer(signal.ITIMER_REAL, 0.01)
        self.assertFalse(self.pump.serve(-1, -1))
        signal.setitimer(signal.ITIMER_REAL, 0.01)
        self.assertRaises(KeyboardInterrupt, self.pump.serve, -1, -1)


class _NativeLocal(TestCase if TYPE_CHECKING else object):
    if BUILT:
        make_local, make_pump = NativeLocal, NativePump


@built
class NativeBeginningTests(_NativeLocal, test_fast_local.BeginningTests):
    """See there."""


@built
class NativeHangUpTests(_NativeLocal, test_fast_local.HangUpTests):
    """See there."""


@built
class NativePiecesTests(_NativeLocal, test_fast_local.PiecesTests):
    """See there."""


@built
class NativeLastBytesTests(_NativeLocal, test_fast_local.LastBytesTests):
    """See there."""


@built
class SocketTests(SynchronousTestCase):
    """The kernel's socket of a local connection, of which Python hears only when it asks."""

    def setUp(self) -> None:
        self.pump = NativePump()
        self.addCleanup(self.pump.close)
        clock = Clock()
        self.tools = Tools(clock, self.pump, pathwatch.PathWatch(clock), 10.0)
        self.others: set[FastLocal] = set()
        self.visitors: list[Any] = []
        self.listener = self.listen(self.visitors.append)
        host = self.listener.getHost()
        self.place = host.host, host.port

    def listen(self, on_visitor: Callable[[Any], object]) -> Listener:
        """Open a port."""
        gate = self.tools.descriptors.visitors
        welcome = partial(_native.welcome, gate, on_visitor, NativeLocal, self.tools, self.others)
        found = Listener(self.pump, gate, "127.0.0.1", 0, 50, welcome)
        self.addCleanup(found.stopListening)
        return found

    def come(self, count: int = 1) -> list[socket.socket]:
        """So many visitors come; return their own ends."""
        ends = [socket.create_connection(self.place) for _ in range(count)]
        for end in ends:
            self.addCleanup(end.close)
        return ends

    def accepted(self) -> tuple[Any, socket.socket]:
        """Return a visitor and his own end."""
        (end,) = self.come()
        self.pump.run(1, -1)
        return self.visitors.pop(), end

    def test_accepted(self) -> None:
        """A visitor's address is known; his socket closes with him, whether Python has it or not."""
        for asked in (False, True):
            local, far = self.accepted()
            host, port = far.getsockname()
            self.assertEqual((local.address, local.host, self.others), (f"{host}:{port}", host, {local}))
            self.assertFalse(os.get_blocking(local.fd))
            if asked:
                self.assertEqual(local.sock.getpeername(), (host, port))
            local.abort()
            self.assertRaises(OSError, os.fstat, local.fd)
            self.assertEqual(self.others, set())

    def test_many(self) -> None:
        """Who comes alone is accepted by one call, and the rest of a crowd at the next event, all at once."""
        self.come(5)
        self.pump.run(1, -1)
        self.assertEqual(len(self.visitors), 1)
        self.pump.run(1, -1)
        self.assertEqual(len(self.visitors), 5)
        self.assertEqual(self.others, set(self.visitors))

    def test_short_of_descriptors(self) -> None:
        """Who is told that there is no descriptor for one more accepts nobody; nor does one who is closed meanwhile."""
        gate = self.tools.descriptors.visitors
        for stop in (gate.stop, self.listener.stopListening):
            self.visitors.clear()
            gate.short, gate.ceiling = False, 0
            self.listener.go_on()
            self.patch(self.listener, "_last", math.inf)  # all of them at once
            self.patch(gate, "accepted", lambda number, stop=stop: stop())
            self.come(3)
            self.pump.run(1, -1)
            self.assertEqual(len(self.visitors), 1)

    def test_raising(self) -> None:
        """A bug at a visitor's arrival is logged and ends him, and the next one is accepted."""
        said = [ZeroDivisionError()]

        def on_visitor(local: Any) -> None:
            if said:
                raise said.pop()
            self.visitors.append(local)

        other = self.listen(on_visitor)
        self.place = "127.0.0.1", other.getHost().port
        first, _ = self.come(2)
        for _ in range(3):
            self.pump.run(0, -1)
        self.assertEqual((len(self.visitors), len(self.flushLoggedErrors(ZeroDivisionError))), (1, 1))
        self.assertEqual(self.others, set(self.visitors))
        self.assertRaises(ConnectionResetError, first.recv, 1)

    def test_forgotten(self) -> None:
        """One whom nobody has any more is closed."""
        local, _ = self.accepted()
        number = local.fd
        self.others.clear()
        self.listener.stopListening()
        self.pump.close()
        del local
        self.assertRaises(OSError, os.fstat, number)

    def dialled(self, host: str, port: int, ceiling: int = 10_000) -> Any:
        """Dial."""
        return _native.dial(host, port, "a target", NativeLocal, self.tools, self.others, ceiling, "reno")

    def test_dialled(self) -> None:
        """A target on this machine stands at once, by both families; another one is waited for, or says why not;
        what Python has to resolve, or has no descriptor for, is left to it."""
        port = self.place[1]
        local = self.dialled("127.0.0.1", port)
        self.assertEqual((local.address, local.sock.getpeername()), ("a target", ("127.0.0.1", port)))
        self.assertEqual(local.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY), 1)
        control = local.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 5)
        self.assertEqual(control, b"reno\0")
        linger = local.sock.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8)
        self.assertEqual(linger, LINGER_RESET)
        local.abort()
        with socket.create_server(("::1", 0), family=socket.AF_INET6) as six:
            local = self.dialled("::1", six.getsockname()[1])
            self.assertEqual(local.sock.family, socket.AF_INET6)
            local.abort()
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            sock, error = self.dialled("127.0.0.1", free.getsockname()[1])
            self.assertEqual(error, errno.EINPROGRESS)  # nobody has looked for the answer yet
            self.assertEqual(sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR), errno.ECONNREFUSED)
            sock.close()
        self.assertEqual(self.dialled("255.255.255.255", port), (None, errno.ENETUNREACH))
        self.assertIsNone(self.dialled("localhost", port))
        self.assertIsNone(self.dialled("127.0.0.1", port, 3))

    def is_free(self, port: int) -> bool:
        """Whether nobody has a port."""
        with socket.socket(socket.AF_INET6) as probe:
            return probe.connect_ex(("::1", port)) == errno.ECONNREFUSED

    def test_dialled_itself(self) -> None:
        """Who dials a port where nobody listens often enough is connected from that port, to himself: refused."""
        low, high = map(int, KERNELS.read_text().split())
        ports = range(low, high, 2)  # the system prefers these
        port = next(filter(self.is_free, random.sample(ports, 100)))
        seen = None
        for _ in range(200_000):
            seen = self.dialled("::1", port)
            if type(seen) is NativeLocal or seen[0] is None:
                break
            seen[0].close()
        self.assertEqual(seen, (None, errno.ECONNREFUSED))


@built
class DifferenceTests(SynchronousTestCase):
    """Where it could come apart from what is in Python."""

    def test_numbers(self) -> None:
        """Numbers that stand in both are the same."""
        text = "".join(path.read_text() for path in sorted(NATIVE.glob("*.[ch]")))
        for name, value in {
            "MOST_PIECES": MOST_PIECES, "MOST_EVENTS": MOST_EVENTS, "MOST_UNSENT": MOST_UNSENT,
            "MAX_BODY_BYTES": MAX_BODY_BYTES, "HEADER_BYTES": HEADER_BYTES, "RECORD_BYTES": RECORD_BYTES,
        }.items():  # fmt: skip
            found = re.findall(rf"#define {name} (\w+)", text)
            self.assertTrue(found, name)
            self.assertEqual({int(each, 0) for each in found}, {value}, name)
        self.assertIn("#define MAX_DATA_BYTES 0xFFFFFF", text)
        self.assertEqual((MAX_DATA_BYTES, PLAIN_AT_ONCE, SEALED_AT_ONCE), (0xFFFFFF, 2 * 16384, 2 * (5 + 16384 + 17)))
        kinds = re.search(r"typedef enum \{\s*(ACT_[^}]*?)\s*\}", text)
        assert kinds is not None
        names = [name.strip().removeprefix("ACT_") for name in kinds[1].split(",")]
        self.assertEqual([getattr(nativerules, name) for name in names], list(range(len(names))))

    def test_stream_end(self) -> None:
        """The end of a stream is put together without its constructor: that is to do no more than to set its slots."""
        tally = NativeTally()
        tally.sent, tally.received = 3, 5
        for opener, up, down in ((True, 3, 5), (False, 5, 3)):
            self.assertEqual(tally.end(opener=opener), StreamEnd(Outcome.COMPLETED, None, up, down))
        tally.note(Outcome.REFUSED, "failed")
        tally.note(Outcome.STOPPED)
        self.assertEqual(tally.end(opener=True), StreamEnd(Outcome.REFUSED, "failed", 3, 5))
        self.assertEqual([each.name for each in fields(StreamEnd)], ["outcome", "code", "up", "down"])
        self.assertEqual(StreamEnd.__slots__, ("outcome", "code", "up", "down"))  # type: ignore[attr-defined]
        self.assertFalse(hasattr(StreamEnd, "__post_init__"))

    def test_unknown_rules(self) -> None:
        """What the extension has no room for, or hears twice, it refuses."""
        self.assertRaises(RuntimeError, _native.learn, {})
