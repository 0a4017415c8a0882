"""TLS 1.3 for both roles: the certificate that the server makes for itself, contexts, and the two bindings that tie the
token to a TLS session. The token, not the certificate, proves the ends unless a CA is configured."""

from __future__ import annotations

import datetime
import hashlib
import os
import re
import secrets
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from OpenSSL import SSL, crypto
from service_identity.hazmat import DNS_ID, IPAddress_ID, ServiceID, verify_service_identity
from service_identity.pyopenssl import extract_patterns
from twisted.internet.abstract import isIPAddress, isIPv6Address
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from twisted.internet.ssl import (
    Certificate,
    CertificateOptions,
    PrivateCertificate,
    TLSVersion,
    optionsForClientTLS,
    trustRootFromCertificates,
)
from twisted.protocols.tls import TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from zope.interface import implementer

from gotunnel.errors import GotunnelError, RemoteProtocolError
from gotunnel.wire.keys import NO_BINDING

__all__ = [
    "ServerNotTrusted",
    "ServerTls",
    "TlsFilesError",
    "client_creator",
    "exporter_binding",
    "is_tls_failure",
    "load_server_tls",
    "own_server_tls",
    "peer_leg_binding",
    "target_creator",
]

EXPORTER_LABEL = b"EXPORTER-Channel-Binding"
"""RFC 9266."""
OWN_FILE = "server.pem"
OWN_VALIDITY = datetime.timedelta(days=365 * 30)
"""Nobody checks the dates of the server's own certificate: the token vouches for it. It only must not run out."""


class TlsFilesError(GotunnelError):
    """A key or certificate file cannot be used; the text says which and why, and never quotes a key."""


class ServerNotTrusted(GotunnelError):
    """A server's certificate is not from a trusted authority for its name; the text says why."""


_BROKEN_CHAINS = {
    9: "is not valid yet",
    10: "has expired",
    18: "is self-signed",
    26: "is not meant for a server",
}
"""Some of OpenSSL's X509_V_ERR codes (openssl-verification-options(1)) in words."""


@dataclass(frozen=True, slots=True)
class ServerTls:
    """What a server needs for TLS: the context for `TLSMemoryBIOFactory`, and what its legs are bound to."""

    options: CertificateOptions
    leg_binding: bytes
    leg_context: ssl.SSLContext | None = None
    """The same for legs on `net.biotls`, where the relay wants them there."""


def own_server_tls(state: Path) -> ServerTls:
    """Load the server's own key and certificate from its state folder, making them first if there are none.

    Two processes that start at once end up with the same file. Raises TlsFilesError.
    """
    path = state / OWN_FILE
    try:
        if not path.exists():
            _write_once(path, _make_certificate())
        return _server_tls(path.read_bytes(), path)
    except OSError as failed:
        raise TlsFilesError(f"{path}: {failed.strerror}; the state folder must be writable") from None


def load_server_tls(cert: Path, key: Path) -> ServerTls:
    """Load a certificate (with its chain behind it) and its key from PEM files. Raises TlsFilesError."""
    try:
        return _server_tls(key.read_bytes() + b"\n" + cert.read_bytes(), cert)
    except OSError as failed:
        raise TlsFilesError(f"{failed.filename}: {failed.strerror}") from None


def client_creator(
    ca: Path | None, verify_name: str, server_name: str | None = None
) -> IOpenSSLClientConnectionCreator:
    """Return what makes a client's TLS sessions.

    Without `ca` nothing is verified here: the token's MAC over the TLS exporter is what proves the server. With `ca`
    (PEM file) the certificate must be issued by it for `verify_name`. `server_name` is sent as SNI, for routing only.
    Raises TlsFilesError.
    """
    if ca is None:
        return _Unverified(CertificateOptions(raiseMinimumTo=TLSVersion.TLSv1_3).getContext(), server_name)
    creator: IOpenSSLClientConnectionCreator = optionsForClientTLS(
        verify_name, trustRoot=_trust(ca), extraCertificateOptions={"raiseMinimumTo": TLSVersion.TLSv1_3}
    )
    return _Verified(creator, verify_name)


def target_creator(ca: Path | None, name: str, verify: bool) -> IOpenSSLClientConnectionCreator:
    """Return what makes TLS sessions (1.2 or newer) with a service that is none of ours.

    Its certificate must be for `name` and signed by one of `ca` (PEM file; None: by one that the system trusts), unless
    `verify` is False. Raises TlsFilesError.
    """
    try:
        if verify:
            creator: IOpenSSLClientConnectionCreator = optionsForClientTLS(
                name, trustRoot=None if ca is None else _trust(ca)
            )
            return _Verified(creator, name)
    except UnicodeError:
        raise TlsFilesError(f"{name}: no certificate is for such a name; set server_name") from None
    return _Unverified(CertificateOptions().getContext(), None if isIPAddress(name) or isIPv6Address(name) else name)


