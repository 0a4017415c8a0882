"""Any bytes on a leg: the decoder of the portable relay and the parser of the fast one understand the same, and a leg
in whatever state ends in order or is closed, and never does what its table does not say."""

from __future__ import annotations

from itertools import groupby
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from gotunnel.core.stream import StreamEnd
from gotunnel.errors import RemoteProtocolError
from gotunnel.interfaces import ILegOwner
from gotunnel.net.deadlines import Deadlines
from gotunnel.net.fast.frames import FrameLeg
from gotunnel.net.leg import PortableLeg
from gotunnel.wire.datagrams import Assembly
from gotunnel.wire.legbodies import OpenBody
from gotunnel.wire.legs import HEADER_BYTES, LegDecoder, LegFrame, data_header, encode_leg_frame
from gotunnel.wire.legstate import FRAME_EVENTS, TABLES, Act, End, Event, State
from tests.doubles import MemoryTransport
from tests.relay_breaches import FRAMES as GOOD
from tests.wire.strategies import PROPERTY, RST

PIECES = (
    st.sampled_from(sorted(GOOD.values()))
    | st.binary(min_size=1, max_size=40).map(lambda data: encode_leg_frame(LegFrame.DATA, data))
    | RST.map(lambda body: encode_leg_frame(LegFrame.RST, body.encode()))
    | st.binary(max_size=6)
    | st.integers(0, 2**32 - 1).map(lambda header: header.to_bytes(4, "big"))
)
STREAMS = st.lists(PIECES, max_size=8).map(b"".join)
CUTS = st.lists(st.integers(1, 30), max_size=8)


def cut(stream: bytes, sizes: list[int]) -> list[bytes]:
    """Return a stream in pieces of these sizes, the last of which is the rest."""
    pieces, position = [], 0
    for size in [*sizes, len(stream)]:
        pieces.append(stream[position : position + size])
        position += size
    return [piece for piece in pieces if piece]


class _Tools:
    def __init__(self) -> None:
        self.clock = Clock()
        self.deadlines = Deadlines(self.clock)
        self.dial_timeout = 10.0


class Heard(FrameLeg):
    """The parser of the fast relay, and nothing behind it: what it hears is kept."""

    def __init__(self) -> None:
        super().__init__(_Tools(), End.DIALLER, None, False)  # type: ignore[arg-type]
        self.heard: list[tuple[LegFrame, bytes]] = []

    def receive(self, kind: LegFrame, body: bytes) -> None:
        self.heard.append((kind, bytes(body)))

    def _pass_on(self, data: memoryview | bytes, *more: memoryview | bytes) -> None:
        self.heard += [(LegFrame.DATA, bytes(each)) for each in (data, *more)]

    def feed(self, piece: bytes) -> str | None:
        """Take what one read brought; return what was wrong with it."""
        try:
            self._take(memoryview(piece), len(piece))
        except RemoteProtocolError as breach:
            return breach.reason
        return None


class Datagrams(Heard):
    """The same, to whom a frame is a datagram."""

    def __init__(self) -> None:
        super().__init__()
        self.datagrams: list[bytes] = []
        self._assembly = Assembly()

    def _pass_on(self, data: memoryview | bytes, *more: memoryview | bytes) -> None:
        pieces = (data, *more)
        for place, piece in enumerate(pieces):
            whole = self._assembly.add(piece, place < len(pieces) - 1 or not self.unfinished)
            if whole is not None:
                self.datagrams.append(whole)


for _name in Heard.__abstractmethods__:
    setattr(Heard, _name, lambda self, *args, **keys: None)
Heard.__abstractmethods__ = Datagrams.__abstractmethods__ = frozenset()  # type: ignore[attr-defined]


def portable(pieces: list[bytes]) -> tuple[list[Any], bool]:
    """Return what the portable relay understands, and whether it is a breach."""
    decoder, found = LegDecoder(), []
    try:
        for piece in pieces:
            decoder.feed(piece)
            while (frame := decoder.next()) is not None:
                if frame[0] is LegFrame.DONE and decoder.buffered:
                    return found, True
                found.append(frame)
    except RemoteProtocolError:
        return found, True
    return found, False


def joined(frames: list[tuple[LegFrame, bytes]]) -> list[tuple[LegFrame, bytes]]:
    """Return frames with runs of DATA as one: where it was cut is nobody's business."""
    runs = groupby(frames, lambda frame: frame[0])
    return [
        each
        for kind, run in runs
        for each in ([(kind, b"".join(data for _, data in run))] if kind is LegFrame.DATA else run)
    ]


class ParserTests(SynchronousTestCase):
    """Two parsers, one language."""

    @PROPERTY
    @given(STREAMS, CUTS)
    def test_understand_the_same(self, stream: bytes, sizes: list[int]) -> None:
        """The same frames, and a breach at the same place, however the stream is cut."""
        pieces = cut(stream, sizes)
        expected, breach = portable(pieces)
        leg, wrong = Heard(), None
        for piece in pieces:
            wrong = leg.feed(piece)
            if wrong is not None:
                break
        self.assertEqual(joined(leg.heard), joined(expected))
        self.assertEqual(wrong is not None, breach, wrong)

    def test_datagrams(self) -> None:
        """Wherever two reads part them, frames become the datagrams that they were: the pieces that are passed on at
        once are each the end of a frame but the last, and `unfinished` says whether that one is."""
        wanted = [b"one", b"second", b"3"]
        stream = b"".join(data_header(len(each)) + each for each in wanted)
        for place in range(len(stream) + 1):
            leg = Datagrams()
            for piece in (stream[:place], stream[place:]):
                if piece:
                    self.assertIsNone(leg.feed(piece))
            self.assertEqual(leg.datagrams, wanted, place)

    def test_abstract(self) -> None:
        """What is left out here is only what comes behind the parser."""
        self.assertEqual(FrameLeg._parse, Heard._parse)
        self.assertEqual(FrameLeg._take, Heard._take)
        self.assertGreater(HEADER_BYTES, 0)


