"""TLS contexts for legs on `net.biotls`, for both ends, from the standard library's `ssl`. The rules of `net.tls`
apply: without a CA or a pin, only the token proves the server; with one, its certificate must match as well."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from gotunnel.errors import RemoteProtocolError, Sentence
from gotunnel.net.certificates import KeyPair, TlsFilesError
from gotunnel.net.trust import CLIENT, CLIENT_CA, chain_problem, load_trust

__all__ = ["LegTls", "client_leg_tls", "client_refused", "server_leg_context"]


@dataclass(frozen=True, slots=True)
class LegTls:
    """The TLS settings of a client's legs.

    `verify(session)` raises RemoteProtocolError if the certificate is not the server's. `chain_problem(code)` explains
    OpenSSL's verdict on its chain. `sni` is the server name to send where the server named none for its legs.
    """

    context: ssl.SSLContext
    verify: Callable[[ssl.SSLObject], None] | None
    chain_problem: Callable[[int], str]
    sni: str | None = None


def server_leg_context(cert: Path, key: Path, authorities: Iterable[x509.Certificate] | None = None) -> ssl.SSLContext:
    """Return the server's context, from the same PEM files as for its control connections. With `authorities`, a client
    must present a certificate that one of them issued. Raises TlsFilesError."""
    context = _context(ssl.PROTOCOL_TLS_SERVER)
    context.num_tickets = 0  # legs do not resume TLS sessions
    _load(context, cert, key)
    if authorities is not None:
        _trust(context, authorities)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def client_leg_tls(
    ca: Path | None, verify_name: str, *, pins: Iterable[str] = (), pair: KeyPair | None = None, sni: str | None = None
) -> LegTls:
    """Return the TLS settings of a client's legs; the arguments are those of `net.tls.client_creator`. Raises
    TlsFilesError."""
    trust = load_trust(ca, verify_name, pins)
    context = _context(ssl.PROTOCOL_TLS_CLIENT)
    if trust.chain:
        _trust(context, trust.authorities)
    else:
        context.verify_mode = ssl.CERT_NONE
    if pair is not None:
        _load(context, pair.certificate_file, pair.key_file)
        pair.check_unchanged()

    def verify(session: ssl.SSLObject) -> None:
        # The server name that is sent routes the leg; the name that is checked comes from the client's own file.
        try:
            problem = trust.problem(x509.load_der_x509_certificate(session.getpeercert(True) or b""))
        except ValueError:
            problem = "cannot be read"
        if problem is not None:
            raise RemoteProtocolError(Sentence("its certificate {problem}", problem=problem), "tls")

    return LegTls(context, None if trust.anybody else verify, trust.chain_problem, sni)


def client_refused(code: int) -> str:
    """Return what OpenSSL's verdict on a client's certificate chain means."""
    return chain_problem(code, CLIENT_CA, CLIENT)


def _trust(context: ssl.SSLContext, authorities: Iterable[x509.Certificate]) -> None:
    pem = b"".join(each.public_bytes(Encoding.PEM) for each in authorities)
    try:
        context.load_verify_locations(cadata=pem.decode("ascii"))
    except ssl.SSLError as failed:
        raise TlsFilesError(Sentence(
            "the file of authorities: OpenSSL does not take it: {reason}", reason=failed.reason or failed
        )) from None


def _load(context: ssl.SSLContext, cert: Path, key: Path) -> None:
    try:
        # The empty pass phrase keeps OpenSSL from asking for one on the terminal.
        context.load_cert_chain(cert, key, password="")
    except OSError as failed:  # includes ssl.SSLError
        raise TlsFilesError(Sentence(
            "{cert}: {strerror}", cert=cert, strerror=failed.strerror or failed
        )) from None


def _context(protocol: int) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    return context