def exporter_binding(transport: Any) -> bytes:
    """Return CB of a control connection (protocol, section 3): the TLS exporter, or zeros without TLS."""
    if not isinstance(transport, TLSMemoryBIOProtocol):
        return NO_BINDING
    session: SSL.Connection = transport.getHandle()
    return session.export_keying_material(EXPORTER_LABEL, 32)


def is_tls_failure(reason: Failure) -> bool:
    """Say whether a connection ended because TLS failed, on either of the two libraries, and not by anybody's will."""
    value = reason.value
    return isinstance(value, SSL.Error) or (isinstance(value, RemoteProtocolError) and value.code == "tls")


def peer_leg_binding(transport: Any) -> bytes:
    """Return CB of a leg at the client: SHA-256 of the server's leaf certificate in DER, or zeros without TLS."""
    if not isinstance(transport, TLSMemoryBIOProtocol):
        return NO_BINDING
    certificate = transport.getPeerCertificate()
    return hashlib.sha256(crypto.dump_certificate(crypto.FILETYPE_ASN1, certificate)).digest()


@implementer(IOpenSSLClientConnectionCreator)
class _Unverified:
    """Makes sessions that accept any certificate: the handshake inside proves our server."""

    def __init__(self, context: SSL.Context, server_name: str | None) -> None:
        self._context = context
        self._server_name = server_name

    def clientConnectionForTLS(self, tlsProtocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        connection = SSL.Connection(self._context, None)
        if self._server_name is not None:
            connection.set_tlsext_host_name(self._server_name.encode("ascii"))
        return connection


def _trust(ca: Path) -> Any:
    try:
        loaded = x509.load_pem_x509_certificates(ca.read_bytes())
    except OSError as failed:
        raise TlsFilesError(f"{ca}: {failed.strerror}") from None
    except ValueError:
        raise TlsFilesError(f"{ca}: there is no PEM certificate in it") from None
    return trustRootFromCertificates([Certificate(crypto.X509.from_cryptography(each)) for each in loaded])


@implementer(IOpenSSLClientConnectionCreator)
class _Verified:
    """Makes sessions that accept only what a trusted authority has issued for `name`.

    Twisted's own check accepts a certificate that carries no name at all, and logs a traceback for it (26.10); this one
    accepts nothing that it has not verified.
    """

    def __init__(self, twisted: IOpenSSLClientConnectionCreator, name: str) -> None:
        self._twisted = twisted
        self._name = name
        self._service: ServiceID = IPAddress_ID(name) if isIPAddress(name) or isIPv6Address(name) else DNS_ID(name)

    def clientConnectionForTLS(self, tlsProtocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        def verify(_: SSL.Connection, certificate: crypto.X509, error: int, depth: int, good: int) -> bool:
            problem = None if good else _BROKEN_CHAINS.get(error, "was not issued by a trusted authority")
            if problem is None and depth == 0:
                try:
                    verify_service_identity(extract_patterns(certificate), [self._service], [])
                except Exception:  # noqa: BLE001 - whatever is wrong with it, it is not verified
                    problem = f"is not for {self._name}"
            if problem is not None:
                tlsProtocol.failVerification(Failure(ServerNotTrusted(f"its certificate {problem}")))
            return problem is None

        connection = self._twisted.clientConnectionForTLS(tlsProtocol)
        connection.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, verify)
        return connection


def _server_tls(pem: bytes, path: Path) -> ServerTls:
    try:
        # First, as it refuses an encrypted key, where OpenSSL would ask the terminal for its pass phrase.
        key = serialization.load_pem_private_key(_block(pem, b"PRIVATE KEY"), None)
        chain = x509.load_pem_x509_certificates(pem)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise TlsFilesError(f"{path}: there is no usable certificate and unencrypted key in PEM form") from None
    if _public(key.public_key()) != _public(chain[0].public_key()):
        raise TlsFilesError(f"{path}: the key does not belong to the certificate")
    own = PrivateCertificate.loadPEM(pem)
    options = CertificateOptions(
        privateKey=own.privateKey.original,
        certificate=own.original,
        extraCertChain=[crypto.X509.from_cryptography(each) for each in chain[1:]],
        raiseMinimumTo=TLSVersion.TLSv1_3,
    )
    options.getContext()
    return ServerTls(options, hashlib.sha256(chain[0].public_bytes(serialization.Encoding.DER)).digest())


def _block(pem: bytes, kind: bytes) -> bytes:
    """Return the first block of that kind. Raises ValueError."""
    found = re.search(rb"-----BEGIN [A-Z ]*" + kind + rb"-----.*?-----END [A-Z ]*" + kind + rb"-----", pem, re.DOTALL)
    if found is None:
        raise ValueError("no such block")
    return found[0] + b"\n"


def _public(key: Any) -> bytes:
    return bytes(key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo))


def _make_certificate() -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "gotunnel server")])
    now = datetime.datetime.now(datetime.timezone.utc)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + OWN_VALIDITY)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ) + certificate.public_bytes(serialization.Encoding.PEM)


def _write_once(path: Path, content: bytes) -> None:
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(draft, path)  # unlike a rename it does not replace what another process has just put there
        except FileExistsError:
            return
    finally:
        os.unlink(draft)
