"""TLS 1.3 for both roles on pyOpenSSL, for control connections and for legs of the portable relay: sessions, and the
two channel bindings that tie the token to one. `net.trust` decides which certificates are acceptable."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography import x509
from OpenSSL import SSL, crypto
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator, IOpenSSLServerConnectionCreator
from twisted.protocols.tls import TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from zope.interface import implementer

from gotunnel.config.stamps import stamp
from gotunnel.errors import RemoteProtocolError, Sentence
from gotunnel.net.certificates import KeyPair, TlsFilesError, binding, load_authorities, load_pair
from gotunnel.net.legtls import server_leg_context
from gotunnel.net.owncert import OWN_FILE, own_pair
from gotunnel.net.trust import (
    CLIENT,
    CLIENT_CA,
    NotTrusted,
    Trust,
    chain_problem,
    check_name,
    load_trust,
    server_name_of,
)
from gotunnel.wire.keys import NO_BINDING

__all__ = [
    "OWN_FILE",
    "ClientCreator",
    "NotTrusted",
    "ServerTls",
    "TargetTls",
    "TlsFilesError",
    "client_creator",
    "exporter_binding",
    "is_tls_failure",
    "load_server_tls",
    "own_server_tls",
    "server_tls",
    "target_creator",
    "web_creator",
]

EXPORTER_LABEL = b"EXPORTER-Channel-Binding"
"""RFC 9266."""

_REQUIRED = SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT


@dataclass(frozen=True, slots=True)
class ServerTls:
    """A server's TLS settings. Connections keep the settings with which they began."""

    creator: IOpenSSLServerConnectionCreator
    """Makes sessions, for TLSMemoryBIOFactory."""
    pair: KeyPair
    leg_binding: bytes
    """The channel binding of its legs."""
    authorities: tuple[x509.Certificate, ...] | None = None
    """The authorities that may issue client certificates; None: clients need no certificate."""
    leg_context: Any = None
    """An ssl.SSLContext for legs on `net.biotls`, if the relay uses that."""

    @property
    def asks_clients(self) -> bool:
        """Whether a client needs a certificate."""
        return self.authorities is not None


def server_tls(pair: KeyPair, client_ca: Path | None = None, *, legs: bool = False) -> ServerTls:
    """Return the settings of a server with this certificate. With `client_ca` (PEM file) every connection must present
    a client certificate issued by it. `legs` also makes a context for `net.biotls`. Raises TlsFilesError."""
    authorities = None if client_ca is None else load_authorities(client_ca)
    creator = _ServerCreator(_context(pair, authorities or ()), asks_clients=authorities is not None)
    context = None
    if legs:
        context = server_leg_context(pair.certificate_file, pair.key_file, authorities)
        pair.check_unchanged()  # the ssl module has read the files once more
    return ServerTls(creator, pair, binding(pair.leaf), authorities, context)


def web_creator(pair: KeyPair) -> IOpenSSLServerConnectionCreator:
    """Return what creates TLS sessions for web visitors. Raises TlsFilesError.

    TLS 1.2 is accepted, since proxies that decrypt TLS may not support 1.3, but only with what 1.3 guarantees:
    ephemeral keys and authenticated ciphers.
    """
    context = _context(pair, (), SSL.TLS1_2_VERSION)
    context.set_cipher_list(b"ECDHE+AESGCM:ECDHE+CHACHA20")
    return _ServerCreator(context, asks_clients=False)


def own_server_tls(state: Path) -> ServerTls:
    """Return the settings of a server with its own generated certificate. Raises TlsFilesError."""
    return server_tls(own_pair(state))


def load_server_tls(cert: Path, key: Path) -> ServerTls:
    """Return the settings of a server with a certificate (followed by its chain) and key from PEM files. Raises
    TlsFilesError."""
    return server_tls(load_pair(cert, key))


def client_creator(
    ca: Path | None, verify_name: str, *, pins: Iterable[str] = (), pair: KeyPair | None = None, sni: str | None = None
) -> ClientCreator:
    """Return what creates a client's TLS sessions.

    Without `ca` and pins nothing is verified here: the token's MAC over the TLS exporter proves the server. With `ca`
    (PEM file) the server's certificate must be issued by it for `verify_name`; with pins, the server's key must be one
    of them. `pair` is the client's own certificate; `sni` is sent for routing. Raises TlsFilesError.
    """
    trust = load_trust(ca, verify_name, pins)
    return ClientCreator(_context(pair, trust.authorities), trust, sni)


def target_creator(
    ca: Path | None, name: str, verify: bool, keys: str = "health.tls"
) -> IOpenSSLClientConnectionCreator:
    """Return what creates TLS sessions (1.2 or newer) with a service that is not part of gotunnel.

    Its certificate must be for `name` and issued by an authority in `ca` (PEM file; None: one that the system trusts),
    unless `verify` is False. `keys` is the configuration group with these settings. Raises TlsFilesError.
    """
    trust = Trust(name, verify, () if ca is None else load_authorities(ca), keys=keys)
    if verify:
        check_name(name, trust.keys)
    context = _context(None, trust.authorities, SSL.TLS1_2_VERSION)
    if verify and ca is None:
        context.set_default_verify_paths()
    return ClientCreator(context, trust, server_name_of(name))


