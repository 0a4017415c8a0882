"""Certificates for tests: an authority, and what it issues, good or bad. Nothing here is secret or lasts."""

from __future__ import annotations

import datetime
import ipaddress
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

__all__ = ["BAD", "KINDS", "Authority", "bad_server", "client_of", "key_in"]

DAY = datetime.timedelta(days=1)

KINDS: dict[str, Callable[[], Any]] = {
    "ECDSA": lambda: ec.generate_private_key(ec.SECP256R1()),
    "RSA": lambda: rsa.generate_private_key(65537, 2048),
    "Ed25519": ed25519.Ed25519PrivateKey.generate,
}
"""Kinds of keys."""

BAD = ("other CA", "wrong name", "no name", "expired", "not yet valid", "self-signed", "wrong EKU")
"""Server certificates that a client with `tls.ca` must refuse."""


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


class Authority:
    """A CA that issues certificates into a folder; with `above` it is an intermediate one, whose certificate goes
    behind what it issues."""

    def __init__(self, folder: Path, name: str = "test CA", above: Authority | None = None) -> None:
        self.folder = folder
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = _name(name)
        self.file = folder / f"{name.replace(' ', '-')}.pem"
        issuer = self if above is None else above
        certificate = self._builder(self.name, self.key, -1, 30, issuer.name).add_extension(
            x509.BasicConstraints(ca=True, path_length=None), critical=True
        )
        self.file.write_bytes(certificate.sign(issuer.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
        self._behind = b"" if above is None else self.file.read_bytes()

    def issue(
        self,
        *hosts: str,
        first: int = -1,
        last: int = 30,
        usage: ObjectIdentifier = ExtendedKeyUsageOID.SERVER_AUTH,
        self_signed: bool = False,
        named: bool = True,
        password: bytes | None = None,
        key: Any = None,
    ) -> tuple[Path, Path]:
        """Issue a certificate for hosts, valid from `first` to `last` (days from now); return its file and its key.

        `key` is the one to use again, or one of KINDS.
        """
        if not hasattr(key, "public_key"):
            key = KINDS[key or "ECDSA"]()
        subject = _name(hosts[0])
        issuer = subject if self_signed else self.name
        builder = self._builder(subject, key, first, last, issuer)
        builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        if named:
            names = x509.SubjectAlternativeName([_general(host) for host in hosts])
            builder = builder.add_extension(names, critical=False)
        signer = key if self_signed else self.key
        certificate = builder.sign(signer, None if isinstance(signer, ed25519.Ed25519PrivateKey) else hashes.SHA256())
        number = len(list(self.folder.iterdir()))
        cert_file, key_file = self.folder / f"{number}.crt", self.folder / f"{number}.key"
        cert_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM) + self._behind)
        encryption = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
        key_file.write_bytes(
            key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)
        )
        key_file.chmod(0o600)
        return cert_file, key_file

    def _builder(
        self, subject: x509.Name, key: Any, first: int, last: int, issuer: x509.Name
    ) -> x509.CertificateBuilder:
        now = datetime.datetime.now(datetime.timezone.utc)
        return x509.CertificateBuilder(
            issuer_name=issuer,
            subject_name=subject,
            public_key=key.public_key(),
            serial_number=x509.random_serial_number(),
            not_valid_before=now + first * DAY,
            not_valid_after=now + last * DAY,
        )


def client_of(authority: Authority, *names: str, **more: Any) -> tuple[Path, Path]:
    """Issue a client certificate, with its key."""
    return authority.issue(*names, usage=ExtendedKeyUsageOID.CLIENT_AUTH, **more)


def key_in(file: Path) -> Any:
    """Return the private key of a file, to be used again."""
    return serialization.load_pem_private_key(file.read_bytes(), None)


def bad_server(kind: str, authority: Authority, host: str) -> tuple[Path, Path]:
    """Issue one of the BAD certificates, with its key."""
    if kind == "other CA":
        return Authority(authority.folder, "other CA").issue(host)
    if kind == "wrong name":
        return authority.issue("elsewhere.example.com")
    if kind == "no name":
        return authority.issue(host, named=False)
    if kind == "expired":
        return authority.issue(host, first=-30, last=-1)
    if kind == "not yet valid":
        return authority.issue(host, first=1)
    if kind == "self-signed":
        return authority.issue(host, self_signed=True)
    return authority.issue(host, usage=ExtendedKeyUsageOID.CLIENT_AUTH)


def _general(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)
