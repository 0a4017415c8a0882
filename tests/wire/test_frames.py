"""Frames, cut in every way, and their limits."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from gotunnel.errors import LocalProtocolError, RemoteProtocolError
from gotunnel.wire.frames import LIMIT_AFTER_AUTH, LIMIT_BEFORE_AUTH, FrameDecoder, encode_frame

from .strategies import PROPERTY


def drain(decoder: FrameDecoder) -> list[object]:
    """Return all payloads that are complete, and the text of the error that ended them, if one did."""
    found: list[object] = []
    try:
        while (payload := decoder.next_frame()) is not None:
            found.append(payload)
    except RemoteProtocolError as error:
        found.append(error.reason)
    return found


class EncodeTests(SynchronousTestCase):
    """What encode_frame makes."""

    def test_bytes(self) -> None:
        """The length is four bytes, big-endian, and does not count itself."""
        self.assertEqual(encode_frame(b"{}"), b"\x00\x00\x00\x02{}")
        self.assertEqual(encode_frame(bytes(258))[:4], b"\x00\x00\x01\x02")

    def test_limits(self) -> None:
        """An empty or a too long frame is our own error; the longest one is not."""
        self.assertEqual(len(encode_frame(bytes(LIMIT_AFTER_AUTH))), LIMIT_AFTER_AUTH + 4)
        for size in (0, LIMIT_AFTER_AUTH + 1):
            self.assertRaises(LocalProtocolError, encode_frame, bytes(size))


class FrameDecoderTests(SynchronousTestCase):
    """What a FrameDecoder takes apart."""

    def test_nothing_yet(self) -> None:
        """An incomplete frame is None, and is counted as buffered."""
        decoder = FrameDecoder()
        for data, buffered in ((b"", 0), (b"\0\0", 2), (b"\0\3", 4), (b"ab", 6)):
            decoder.feed(data)
            self.assertIsNone(decoder.next_frame())
            self.assertEqual(decoder.buffered, buffered)
        decoder.feed(b"cd")
        self.assertEqual(decoder.next_frame(), b"abc")
        self.assertEqual(decoder.buffered, 1)

    def test_limits_of_the_contract(self) -> None:
        """4,096 bytes before authentication, 65,536 after."""
        self.assertEqual((LIMIT_BEFORE_AUTH, LIMIT_AFTER_AUTH), (4096, 65536))
        self.assertEqual(FrameDecoder().limit, LIMIT_BEFORE_AUTH)

    def test_too_long_at_the_header(self) -> None:
        """One byte too much is refused when the header is there, before a byte of the payload."""
        for limit in (LIMIT_BEFORE_AUTH, LIMIT_AFTER_AUTH):
            decoder = FrameDecoder(limit)
            decoder.feed(encode_frame(bytes(1)) + (limit + 1).to_bytes(4, "big")[:3])
            self.assertEqual(drain(decoder), [bytes(1)])
            decoder.feed((limit + 1).to_bytes(4, "big")[3:])
            self.assertRaises(RemoteProtocolError, decoder.next_frame)

    def test_longest(self) -> None:
        """A frame of exactly the limit passes."""
        for limit in (LIMIT_BEFORE_AUTH, LIMIT_AFTER_AUTH):
            decoder = FrameDecoder(limit)
            decoder.feed(encode_frame(bytes(limit)))
            self.assertEqual(decoder.next_frame(), bytes(limit))

    def test_hostile_headers(self) -> None:
        """Zero, the sign bit, all ones and other protocols' greetings are breaches at once."""
        for header in (
            b"\0\0\0\0",
            b"\x80\0\0\0",
            b"\xff\xff\xff\xff",
            b"GET ",
            b"SSH-",
            b"\x16\x03\x01\x02",
        ):
            decoder = FrameDecoder(LIMIT_AFTER_AUTH)
            decoder.feed(header)
            self.assertRaises(RemoteProtocolError, decoder.next_frame)

    def test_breach_is_final(self) -> None:
        """After a breach the error repeats and nothing is kept any more, a good frame included."""
        decoder = FrameDecoder()
        decoder.feed(b"\xff\xff\xff\xff" + bytes(1000))
        for _ in range(2):
            self.assertRaises(RemoteProtocolError, decoder.next_frame)
            self.assertEqual(decoder.buffered, 0)
            decoder.feed(encode_frame(b"{}"))
        decoder.limit = LIMIT_AFTER_AUTH
        self.assertRaises(RemoteProtocolError, decoder.next_frame)

    def test_limit_can_be_raised(self) -> None:
        """The limit of the moment counts, also for bytes that came before it was raised."""
        decoder = FrameDecoder()
        decoder.feed(encode_frame(b"a") + encode_frame(bytes(5000)))
        self.assertEqual(decoder.next_frame(), b"a")
        decoder.limit = LIMIT_AFTER_AUTH
        self.assertEqual(decoder.next_frame(), bytes(5000))

    def test_leftover(self) -> None:
        """What follows the last frame is handed over once."""
        decoder = FrameDecoder()
        decoder.feed(encode_frame(b"{}") + b"raw")
        self.assertEqual(decoder.next_frame(), b"{}")
        self.assertEqual(decoder.take_leftover(), b"raw")
        self.assertEqual((decoder.take_leftover(), decoder.buffered), (b"", 0))

    @PROPERTY
    @given(st.lists(st.binary(min_size=1, max_size=50), max_size=10), st.data())
    def test_round_trip_however_cut(self, payloads: list[bytes], data: st.DataObject) -> None:
        """The same payloads come out, in their order, wherever the stream is cut."""
        stream = b"".join(encode_frame(payload) for payload in payloads)
        cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
        decoder, found = FrameDecoder(), []
        for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
            decoder.feed(stream[start:end])
            found += drain(decoder)
        self.assertEqual(found, payloads)

    @PROPERTY
    @given(
        st.binary(max_size=200)
        | st.lists(st.binary(max_size=9).map(lambda b: bytes((0, 0, 0, len(b))) + b)).map(b"".join)
    )
    def test_any_bytes_at_once_or_one_by_one(self, stream: bytes) -> None:
        """Any bytes give the same frames, the same error and the same leftover, fed at once or byte by byte."""
        whole, single = FrameDecoder(), FrameDecoder()
        whole.feed(stream)
        expected = drain(whole)
        found: list[object] = []
        for index in range(len(stream)):
            single.feed(stream[index : index + 1])
            if not (found and isinstance(found[-1], str)):
                found += drain(single)
        self.assertEqual(found, expected)
        self.assertEqual(single.take_leftover(), whole.take_leftover())
