"""Reads certificates and keys from files, and computes what identifies them: pin, fingerprint, dates. It verifies no
trust and opens no connection."""

from __future__ import annotations

import base64
import datetime
import hashlib
import re
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization

from gotunnel.errors import GotunnelError, Sentence

__all__ = [
    "KeyPair",
    "TlsFilesError",
    "binding",
    "dates",
    "fingerprint",
    "load_authorities",
    "load_pair",
    "pair_from",
    "read_file",
    "spki_pin",
]

MOST = 1024 * 1024
"""Maximum bytes of a certificate file; a system's whole bundle has a quarter of that."""

_KEY = re.compile(rb"-----BEGIN ([A-Z ]*PRIVATE KEY)-----.*?-----END \1-----", re.DOTALL)


class TlsFilesError(GotunnelError):
    """A key or certificate file cannot be used; the text says which and why, and never quotes a key."""


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A certificate with its chain, its key, and the PEM files they came from, which may be one file."""

    certificate_file: Path
    key_file: Path
    key: Any = field(repr=False)
    chain: tuple[x509.Certificate, ...]

    @property
    def leaf(self) -> x509.Certificate:
        """The certificate itself."""
        return self.chain[0]

    def check_unchanged(self) -> None:
        """Raise TlsFilesError if the files no longer hold this pair: a library that reads them by name would get
        another one."""
        now = load_pair(self.certificate_file, self.key_file)
        if now.chain != self.chain:
            raise TlsFilesError(Sentence(
                "{certificate_file}: it changes while it is read", certificate_file=self.certificate_file
            ))


def read_file(path: Path) -> bytes:
    """Return the content of a file of certificates or of a key. Raises TlsFilesError."""
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode) or found.st_size > MOST:
            raise TlsFilesError(Sentence("{path}: this is not a file of certificates or of a key", path=path))
        return path.read_bytes()
    except OSError as failed:
        raise TlsFilesError(Sentence("{path}: {strerror}", path=path, strerror=failed.strerror)) from None


def load_pair(certificate: Path, key: Path) -> KeyPair:
    """Read a certificate, followed by its chain, and its key from PEM files. Raises TlsFilesError."""
    return pair_from(certificate, read_file(certificate), key, read_file(key))


def pair_from(certificate: Path, certificate_pem: bytes, key: Path, key_pem: bytes) -> KeyPair:
    """The same, from the content of the two files. Raises TlsFilesError."""
    block = _KEY.search(key_pem)
    try:
        if block is None:
            raise ValueError("there is no key")
        # An encrypted key is refused here, since OpenSSL would ask for its pass phrase on the terminal.
        private = serialization.load_pem_private_key(block[0] + b"\n", None)
        chain = tuple(x509.load_pem_x509_certificates(certificate_pem))
        fits = _spki(private.public_key()) == _spki(chain[0].public_key())
    except (ValueError, TypeError, UnsupportedAlgorithm):
        files = str(certificate) if certificate == key else f"{certificate}, {key}"
        raise TlsFilesError(Sentence(
            "{files}: there is no usable certificate and unencrypted key in PEM form", files=files
        )) from None
    if not fits:
        raise TlsFilesError(
            Sentence(
                "{key}: the key does not belong to the certificate {certificate} (to the first one, if it "
                "holds several)",
                key=key, certificate=certificate,
            )
        )
    return KeyPair(certificate, key, private, chain)


def load_authorities(path: Path) -> tuple[x509.Certificate, ...]:
    """Read the certificates of authorities from a PEM file. Raises TlsFilesError."""
    try:
        return tuple(x509.load_pem_x509_certificates(read_file(path)))
    except ValueError:
        raise TlsFilesError(Sentence("{path}: there is no PEM certificate in it", path=path)) from None


def spki_pin(certificate: x509.Certificate) -> str:
    """Return the pin of a certificate's key: `sha256:` and the base64 of the SHA-256 of its SubjectPublicKeyInfo, as in
    RFC 7469 (section 2.4) and curl's `--pinnedpubkey`. It stays the same as long as the key does."""
    digest = hashlib.sha256(_spki(certificate.public_key())).digest()
    return "sha256:" + base64.b64encode(digest).decode()


def binding(certificate: x509.Certificate) -> bytes:
    """Return the channel binding of a leg: the SHA-256 of the certificate in DER (protocol, section 5)."""
    return hashlib.sha256(certificate.public_bytes(serialization.Encoding.DER)).digest()


def fingerprint(certificate: x509.Certificate) -> str:
    """Return the fingerprint as `openssl x509 -fingerprint -sha256` writes it."""
    return binding(certificate).hex(":").upper()


def dates(certificate: x509.Certificate) -> tuple[datetime.datetime, datetime.datetime]:
    """Return the first and last moment of a certificate's validity, in UTC."""
    return certificate.not_valid_before_utc, certificate.not_valid_after_utc


def _spki(key: Any) -> bytes:
    return bytes(key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo))
