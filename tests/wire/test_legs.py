"""Leg frames, cut in every way, and their limits."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from gotunnel.errors import LocalProtocolError, RemoteProtocolError
from gotunnel.wire.legs import (
    DONE_FRAME,
    FIN_FRAME,
    MAX_BODY_BYTES,
    MAX_DATA_BYTES,
    PROBE_FRAME,
    LegDecoder,
    LegFrame,
    data_header,
    encode_leg_frame,
)

from .strategies import PROPERTY

Frame = tuple[LegFrame, bytes]

WITH_BODY = (LegFrame.RST, LegFrame.OPEN, LegFrame.OPENED)
BARE = (LegFrame.FIN, LegFrame.DONE, LegFrame.PROBE)

FRAMES: st.SearchStrategy[Frame] = (
    st.tuples(st.just(LegFrame.DATA), st.binary(min_size=1, max_size=40))
    | st.tuples(st.sampled_from(WITH_BODY), st.binary(min_size=1, max_size=40))
    | st.tuples(st.sampled_from(BARE), st.just(b""))
)


def drain(decoder: LegDecoder) -> list[Frame | str]:
    """Return what the decoder has, and the text of the error that ended it, if one did."""
    found: list[Frame | str] = []
    try:
        while (frame := decoder.next()) is not None:
            found.append(frame)
    except RemoteProtocolError as breach:
        found.append(breach.reason)
    return found


def joined(pieces: list[Frame | str]) -> list[Frame | str]:
    """Join neighbouring pieces of DATA: where one DATA frame ends and the next begins means nothing."""
    whole: list[Frame | str] = []
    for piece in pieces:
        last = whole[-1] if whole else ""
        if not isinstance(piece, str) and not isinstance(last, str) and piece[0] is last[0] is LegFrame.DATA:
            whole[-1] = (LegFrame.DATA, last[1] + piece[1])
        else:
            whole.append(piece)
    return whole


def header(kind: int, length: int) -> bytes:
    """Return a header, allowed or not."""
    return bytes((kind,)) + length.to_bytes(3, "big")


class EncodeTests(SynchronousTestCase):
    """What the encoders make."""

    def test_bytes(self) -> None:
        """The golden bytes of each type: a byte of type, three bytes of length, the body."""
        self.assertEqual(data_header(5), b"\x00\x00\x00\x05")
        self.assertEqual(data_header(MAX_DATA_BYTES), b"\x00\xff\xff\xff")
        self.assertEqual(encode_leg_frame(LegFrame.DATA, b"ab"), b"\x00\x00\x00\x02ab")
        self.assertEqual(FIN_FRAME, b"\x01\x00\x00\x00")
        self.assertEqual(encode_leg_frame(LegFrame.RST, b"{}"), b"\x02\x00\x00\x02{}")
        self.assertEqual(encode_leg_frame(LegFrame.OPEN, b"{}"), b"\x03\x00\x00\x02{}")
        self.assertEqual(encode_leg_frame(LegFrame.OPENED, b"{}"), b"\x04\x00\x00\x02{}")
        self.assertEqual(DONE_FRAME, b"\x05\x00\x00\x00")
        self.assertEqual(PROBE_FRAME, b"\x06\x00\x00\x00")

    def test_limits_of_the_contract(self) -> None:
        """DATA holds 1 to 2^24-1 bytes, a JSON body 4,096."""
        self.assertEqual((MAX_DATA_BYTES, MAX_BODY_BYTES), (2**24 - 1, 4096))

    def test_what_we_must_not_send(self) -> None:
        """Lengths that the other end would take for a breach are our own error here."""
        for length in (0, -1, 2**24):
            self.assertRaises(LocalProtocolError, data_header, length)
        self.assertRaises(LocalProtocolError, encode_leg_frame, LegFrame.DATA, b"")
        self.assertRaises(LocalProtocolError, encode_leg_frame, LegFrame.DATA, bytes(2**24))
        for kind in WITH_BODY:
            self.assertEqual(len(encode_leg_frame(kind, bytes(4096))), 4100)
            self.assertRaises(LocalProtocolError, encode_leg_frame, kind, b"")
            self.assertRaises(LocalProtocolError, encode_leg_frame, kind, bytes(4097))
        for kind in BARE:
            self.assertRaises(LocalProtocolError, encode_leg_frame, kind, b"x")


class LegDecoderTests(SynchronousTestCase):
    """What a LegDecoder takes apart."""

    def test_data_passes_as_it_arrives(self) -> None:
        """No byte of a DATA frame waits for the rest of it, and nothing is kept."""
        decoder = LegDecoder()
        decoder.feed(header(0, 5)[:3])
        self.assertIsNone(decoder.next())
        decoder.feed(header(0, 5)[3:])
        self.assertIsNone(decoder.next())
        self.assertEqual(decoder.buffered, 0)
        decoder.feed(b"ab")
        self.assertEqual(decoder.next(), (LegFrame.DATA, b"ab"))
        self.assertIsNone(decoder.next())
        decoder.feed(b"cde" + FIN_FRAME)
        self.assertEqual(drain(decoder), [(LegFrame.DATA, b"cde"), (LegFrame.FIN, b"")])

    def test_bodies_come_whole(self) -> None:
        """A JSON body is held until its last byte is there."""
        for kind in WITH_BODY:
            decoder, frame = LegDecoder(), encode_leg_frame(kind, bytes(range(200)))
            for index in range(len(frame) - 1):
                decoder.feed(frame[index : index + 1])
                self.assertIsNone(decoder.next())
            self.assertEqual(decoder.buffered, len(frame) - 1)
            decoder.feed(frame[-1:])
            self.assertEqual(drain(decoder), [(kind, bytes(range(200)))])

    def test_one_at_a_time(self) -> None:
        """What follows a frame stays where it is until it is asked for: a dialling end stops between two frames."""
        decoder = LegDecoder()
        decoder.feed(encode_leg_frame(LegFrame.OPEN, b"{}") + header(0, 3) + b"abc" + FIN_FRAME)
        self.assertEqual(decoder.next(), (LegFrame.OPEN, b"{}"))
        self.assertEqual(decoder.buffered, 11)
        decoder.feed(b"\xff")
        self.assertEqual(decoder.next(), (LegFrame.DATA, b"abc"))
        self.assertEqual(decoder.next(), (LegFrame.FIN, b""))
        self.assertEqual(decoder.buffered, 1)

    def test_longest(self) -> None:
        """A body of exactly the limit passes, and so does the longest DATA."""
        decoder = LegDecoder()
        for kind in WITH_BODY:
            decoder.feed(encode_leg_frame(kind, bytes(4096)))
            self.assertEqual(drain(decoder), [(kind, bytes(4096))])
        decoder.feed(header(0, MAX_DATA_BYTES))
        left = MAX_DATA_BYTES
        while left:
            piece = bytes(min(left, 1 << 20))
            decoder.feed(piece)
            self.assertEqual(decoder.next(), (LegFrame.DATA, piece))
            left -= len(piece)
        decoder.feed(FIN_FRAME)
        self.assertEqual(decoder.next(), (LegFrame.FIN, b""))

    def test_breach_at_the_header(self) -> None:
        """What a header must not say is refused at its fourth byte, before any of the body."""
        bad = [header(0, 0)]
        bad += [header(kind, length) for kind in WITH_BODY for length in (0, 4097, 2**24 - 1)]
        bad += [header(kind, length) for kind in BARE for length in (1, 2**24 - 1)]
        bad += [header(kind, length) for kind in (7, 15, 16, 0x16, 0x47, 0x7B, 255) for length in (0, 2, 2**24 - 1)]
        for wrong in bad:
            decoder = LegDecoder()
            decoder.feed(wrong[:3])
            self.assertIsNone(decoder.next())
            decoder.feed(wrong[3:])
            self.assertRaises(RemoteProtocolError, decoder.next)

    def test_good_frames_before_a_breach(self) -> None:
        """What came in order before a breach still counts."""
        decoder = LegDecoder()
        decoder.feed(header(0, 2) + b"ab" + FIN_FRAME + header(9, 0))
        found = drain(decoder)
        self.assertEqual(found[:2], [(LegFrame.DATA, b"ab"), (LegFrame.FIN, b"")])
        self.assertEqual(found[2], "a leg frame of unknown type 9")

    @PROPERTY
    @given(st.lists(FRAMES, max_size=10), st.data())
    def test_round_trip_however_cut(self, frames: list[Frame], data: st.DataObject) -> None:
        """The same frames come out, in their order, wherever the stream is cut."""
        stream = b"".join(encode_leg_frame(*frame) for frame in frames)
        cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
        decoder = LegDecoder()
        found: list[Frame | str] = []
        for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
            decoder.feed(stream[start:end])
            found += drain(decoder)
        self.assertEqual(joined(found), joined(list(frames)))
        self.assertEqual(decoder.buffered, 0)

    @PROPERTY
    @given(
        st.lists(FRAMES.map(lambda frame: encode_leg_frame(*frame)) | st.binary(max_size=6), max_size=8).map(b"".join),
        st.integers(1, 7),
    )
    def test_any_bytes_at_once_or_bit_by_bit(self, stream: bytes, step: int) -> None:
        """Any bytes give the same frames and the same error, fed at once or in small pieces."""
        whole, single = LegDecoder(), LegDecoder()
        whole.feed(stream)
        expected = drain(whole)
        found: list[Frame | str] = []
        for index in range(0, len(stream), step):
            single.feed(stream[index : index + step])
            found += drain(single)
            if found and isinstance(found[-1], str):
                break
        self.assertEqual(joined(found), joined(expected))
