"""The usual form of an OPEN body and its MAC: reading, writing and proving it, once per visitor at both ends.

These functions are the reference. If the compiled relay is in use, its functions replace them in FORM.
"""

from __future__ import annotations

import hashlib
import re
import struct
from collections.abc import Callable
from functools import lru_cache

__all__ = ["FORM", "Fields", "Form", "Hashes", "prove", "read", "write"]

_CHARACTER = r"[ !#-\[\]-~]"  # printable ASCII that JSON does not escape
_USUAL = re.compile(
    rf'\{{"conn":"({_CHARACTER}{{1,64}})","src":"({_CHARACTER}{{1,320}})","mapping":"({_CHARACTER}{{1,128}})"'
    r'(?:,"n":([1-9][0-9]{0,18}),"mac":"([0-9a-f]{64})")?'
    rf'(?:,"dst":"({_CHARACTER}{{1,320}})")?\}}'
)
"""An OPEN as we write it. One pattern parses it and checks each field.

JSON and the schema, which handle all other forms, cost ten times as much per visitor. Any text this pattern accepts has
the same meaning to them.
"""
_uint32 = struct.Struct(">I").pack
_uint64 = struct.Struct(">Q").pack

Fields = tuple[str, str, str, int | None, bytes | None, str | None]
"""`conn`, `src`, `mapping`, `n`, `mac` and `dst` of an OPEN that has no other fields."""
Hashes = tuple["hashlib._Hash", "hashlib._Hash"]
"""The common prefix of the MACs of one leg's OPENs, see keys.open_hashes."""


def write(
    conn: str, src: str, mapping: str | None, n: int | None, mac: bytes | None, dst: str | None
) -> bytes | None:
    """Return the body for these fields, or None if JSON and the schema are needed to write it or to find the error."""
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
    """Return the fields of a body, or None if JSON and the schema are needed to read it or to find the error."""
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
    """Return the MAC of an OPEN. `begun` and `ended` come from keys.open_hashes and are not modified."""
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
    """The three functions in use in this process."""

    __slots__ = ("prove", "read", "write")

    def __init__(self) -> None:
        self.write: Callable[[str, str, str | None, int | None, bytes | None, str | None], bytes | None] = write
        self.read: Callable[[bytes], Fields | None] = read
        self.prove: Callable[..., bytes] = prove


FORM = Form()
