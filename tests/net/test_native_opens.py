"""The compiled form of an OPEN: it writes, reads and proves what the one in Python does, and nothing else."""

from __future__ import annotations

import hashlib
import random
from typing import Any
from unittest import skipUnless

from twisted.trial.unittest import SynchronousTestCase

from gotunnel.wire import openform
from tests.wire import test_keys, test_legbodies

try:
    from gotunnel.net.fast import _native

    BUILT = True
except ImportError:
    BUILT = False

built = skipUnless(BUILT, "the extension is not built")


@built
class NativeOpenTests(test_legbodies.OpenTests):
    """OPEN, in the compiled form."""

    if BUILT:
        form = (_native.write_open, _native.read_open, _native.prove_open)


@built
class NativeMacTests(test_keys.MacTests):
    """The MACs, that of an OPEN by the compiled form."""

    if BUILT:
        prove = staticmethod(_native.prove_open)


TEXTS = ["c", "a1b2c3-17", "127.0.0.1:53211", " !#[]~", "", *("x" * size for size in (64, 65, 128, 129, 320, 321))]
ODD = ['"', "\\", "\x1f", "\x7f", "é", "\u4e2d", "\udc80", "\0"]
NUMBERS: list[Any] = [None, 1, 9, 10, 2**63, 10**19 - 1, 10**19, 2**64 - 1, 2**64, 0, -1, True, 1.0, "1"]
MACS: list[Any] = [None, bytes(range(32)), b"\xff" * 32, bytes(31), bytes(33), b"", "0" * 64, bytearray(32)]


class Words(str):
    """Text of a kind that may write itself in another way."""

    def __format__(self, spec: str) -> str:
        return "otherwise"


