"""The form in which nearly every OPEN is written, and its proof: what is computed for each visitor, at both ends. Where
the compiled relay serves them its functions take the place of these, which are the reference."""

from __future__ import annotations

import hashlib
import re
import struct
from collections.abc import Callable
from functools import lru_cache

__all__ = ["FORM", "Fields", "Form", "Hashes", "prove", "read", "write"]

_CHARACTER = r"[ !#-\[\]-~]"  # of printable ASCII, what JSON writes as itself
_USUAL = re.compile(
    rf'\{{"conn":"({_CHARACTER}{{1,64}})","src":"({_CHARACTER}{{1,320}})","mapping":"({_CHARACTER}{{1,128}})"'
    r'(?:,"n":([1-9][0-9]{0,18}),"mac":"([0-9a-f]{64})")?'
    rf'(?:,"dst":"({_CHARACTER}{{1,320}})")?\}}'
)
"""An OPEN as we write it. One pattern reads it and checks every field. JSON and the schema, which take all others, cost
ten times as much for each visitor. No text that this takes means anything else to them."""
_uint32 = struct.Struct(">I").pack
_uint64 = struct.Struct(">Q").pack

Fields = tuple[str, str, str, int | None, bytes | None, str | None]
"""`conn`, `src`, `mapping`, `n`, `mac` and `dst` of an OPEN; the other fields are not there."""
Hashes = tuple["hashlib._Hash", "hashlib._Hash"]
"""What the proofs of one leg's OPENs begin with, see keys.open_hashes."""


def write(
    conn: str, src: str, mapping: str | None, n: int | None, mac: bytes | None, dst: str | None
) -> bytes | None:
    """Return the body of these fields, or None if it takes JSON and the schema to write it or to say what is amiss."""
    if not ((type(n) is int and type(mac) is bytes) or (n is None and mac is None)):
        return None
    proof = "" if mac is None else f',"n":{n},"mac":"{mac.hex()}"'
    to = "" if dst is None else f',"dst":"{dst}"'
    text = f'{{"conn":"{conn}","src":"{src}","mapping":"{mapping}"{proof}{to}}}'
    usual = _USUAL.fullmatch(text)
    if usual is None or usual.group(1, 2, 3, 6) != (conn, src, mapping, dst):
        return None
    return text.encode("ascii")


def read(body: bytes) -> Fields | None:
    """Return the fields of a body, or None if it takes JSON and the schema to read it, or to say what is wrong."""
    usual = _USUAL.fullmatch(body.decode("latin-1"))
    if usual is None:
        return None
    conn, src, mapping, n, mac, dst = usual.groups()
    if n is None:
        return conn, src, mapping, None, None, dst
    return conn, src, mapping, int(n), bytes.fromhex(mac), dst


def prove(
    begun: hashlib._Hash, ended: hashlib._Hash, n: int, kind: str, name: str, conn: str, src: str, dst: str | None
) -> bytes:
    """Return the MAC of an OPEN, given the two hashes of HMAC (RFC 2104): the first one with all that stands ahead of
    the value of `n` in it, see keys.open_mac. They stay as they are."""
    inner, outer = begun.copy(), ended.copy()
    by, at = conn.encode("utf-8"), src.encode("utf-8")
    inner.update(_uint64(n) + _named(kind, name) + _uint32(len(by)) + by + _uint32(len(at)) + at)
    if dst is not None:
        inner.update(_behind_length(dst))
    outer.update(inner.digest())
    return outer.digest()


@lru_cache(maxsize=1024)
def _named(kind: str, name: str) -> bytes:
    return _behind_length(kind) + _behind_length(name)


def _behind_length(text: str) -> bytes:
    raw = text.encode("utf-8")
    return _uint32(len(raw)) + raw


class Form:
    """The three functions that serve in this process."""

    __slots__ = ("prove", "read", "write")

    def __init__(self) -> None:
        self.write: Callable[[str, str, str | None, int | None, bytes | None, str | None], bytes | None] = write
        self.read: Callable[[bytes], Fields | None] = read
        self.prove: Callable[..., bytes] = prove


FORM = Form()
