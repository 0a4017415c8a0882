"""The certificate that a server makes for itself and keeps, so that its pin survives restarts. Its name and dates are
not checked: the token vouches for it, or a pin of its key does."""

from __future__ import annotations

import datetime
import os
import secrets
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from gotunnel.errors import Sentence
from gotunnel.logs import Logger
from gotunnel.net.certificates import KeyPair, TlsFilesError, dates, pair_from

__all__ = ["OWN_FILE", "own_pair"]

OWN_FILE = "server.pem"
VALIDITY = datetime.timedelta(days=365 * 30)
RENEW = datetime.timedelta(days=30)
"""How long before its end it is reissued for the same key; the pin stays the same."""

log = Logger(namespace="gotunnel.net.owncert")


def own_pair(state: Path, now: datetime.datetime | None = None) -> KeyPair:
    """Return the server's own certificate and key from its state folder; make them if there are none.

    Two processes that start at the same time get the same pair. A file that cannot be used is moved aside and replaced;
    this is logged, since its pins become void. Raises TlsFilesError.
    """
    path = state / OWN_FILE
    now = now or datetime.datetime.now(datetime.timezone.utc)
    try:
        if not path.exists():
            _write_once(path, _make(ec.generate_private_key(ec.SECP256R1()), now))
        try:
            pair = _load(path)
        except TlsFilesError as broken:
            aside = path.with_name(f"{OWN_FILE}.broken")
            os.replace(path, aside)
            _write_once(path, _make(ec.generate_private_key(ec.SECP256R1()), now))
            log.error(
                "{problem}: it was put aside as {aside}, and a new key was made; clients with tls.pin need the new pin",
                problem=str(broken), aside=str(aside),
            )  # fmt: skip
            pair = _load(path)
        if dates(pair.leaf)[1] - RENEW < now:
            os.replace(_draft(path, _make(pair.key, now)), path)
            pair = _load(path)
    except OSError as failed:
        raise TlsFilesError(Sentence(
            "{path}: {strerror}; the state folder must be writable", path=path, strerror=failed.strerror
        )) from None
    return pair


def _load(path: Path) -> KeyPair:
    pem = path.read_bytes()
    return pair_from(path, pem, path, pem)


def _make(key: Any, now: datetime.datetime) -> bytes:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "gotunnel server")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + VALIDITY)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    secret: bytes = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return secret + certificate.public_bytes(serialization.Encoding.PEM)


def _draft(path: Path, content: bytes) -> Path:
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        os.unlink(draft)
        raise
    return draft


def _write_once(path: Path, content: bytes) -> None:
    draft = _draft(path, content)
    try:
        os.link(draft, path)  # unlike a rename, this does not replace what another process has just created
    except FileExistsError:
        return
    finally:
        os.unlink(draft)
