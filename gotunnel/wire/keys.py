"""The keys and MACs of version 2, as pure functions of bytes.

L(x) below is the uint32 big-endian length of x, followed by x. Each key and MAC has 32 bytes. When each MAC is sent is
defined in `gotunnel.wire.handshake`.
"""

from __future__ import annotations

import hashlib
import hmac
from functools import lru_cache

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from gotunnel.errors import LocalProtocolError
from gotunnel.wire.openform import FORM, Hashes

__all__ = [
    "NO_BINDING",
    "client_mac",
    "derive_key",
    "leg_client_mac",
    "leg_server_mac",
    "open_hashes",
    "open_mac",
    "same",
    "same_mac",
    "server_mac",
    "session_key",
    "transcript",
]

SIZE = 32
"""The size of each key, MAC and channel binding, in bytes."""

NO_BINDING = bytes(SIZE)
"""The channel binding of a connection without TLS."""


def derive_key(token: str, client: str) -> bytes:
    """Return K, the key of one client name: HKDF-SHA256(ikm=token, salt=client, info="gotunnel-v2 auth").

    White space around the token is ignored. Raises LocalProtocolError if the token is empty or not text.
    """
    try:
        secret, salt = token.strip().encode("utf-8"), client.encode("utf-8")
    except UnicodeEncodeError:
        raise LocalProtocolError("the token or the client name is not text") from None
    if not secret:
        raise LocalProtocolError("the token is empty")
    return _hkdf(secret, salt, b"gotunnel-v2 auth")


def transcript(hello: bytes, challenge: bytes, cb: bytes) -> bytes:
    """Return TH: SHA256("gotunnel-v2\\0" ‖ L(hello) ‖ L(challenge) ‖ L(CB)), over the payloads as transmitted."""
    return hashlib.sha256(b"gotunnel-v2\0" + _l(hello) + _l(challenge) + _l(_binding(cb))).digest()


def client_mac(key: bytes, th: bytes) -> bytes:
    """Return the MAC of `auth`: HMAC(K, L("client") ‖ L(TH))."""
    return _mac(key, b"client", th)


def server_mac(key: bytes, th: bytes) -> bytes:
    """Return the MAC of `auth_ok`: HMAC(K, L("server") ‖ L(TH))."""
    return _mac(key, b"server", th)


def session_key(key: bytes, th: bytes) -> bytes:
    """Return Ks, the key of the session's legs: HKDF-SHA256(ikm=K, salt=TH, info="gotunnel-v2 session")."""
    return _hkdf(key, th, b"gotunnel-v2 session")


def leg_client_mac(ks: bytes, sid: bytes, seq: int, purpose: str, cb: bytes) -> bytes:
    """Return the MAC of `leg`. `cb` is the SHA-256 of the server's certificate, or NO_BINDING on a plain leg."""
    return _mac(ks, b"leg client", sid, _u64(seq), purpose.encode("ascii"), _binding(cb))


def leg_server_mac(ks: bytes, sid: bytes, seq: int, purpose: str, cb: bytes) -> bytes:
    """Return the MAC of `leg_ok`, which covers the same values."""
    return _mac(ks, b"leg server", sid, _u64(seq), purpose.encode("ascii"), _binding(cb))


def open_mac(
    ks: bytes, sid: bytes, seq: int, purpose: str, n: int, kind: str, name: str, conn: str, src: str,
    dst: str | None = None,
) -> bytes:  # fmt: skip
    """Return the MAC of the n-th OPEN on a plain leg.

    `ks` has SIZE bytes. `kind` is "mapping" or "dial", and `name` its value. `dst` is covered only if the OPEN has one.
    """
    return FORM.prove(*open_hashes(ks, sid, seq, purpose), n, kind, name, conn, src, dst)


def open_hashes(ks: bytes, sid: bytes, seq: int, purpose: str) -> Hashes:
    """Return the common prefix of the MACs of all OPENs of one leg, for `openform.FORM.prove`.

    These are the inner and outer hash of HMAC-SHA256. The inner one already covers everything before the value of `n`.
    """
    begun, ended = _hashes(ks)
    inner = begun.copy()
    for part in (b"open", sid, _u64(seq), purpose.encode("ascii")):
        inner.update(_l(part))
    inner.update((8).to_bytes(4, "big"))  # the length of n
    return inner, ended


@lru_cache(maxsize=1024)
def _hashes(ks: bytes) -> Hashes:
    """Return the inner and outer hash of HMAC-SHA256 (RFC 2104), each with the key already added.

    OpenSSL's HMAC, which all other MACs here use, looks up its algorithm on each call and takes five times as long.
    """
    padded = ks.ljust(64, b"\0")
    return (
        hashlib.sha256(bytes(byte ^ 0x36 for byte in padded)),
        hashlib.sha256(bytes(byte ^ 0x5C for byte in padded)),
    )


same_mac = hmac.compare_digest
"""Compare two MACs in constant time. Their length is not secret."""


def same(a: bytes | str, b: bytes | str) -> bool:
    """Compare two secrets in a time that reveals neither their contents nor their lengths."""
    # Hash text as bytes: compare_digest raises TypeError for a str that is not ASCII.
    return hmac.compare_digest(_digest(a), _digest(b))


def _digest(value: bytes | str) -> bytes:
    raw = value.encode("utf-8", "surrogatepass") if isinstance(value, str) else value
    return hashlib.sha256(raw).digest()


def _l(value: bytes) -> bytes:
    return len(value).to_bytes(4, "big") + value


def _u64(number: int) -> bytes:
    if not 0 <= number < 2**64:
        raise LocalProtocolError(f"{number} is not a uint64")
    return number.to_bytes(8, "big")


def _binding(cb: bytes) -> bytes:
    if len(cb) != SIZE:
        raise LocalProtocolError(f"a channel binding of {len(cb)} bytes, not {SIZE}")
    return cb


def _mac(key: bytes, *parts: bytes) -> bytes:
    return hmac.digest(key, b"".join(_l(part) for part in parts), "sha256")


def _hkdf(secret: bytes, salt: bytes, info: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=SIZE, salt=salt, info=info).derive(secret)