class _Watch:
    times = keepalive = None

    def add(self, leg: object) -> None:
        pass

    def remove(self, leg: object) -> None:
        pass


class _Local:
    """A visitor or a target that takes everything."""

    address = "198.51.100.7:5000"
    partner = None

    def __init__(self) -> None:
        self.leg: Any = None
        self.written = b""
        self.aborted = False

    def attach(self, leg: Any) -> None:
        self.leg = leg

    def detach(self) -> None:
        self.leg = None

    def write(self, data: bytes) -> None:
        self.written += data

    def finish(self) -> None:
        leg, self.leg = self.leg, None
        leg.local_closed()

    def abort(self) -> None:
        self.aborted = True

    def pause(self) -> None:
        pass

    resume = half_close = pause


@implementer(ILegOwner)
class _Owner:
    """Accepts or refuses each OPEN, and counts."""

    def __init__(self, accepts: bool) -> None:
        self.accepts = accepts
        self.begun = self.over = self.idle = self.lost = 0
        self.dials: list[Deferred[Any]] = []

    def leg_open(self, leg: Any, body: bytes) -> None:
        try:
            OpenBody.decode(body)
        except RemoteProtocolError:
            leg.close()
            self.begun += 1
            return
        self.begun += 1
        if self.accepts:
            leg.accept(_Local())
        else:
            leg.refuse("refused")

    def leg_abandoned(self, leg: Any) -> None:
        pass

    def leg_answered(self, leg: Any) -> None:
        pass

    def leg_first_byte(self, leg: Any) -> None:
        pass

    def leg_probed(self, leg: Any) -> None:
        pass

    def leg_ended(self, leg: Any, end: StreamEnd) -> None:
        self.over += 1

    def leg_idle(self, leg: Any) -> None:
        self.idle += 1

    def leg_lost(self, leg: Any, reason: str) -> None:
        self.lost += 1


class LegTests(SynchronousTestCase):
    """The portable leg in memory. The fast one needs descriptors; its breaches are in the relays' own suite."""

    def leg(self, end: End, accepts: bool = True) -> tuple[Deadlines, PortableLeg, MemoryTransport, _Owner]:
        """Make one."""
        clock, owner = Clock(), _Owner(accepts)
        transport, deadlines = MemoryTransport(clock), Deadlines(clock)
        leg = PortableLeg(clock, _Watch(), deadlines, end, owner, False, 10.0)  # type: ignore[arg-type]
        self.patch(type(leg), "_unsent", lambda leg: 0)
        transport.protocol = leg
        leg.makeConnection(transport)
        return deadlines, leg, transport, owner

    @PROPERTY
    @given(STREAMS, CUTS, st.booleans(), st.booleans())
    def test_any_bytes(self, stream: bytes, sizes: list[int], opens: bool, accepts: bool) -> None:
        """Whatever comes, each stream that began ends once, and a leg is lost once."""
        deadlines, leg, transport, owner = self.leg(End.OPENER if opens else End.DIALLER, accepts)
        if opens:
            leg.open(_Local(), b'{"conn":"c","src":"s","mapping":"m"}')
            owner.begun += 1
        for piece in cut(stream, sizes):
            if not transport.lost and not transport.aborted:
                leg.dataReceived(piece)
        transport.clock.advance(0)
        self.assertLessEqual(owner.over, owner.begun)
        transport.lose()
        transport.clock.advance(0)
        self.assertEqual((owner.over, owner.lost), (owner.begun, 1))
        self.assertIs(leg.state, State.CLOSED)
        self.assertEqual(len(deadlines), 0)
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_matrix(self) -> None:
        """Every frame in every state at both ends: it is handled, or it is a breach. The table is printed."""
        for end, table in TABLES.items():
            states = [state for state in State if (state, Event.LEG_LOST) in table]
            found = {}
            for state in states:
                for kind, event in FRAME_EVENTS.items():
                    next_state, acts = table[state, event]
                    found[state, kind] = "breach" if Act.BREACH in acts else next_state.name
            self.assertEqual({kind for _, kind in found}, set(LegFrame), "a frame without an event")
            width = max(len(state.name) for state in states) + 2
            print("\n" + f"{end.value:{width}}" + "".join(f"{kind.name:14}" for kind in LegFrame))
            for state in states:
                print(f"{state.name:{width}}" + "".join(f"{found[state, kind]:14}" for kind in LegFrame))
            for (state, kind), what in found.items():
                acts = table[state, FRAME_EVENTS[kind]][1]
                silent = what == state.name and not acts
                # An RST that crosses a DONE belongs to a visitor who is over: the one frame that changes nothing.
                crossing = end is End.DIALLER and state is State.IDLE and kind is LegFrame.RST
                self.assertEqual(silent, crossing, f"{kind.name} in {state.name} at the {end.value} is ignored")
