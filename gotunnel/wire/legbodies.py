"""The JSON bodies of the leg frames RST, OPEN and OPENED. Frame headers and frame order are not handled here."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeVar

from gotunnel.errors import LocalProtocolError, RemoteProtocolError
from gotunnel.wire import strictjson
from gotunnel.wire.fields import (
    Address,
    ClientName,
    Code,
    Connection,
    Mac,
    MappingName,
    Misfit,
    Ordinal,
    Reason,
    Schema,
    Volume,
)
from gotunnel.wire.openform import FORM, Hashes

__all__ = ["LIMIT", "OpenBody", "OpenedBody", "RstBody"]

LIMIT = 4096
"""The longest body of an RST, OPEN or OPENED frame, in bytes."""


@dataclass(slots=True)  # not frozen: construction would take three times as long, for each visitor
class OpenBody:
    """Opens a leg for one visitor.

    `conn` is the visitor's id in the logs of both ends, `src` its address. Exactly one of these is the target:

    - `mapping`: a mapping, of another client if `client` is given.
    - `dial`: an address.
    - `measure`: the server itself. It reads the stream and sends that many bytes back after the FIN.

    `n` and `mac` are present together, on plain legs only. `dst` is the address the visitor connected to, if the
    mapping has asked for it.
    """

    conn: Connection
    src: Address
    mapping: MappingName | None = None
    dial: Address | None = None
    client: ClientName | None = None
    n: Ordinal | None = None
    mac: Mac | None = field(default=None, repr=False)
    measure: Volume | None = None
    dst: Address | None = None

    def misfit(self) -> str | None:
        """Return what is inconsistent between the fields, or None."""
        if (self.mapping, self.dial, self.measure).count(None) != 2:
            return " must have one of mapping, dial and measure"
        if self.client is not None and self.mapping is None:
            return ".client needs mapping"
        if (self.n is None) != (self.mac is None):
            return " must have both n and mac, or neither"
        return None

    def proof(self, hashes: Hashes, n: int) -> bytes:
        """Return the MAC of this body as the n-th OPEN of a plain leg. `hashes` come from keys.open_hashes."""
        kind, name = ("mapping", self.mapping) if self.mapping is not None else ("dial", self.dial or "")
        return FORM.prove(*hashes, n, kind, name, self.conn, self.src, self.dst)

    def encode(self) -> bytes:
        """Return the body. Raises LocalProtocolError if the peer would refuse it."""
        if self.dial is None and self.client is None and self.measure is None:
            text = FORM.write(self.conn, self.src, self.mapping, self.n, self.mac, self.dst)
            if text is not None:
                return text
        return _encode("OPEN", _OPEN, self)

    @classmethod
    def decode(cls, body: bytes) -> OpenBody:
        """Read a body. Raises RemoteProtocolError with a reason that names the field."""
        usual = FORM.read(body)
        if usual is None:
            return _decode("OPEN", _OPEN, body)
        conn, src, mapping, n, mac, dst = usual
        return cls(conn, src, mapping, None, None, n, mac, None, dst)


@dataclass(frozen=True, slots=True)
class RstBody:
    """Aborts the visitor, with the reason."""

    code: Code
    reason: Reason | None = None

    def encode(self) -> bytes:
        """Return the body; a long reason is truncated. Raises LocalProtocolError if the peer would refuse it."""
        return _encode("RST", _RST, self)

    @classmethod
    def decode(cls, body: bytes) -> RstBody:
        """Read a body. Raises RemoteProtocolError with a reason that names the field."""
        return _decode("RST", _RST, body)


@dataclass(frozen=True, slots=True)
class OpenedBody:
    """Reports that the target accepted the connection. It has no fields yet."""

    def encode(self) -> bytes:
        """Return the body."""
        return _encode("OPENED", _OPENED, self)

    @classmethod
    def decode(cls, body: bytes) -> OpenedBody:
        """Read a body. Raises RemoteProtocolError if it is not a JSON object."""
        if body == b"{}":
            return _JUST_OPENED
        return _decode("OPENED", _OPENED, body)


B = TypeVar("B")
_OPEN = Schema(OpenBody)
_RST = Schema(RstBody)
_JUST_OPENED = OpenedBody()
_OPENED = Schema(OpenedBody)


def _encode(name: str, schema: Schema[B], body: B) -> bytes:
    try:
        written = strictjson.dumps(schema.write(body))
    except Misfit as misfit:
        raise LocalProtocolError(f"{name}{misfit}") from None
    if len(written) > LIMIT:
        raise LocalProtocolError(f"the body of {name} has {len(written)} bytes, more than {LIMIT}")
    return written


def _decode(name: str, schema: Schema[B], body: bytes) -> B:
    if len(body) > LIMIT:
        raise RemoteProtocolError(f"the body of {name} has {len(body)} bytes, more than {LIMIT}")
    try:
        return schema.read(strictjson.loads(body))
    except Misfit as misfit:
        raise RemoteProtocolError(f"{name}{misfit}") from None