class TargetTls:
    """The target creators by name. Each is made once, and again when the file of authorities has changed."""

    def __init__(self, ca: Path | None, keys: str) -> None:
        self._ca, self._keys = ca, keys
        self._made: dict[str, tuple[object, IOpenSSLClientConnectionCreator]] = {}

    def creator(self, name: str) -> IOpenSSLClientConnectionCreator:
        """Return what creates sessions with the service of that name. Raises TlsFilesError."""
        seen, known = None if self._ca is None else stamp(self._ca), self._made.get(name)
        if known is None or known[0] != seen:
            known = self._made[name] = (seen, target_creator(self._ca, name, True, self._keys))
        return known[1]


def exporter_binding(transport: Any) -> bytes:
    """Return the channel binding of a control connection (protocol, section 3): the TLS exporter, or zeros without
    TLS."""
    if not isinstance(transport, TLSMemoryBIOProtocol):
        return NO_BINDING
    session: SSL.Connection = transport.getHandle()
    return session.export_keying_material(EXPORTER_LABEL, 32)


def is_tls_failure(reason: Failure) -> bool:
    """Return whether a connection ended because TLS failed, on either of the two libraries."""
    value = reason.value
    return isinstance(value, SSL.Error) or (isinstance(value, RemoteProtocolError) and value.code == "tls")


@implementer(IOpenSSLClientConnectionCreator)
class ClientCreator:
    """Creates a client's sessions: accepts only what `trust` allows, and sends `sni` if it is not None.

    Twisted's own check accepts a certificate without any name, and logs a traceback for it (26.10). It also verifies
    the same name that it sends. This class accepts nothing that it has not verified.
    """

    def __init__(self, context: SSL.Context, trust: Trust, sni: str | None) -> None:
        self._context = context
        self._trust = trust
        self._sni = sni

    @property
    def trusts_anybody(self) -> bool:
        """Whether any certificate is accepted."""
        return self._trust.anybody

    def routed(self, sni: str | None) -> ClientCreator:
        """Return the same with another name to send, for routing. What is verified does not change."""
        return self if sni is None else ClientCreator(self._context, self._trust, sni)

    def clientConnectionForTLS(self, tlsProtocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        """See IOpenSSLClientConnectionCreator."""
        trust = self._trust

        def verify(_: SSL.Connection, certificate: crypto.X509, error: int, depth: int, good: int) -> bool:
            problem = trust.chain_problem(error) if trust.chain and not good else None
            if problem is None and depth == 0:
                try:
                    problem = trust.problem(certificate.to_cryptography())
                except ValueError:
                    problem = "cannot be read"
            if problem is not None:
                tlsProtocol.failVerification(Failure(NotTrusted(Sentence(
                    "its certificate {problem}", problem=problem
                ))))
            return problem is None

        connection = SSL.Connection(self._context, None)
        if self._sni is not None:
            connection.set_tlsext_host_name(self._sni.encode("ascii"))
        if not trust.anybody:
            connection.set_verify(_REQUIRED, verify)
        return connection


@implementer(IOpenSSLServerConnectionCreator)
class _ServerCreator:
    """Creates a server's sessions. If clients need a certificate, a problem with theirs is kept as the session's
    application data."""

    def __init__(self, context: SSL.Context, asks_clients: bool) -> None:
        self._context = context
        self._asks_clients = asks_clients

    def serverConnectionForTLS(self, tlsProtocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        """See IOpenSSLServerConnectionCreator."""

        def verify(session: SSL.Connection, _: crypto.X509, error: int, depth: int, good: int) -> bool:
            if not good:
                session.set_app_data(chain_problem(error, CLIENT_CA, CLIENT))
            return bool(good)

        connection = SSL.Connection(self._context, None)
        if self._asks_clients:
            connection.set_verify(_REQUIRED, verify)
        return connection


def _context(
    pair: KeyPair | None, authorities: Iterable[x509.Certificate], minimum: int = SSL.TLS1_3_VERSION
) -> SSL.Context:
    context = SSL.Context(SSL.TLS_METHOD)
    context.set_min_proto_version(minimum)
    context.set_options(SSL.OP_NO_COMPRESSION | SSL.OP_NO_RENEGOTIATION | SSL.OP_NO_TICKET)
    context.set_mode(SSL.MODE_RELEASE_BUFFERS)
    # Sessions are never resumed: each handshake presents certificates anew, and checks them by what is trusted then.
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    try:
        if pair is not None:
            context.use_certificate(pair.leaf)
            for above in pair.chain[1:]:
                context.add_extra_chain_cert(above)
            context.use_privatekey(pair.key)
        store = context.get_cert_store()
        assert store is not None
        for authority in authorities:
            store.add_cert(crypto.X509.from_cryptography(authority))
    except (SSL.Error, crypto.Error, TypeError, ValueError) as refused:
        triples = refused.args[0] if refused.args and isinstance(refused.args[0], list) else []
        said = ", ".join(str(triple[-1]) for triple in triples) or "not a kind that TLS uses"
        where = "the file of authorities" if pair is None else f"{pair.certificate_file}, {pair.key_file}"
        raise TlsFilesError(Sentence(
            "{where}: OpenSSL does not take it: {said}", where=where, said=said
        )) from None
    return context