@built
class DifferenceTests(SynchronousTestCase):
    """Both forms, side by side."""

    def setUp(self) -> None:
        self.chance = random.Random(f"{self.id()}")

    def text(self) -> str:
        """Return one that fits, or nearly."""
        text = self.chance.choice(TEXTS)
        if self.chance.random() < 0.2:
            at = self.chance.randrange(len(text) + 1)
            text = text[:at] + self.chance.choice(ODD) + text[at:]
        return text

    def test_write(self) -> None:
        """The same bytes, or both leave it to JSON and the schema."""
        kinds = set()
        for _ in range(20_000):
            chance = self.chance
            with_proof = chance.random() < 0.5
            n = chance.choice(NUMBERS) if with_proof or chance.random() < 0.1 else None
            mac = chance.choice(MACS) if with_proof or chance.random() < 0.1 else None
            fields = (self.text(), self.text(), self.text(), n, mac, chance.choice([None, self.text()]))
            written = openform.write(*fields)
            self.assertEqual(_native.write_open(*fields), written, fields)
            kinds.add((written is None, n is None, fields[5] is None))
        self.assertEqual(len(kinds), 8)

    def test_write_longest(self) -> None:
        """The longest of each at once has room, and is read again."""
        fields = ("c" * 64, "s" * 320, "m" * 128, 10**19 - 1, b"\xff" * 32, "d" * 320)
        written = _native.write_open(*fields)
        self.assertEqual(written, openform.write(*fields))
        assert written is not None
        self.assertEqual(_native.read_open(written), fields)

    def test_write_other_texts(self) -> None:
        """What is no text, or of a class of its own, is left to JSON and the schema."""
        for odd in (None, 1, b"c", Words("c")):
            for place in range(3):
                fields: list[Any] = ["c", "s", "m", None, None, None]
                fields[place] = odd
                self.assertIsNone(_native.write_open(*fields), fields)
        self.assertIsNone(_native.write_open("c", "s", "m", None, None, 1))  # type: ignore[arg-type]

    def test_read(self) -> None:
        """The same fields of what is written, and of what somebody has changed; both leave the rest to JSON."""
        read = 0
        for _ in range(20_000):
            chance = self.chance
            proof = chance.choice([(None, None), (chance.choice([1, 10**19 - 1, 123]), bytes(range(32)))])
            body = openform.write("a1-1", "127.0.0.1:9", "web", *proof, chance.choice([None, "10.0.0.1:80"]))
            assert body is not None
            for _ in range(chance.choice([0, 1, 1, 2])):
                at = chance.randrange(len(body) + 1)
                put = chance.choice([b"", b'"', b"\\", b"0", b"9", b"}", b",", b"\x7f", b"\xe9", b"\0", b"A", b" "])
                body = body[:at] + put + body[at + chance.choice([0, 1, 1, 5]) :]
            fields = openform.read(body)
            self.assertEqual(_native.read_open(body), fields, body)
            read += fields is not None
        self.assertGreater(read, 5_000)
        self.assertLess(read, 15_000)

    def test_read_cut(self) -> None:
        """Cut off anywhere, or with more behind it, it is no such body."""
        body = openform.write("c", "s", "m", 7, bytes(32), "d")
        assert body is not None
        self.assertEqual(_native.read_open(body), ("c", "s", "m", 7, bytes(32), "d"))
        for cut in [*(body[:at] for at in range(len(body))), body + b"}", body + b"\0", b" " + body, bytearray(body)]:
            self.assertIsNone(_native.read_open(cut), cut)

    def test_read_numbers(self) -> None:
        """Numbers have no zero in front, and nineteen digits at most."""
        for digits in ("0", "00", "01", "1", "9" * 19, "1" + "0" * 18, "9" * 20, "", "-1", "1a"):
            body = f'{{"conn":"c","src":"s","mapping":"m","n":{digits},"mac":"{"0f" * 32}"}}'.encode()
            self.assertEqual(_native.read_open(body), openform.read(body), digits)

    def test_prove(self) -> None:
        """The same MAC; the hashes stay as they were, whatever the text."""
        begun, ended = hashlib.sha256(b"begun"), hashlib.sha256(b"ended")
        for _ in range(2_000):
            texts = [self.chance.choice([*TEXTS, "é", "\u4e2d" * 100, "\0"]) for _ in range(4)]
            dst = self.chance.choice([None, *TEXTS])
            n = self.chance.choice([0, 1, 2**64 - 1, self.chance.getrandbits(64)])
            expected = openform.prove(begun, ended, n, *texts, dst)
            self.assertEqual(_native.prove_open(begun, ended, n, *texts, dst), expected)
        self.assertEqual(begun.digest(), hashlib.sha256(b"begun").digest())
        self.assertEqual(ended.digest(), hashlib.sha256(b"ended").digest())

    def test_prove_nonsense(self) -> None:
        """What is no number, text or hash is an exception, and the process lives on."""
        good: list[Any] = [hashlib.sha256(), hashlib.sha256(), 1, "mapping", "web", "c", "s", None]
        odd_ones = ((0, None), (1, b""), (2, -1), (2, 2**64), (2, "1"), (3, None), (4, b"web"), (5, "\udc80"), (7, 1))
        for place, odd in odd_ones:
            values = [*good[:place], odd, *good[place + 1 :]]
            with self.assertRaises((TypeError, ValueError, OverflowError, AttributeError)):
                _native.prove_open(*values)
        for function, count in ((_native.write_open, 6), (_native.prove_open, 8)):
            for wrong in (0, count - 1, count + 1):
                with self.assertRaises(TypeError):
                    function(*["c"] * wrong)  # type: ignore[operator]

    def test_it_serves(self) -> None:
        """Where the compiled relay is loaded, it is its form that both ends use."""
        from gotunnel.net.fast import nativerelay

        self.assertTrue(nativerelay.NativeRelay)
        form = openform.FORM
        self.assertEqual(
            (form.write, form.read, form.prove), (_native.write_open, _native.read_open, _native.prove_open)
        )
