"""An engine that needs nothing: seeded mutations of a corpus, the same ones for the same seed. It does not see which
lines an input reaches; atheris does."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

__all__ = ["mutations"]

MOST = 8192
"""Bytes of one input."""
WORDS = (
    b"\x00", b"\xff", b"\x00\x00\x00\x00", b"\x00\x00\x10\x00", b"\x00\x00\x10\x01", b"\x7f\xff\xff\xff",
    b"\xff\xff\xff\xff", b"\x16\x03\x01", b"{", b"}", b"[", b"]", b'"', b":", b",", b"\\", b"\\u", b"\\ud800", b"null",
    b"true", b"NaN", b"1e999", b"-1", b"65536", b"18446744073709551616", b'"type":', b"\n", b"\r\n", b"\x1b[2J",
    b"\xe2\x80\xae", b"\xef\xbb\xbf", b"%", b"${", b"- ", b": ", b"\t",
)  # fmt: skip


def mutations(corpus: Sequence[bytes], seed: int) -> Iterator[bytes]:
    """Yield the corpus itself, then mutations of it without end. Raises ValueError for an empty corpus."""
    if not corpus:
        raise ValueError("nothing to begin with")
    yield from corpus
    rng = random.Random(seed)
    while True:
        data = bytearray(rng.choice(corpus))
        for _ in range(rng.choice((1, 1, 2, 3, 8))):
            _mutate(rng, data, corpus)
        yield bytes(data[:MOST])


def _mutate(rng: random.Random, data: bytearray, corpus: Sequence[bytes]) -> None:
    at = rng.randint(0, len(data))
    length = rng.choice((1, 1, 2, 4, 16, 64))
    kind = rng.randrange(8)
    if kind == 0:
        data[at : at + 1] = bytes([rng.randrange(256)])
    elif kind == 1 and at < len(data):
        data[at] ^= 1 << rng.randrange(8)
    elif kind == 2:
        del data[at : at + length]
    elif kind == 3:
        data[at:at] = data[at : at + length] * rng.choice((1, 2, 50))
    elif kind == 4:
        data[at : at + rng.choice((0, length))] = rng.choice(WORDS)
    elif kind == 5:
        other = rng.choice(corpus)
        data[at:] = other[rng.randint(0, len(other)) :]
    elif kind == 6:
        data[at : at + length] = rng.randbytes(length)
    elif len(data) >= 4:
        at = min(at, len(data) - 4)
        number = int.from_bytes(data[at : at + 4], "big") + rng.choice((-1, 1, 256, -256, 2**31))
        data[at : at + 4] = (number % 2**32).to_bytes(4, "big")
