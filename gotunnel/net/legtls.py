"""What legs on `net.biotls` need of TLS: contexts for both ends, on the standard library's `ssl`. The same rules as in
`net.tls` hold: without a CA and a pin the token proves the server, with one its certificate must fit, too."""

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
    """What a client needs. `verify(session)` raises RemoteProtocolError for a certificate that is not the server's, and
    `chain_problem(code)` says what OpenSSL's verdict on its chain means; `sni` is the name that is sent where the
    server gave none for its legs."""

    context: ssl.SSLContext
    verify: Callable[[ssl.SSLObject], None] | None
    chain_problem: Callable[[int], str]
    sni: str | None = None


def server_leg_context(cert: Path, key: Path, authorities: Iterable[x509.Certificate] | None = None) -> ssl.SSLContext:
    """Return the server's context, from the same PEM files as that of its control connections. With authorities a
    client must show a certificate that one of them has issued. Raises TlsFilesError."""
    context = _context(ssl.PROTOCOL_TLS_SERVER)
    context.num_tickets = 0  # no leg resumes a TLS session
    _load(context, cert, key)
    if authorities is not None:
        _trust(context, authorities)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def client_leg_tls(
    ca: Path | None, verify_name: str, *, pins: Iterable[str] = (), pair: KeyPair | None = None, sni: str | None = None
) -> LegTls:
    """Return what makes a client's legs, of the same as `net.tls.client_creator`. Raises TlsFilesError."""
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
        # The server name that is sent routes the leg; the one that is checked is that of the client's own file.
        try:
            problem = trust.problem(x509.load_der_x509_certificate(session.getpeercert(True) or b""))
        except ValueError:
            problem = "cannot be read"
        if problem is not None:
            raise RemoteProtocolError(Sentence("its certificate {problem}", problem=problem), "tls")

    return LegTls(context, None if trust.anybody else verify, trust.chain_problem, sni)


def client_refused(code: int) -> str:
    """Return what OpenSSL's verdict on the chain of a client means."""
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
        # An empty pass phrase: OpenSSL is never to ask the terminal for one.
        context.load_cert_chain(cert, key, password="")
    except OSError as failed:  # ssl.SSLError is one
        raise TlsFilesError(Sentence(
            "{cert}: {strerror}", cert=cert, strerror=failed.strerror or failed
        )) from None


def _context(protocol: int) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    return context
