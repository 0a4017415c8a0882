"""The certificates of clients, where a server asks for them: whose each is, and whether its authority still vouches for
it when authorities have changed. The handshake's own check of the chain is OpenSSL's."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from cryptography import x509
from OpenSSL import crypto
from twisted.protocols.tls import TLSMemoryBIOProtocol

from gotunnel.errors import Sentence
from gotunnel.net.tlspeer import peer_certificate
from gotunnel.net.trust import CLIENT, CLIENT_CA, chain_problem, client_name_problem

__all__ = ["chain_shown", "client_problem", "problem_now"]

Authorities = tuple[x509.Certificate, ...] | None
"""None: clients need no certificate."""

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


def client_problem(transport: Any, client: str, asked: Authorities, now: Authorities) -> str | None:
    """Return why what was shown on a connection is not the certificate of the client `client`; None: it is.

    `asked` are the authorities that its handshake went by, `now` those that hold by now.
    """
    if asked is None:
        return None
    problem = client_name_problem(peer_certificate(transport), client)
    if problem is None and now is not None and now != asked:
        chain = problem_now(chain_shown(transport), now)
        problem = chain and Sentence("the client certificate {chain}", chain=chain)
    return problem


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
