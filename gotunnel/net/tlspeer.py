"""Reads the peer's certificate from a connection, on either TLS library, and explains in words why a handshake failed.
It decides nothing."""

from __future__ import annotations

import hashlib
import re
from typing import Any

from cryptography import x509
from OpenSSL import SSL, crypto
from twisted.protocols.tls import TLSMemoryBIOProtocol
from twisted.python.failure import Failure

from gotunnel.errors import RemoteProtocolError, Sentence, said_behind
from gotunnel.net.biotls import BioTls
from gotunnel.net.reasons import openssl_words
from gotunnel.wire.keys import NO_BINDING

__all__ = ["client_refusal", "leg_binding", "peer_certificate", "tls_words"]

NO_CLIENT_CERTIFICATE = "the server wants a certificate of this client: set client.tls.cert and key"
NOT_THIS_ONE = "the server refuses the certificate of this client (client.tls.cert): its log says why"
NO_TLS_THERE = (
    "it does not use TLS: tls.mode must be the same in both files (required is the safe one); or does server_addr "
    "lead to another program?"
)

_OURS = "its certificate "
"""The beginning of our own words about a peer's certificate. They quote it, so they are not searched for OpenSSL's
words."""

_ALERTS = (
    ("certificate required", NO_CLIENT_CERTIFICATE),
    ("alert bad certificate", NOT_THIS_ONE),
    ("alert unsupported certificate", NOT_THIS_ONE),
    ("alert certificate", NOT_THIS_ONE),  # revoked, expired, unknown
    ("alert unknown ca", NOT_THIS_ONE),
    ("alert protocol version", NO_TLS_THERE),
    ("wrong version number", NO_TLS_THERE),
    ("packet length too long", NO_TLS_THERE),
)
"""OpenSSL's names for the alerts that a client can receive (RFC 8446, 6.2), and its words for an answer without TLS."""


def peer_certificate(transport: Any) -> x509.Certificate | None:
    """Return the certificate that the other end presented; None if there is none or it cannot be parsed."""
    der = _peer_der(transport)
    try:
        return None if der is None else x509.load_der_x509_certificate(der)
    except ValueError:
        return None


def leg_binding(transport: Any) -> bytes:
    """Return the channel binding of a leg at the client (protocol, section 5); zeros without TLS."""
    der = _peer_der(transport)
    return NO_BINDING if der is None else hashlib.sha256(der).digest()


def tls_words(reason: Failure) -> str | None:
    """Return why TLS broke a client's connection, with a remedy where one is known; None if TLS was not the cause."""
    said = _said(reason.value)
    if said is None or said.startswith(_OURS):
        return said
    plain = re.sub(r"[_/]", " ", said.lower())
    for words, cure in _ALERTS:
        if words in plain:
            return cure
    return Sentence("TLS: {said}", said=said)


def client_refusal(transport: Any, reason: Failure) -> str | None:
    """Return why a server's TLS failed over the client's certificate; None if the cause was something else."""
    said = _said(reason.value)
    if said is None:
        return None
    if "did not return a certificate" in re.sub("_", " ", said.lower()):
        return "it shows no client certificate (client.tls.cert), and server.tls.client_ca asks for one"
    if isinstance(transport, TLSMemoryBIOProtocol):
        problem = transport.getHandle().get_app_data()
        # Until a certificate has been checked, Twisted keeps an object of its own there.
        return Sentence("its certificate {problem}", problem=problem) if isinstance(problem, str) else None
    return said if said.startswith(_OURS) else None


def _peer_der(transport: Any) -> bytes | None:
    if isinstance(transport, BioTls):
        return transport.session.getpeercert(True)
    if isinstance(transport, TLSMemoryBIOProtocol):
        session: SSL.Connection = transport.getHandle()
        certificate = session.get_peer_certificate()
        return None if certificate is None else crypto.dump_certificate(crypto.FILETYPE_ASN1, certificate)
    return None


def _said(problem: BaseException | None) -> str | None:
    """Return TLS's own words: pyOpenSSL's errors hold lists of triples, those of `net.biotls` are texts."""
    if isinstance(problem, SSL.Error):
        return openssl_words(problem)
    if isinstance(problem, RemoteProtocolError) and problem.code == "tls":
        return said_behind("TLS: ", problem.reason)
    return None
