"""What clients have shown when they connected, asked about once more when the authorities that may vouch for them have
changed. The handshake's own check is OpenSSL's."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from cryptography import x509
from OpenSSL import crypto
from twisted.protocols.tls import TLSMemoryBIOProtocol

from gotunnel.net.trust import CLIENT, CLIENT_CA, chain_problem

__all__ = ["chain_shown", "problem_now"]

_NO_CERTIFICATE = 20
"""X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY: nobody vouches for him who has shown nothing."""


def chain_shown(transport: Any) -> tuple[x509.Certificate, ...]:
    """Return the certificate of a control connection's client and what came behind it; nothing without TLS."""
    if not isinstance(transport, TLSMemoryBIOProtocol):
        return ()
    session = transport.getHandle()
    leaf = session.get_peer_certificate(as_cryptography=True)
    if leaf is None:
        return ()
    try:
        behind = session.get_peer_cert_chain(as_cryptography=True) or []
    except ValueError:
        behind = []  # he may send along what he likes
    return (leaf, *(each for each in behind if each != leaf))


def problem_now(shown: Sequence[x509.Certificate], authorities: Iterable[x509.Certificate]) -> str | None:
    """Return why these authorities do not vouch for a chain now, to be said behind "its certificate"; None: they do."""
    if not shown:
        return chain_problem(_NO_CERTIFICATE, CLIENT_CA, CLIENT)
    store = crypto.X509Store()
    for authority in authorities:
        store.add_cert(crypto.X509.from_cryptography(authority))
    leaf, *behind = (crypto.X509.from_cryptography(each) for each in shown)
    try:
        crypto.X509StoreContext(store, leaf, behind).verify_certificate()
    except crypto.X509StoreContextError as refused:
        return chain_problem(int(refused.errors[0]), CLIENT_CA, CLIENT)
    return None
