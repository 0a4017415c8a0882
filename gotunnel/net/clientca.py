"""Client certificates, where a server requires them: whose each one is, and whether its authority still vouches for it
after the authorities have changed. OpenSSL checks the chain during the handshake."""

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
"""X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY: nobody vouches for a client that has presented nothing."""


def chain_shown(transport: Any) -> tuple[x509.Certificate, ...]:
    """Return the certificate of a control connection's client, followed by its chain; empty without TLS."""
    if not isinstance(transport, TLSMemoryBIOProtocol):
        return ()
    session = transport.getHandle()
    leaf = session.get_peer_certificate(as_cryptography=True)
    if leaf is None:
        return ()
    try:
        behind = session.get_peer_cert_chain(as_cryptography=True) or []
    except ValueError:
        behind = []  # a client can send anything as its chain
    return (leaf, *(each for each in behind if each != leaf))


def client_problem(transport: Any, client: str, asked: Authorities, now: Authorities) -> str | None:
    """Return why the certificate presented on a connection is not that of the client `client`; None if it is.

    `asked` are the authorities used in its handshake, `now` the current ones.
    """
    if asked is None:
        return None
    problem = client_name_problem(peer_certificate(transport), client)
    if problem is None and now is not None and now != asked:
        chain = problem_now(chain_shown(transport), now)
        problem = chain and Sentence("the client certificate {chain}", chain=chain)
    return problem


def problem_now(shown: Sequence[x509.Certificate], authorities: Iterable[x509.Certificate]) -> str | None:
    """Return why these authorities do not vouch for a chain, as a continuation of "its certificate"; None if they
    do."""
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
