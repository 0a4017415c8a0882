"""What legs on `net.biotls` need of TLS: contexts for both ends, and the certificate that a leg is bound to. The same
rules as in `net.tls` hold: without a CA the token proves the server, with one its certificate must be verified too."""

from __future__ import annotations

import hashlib
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography import x509
from service_identity.cryptography import extract_patterns
from service_identity.hazmat import DNS_ID, IPAddress_ID, ServiceID, verify_service_identity
from twisted.internet.abstract import isIPAddress, isIPv6Address

from gotunnel.errors import RemoteProtocolError
from gotunnel.net.biotls import BioTls
from gotunnel.net.tls import TlsFilesError, peer_leg_binding

__all__ = ["LegTls", "client_leg_tls", "leg_binding", "server_leg_context"]


@dataclass(frozen=True, slots=True)
class LegTls:
    """What a client needs. `verify(session)` raises RemoteProtocolError for a certificate that is not the server's; it
    is None where the token alone proves the server."""

    context: ssl.SSLContext
    verify: Callable[[ssl.SSLObject], None] | None


def server_leg_context(cert: Path, key: Path) -> ssl.SSLContext:
    """Return the server's context, from the same PEM files as that of its control connections. Raises TlsFilesError."""
    context = _context(ssl.PROTOCOL_TLS_SERVER)
    context.num_tickets = 0  # no leg resumes a TLS session
    try:
        context.load_cert_chain(cert, key)
    except OSError as failed:  # ssl.SSLError is one
        raise TlsFilesError(f"{cert}: {failed.strerror or failed}") from None
    return context


def client_leg_tls(ca: Path | None, verify_name: str) -> LegTls:
    """Return what makes a client's legs. With `ca` (PEM file) the certificate must be issued by it for `verify_name`.
    Raises TlsFilesError."""
    context = _context(ssl.PROTOCOL_TLS_CLIENT)
    if ca is None:
        context.verify_mode = ssl.CERT_NONE
        return LegTls(context, None)
    try:
        context.load_verify_locations(ca)
    except OSError as failed:
        raise TlsFilesError(f"{ca}: {failed.strerror or 'there is no PEM certificate in it'}") from None
    is_address = isIPAddress(verify_name) or isIPv6Address(verify_name)
    service: ServiceID = IPAddress_ID(verify_name) if is_address else DNS_ID(verify_name)

    def verify(session: ssl.SSLObject) -> None:
        # The server name that is sent routes the leg; the one that is checked is that of the client's own file.
        certificate = x509.load_der_x509_certificate(session.getpeercert(True) or b"")
        try:
            verify_service_identity(extract_patterns(certificate), [service], [])
        except Exception:  # noqa: BLE001 - whatever is wrong with it, it is not verified
            raise RemoteProtocolError(f"TLS: its certificate is not for {verify_name}", "tls") from None

    return LegTls(context, verify)


def leg_binding(transport: Any) -> bytes:
    """Return CB of a leg at the client, whichever TLS it runs on (protocol, section 5)."""
    if isinstance(transport, BioTls):
        return hashlib.sha256(transport.session.getpeercert(True) or b"").digest()
    return peer_leg_binding(transport)


def _context(protocol: int) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    return context
