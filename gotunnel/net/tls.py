"""TLS 1.3 of both roles on pyOpenSSL, for control connections and for legs of the portable relay: sessions, and the two
bindings that tie the token to one. What a certificate must be is decided in `net.trust`."""

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
    """What a server needs for TLS. It holds for the connections that began with it: a later one has its own."""

    creator: IOpenSSLServerConnectionCreator
    """Makes sessions, for TLSMemoryBIOFactory."""
    pair: KeyPair
    leg_binding: bytes
    """What its legs are bound to."""
    authorities: tuple[x509.Certificate, ...] | None = None
    """Who must have issued the certificate of every client; None: clients need none."""
    leg_context: Any = None
    """An ssl.SSLContext for legs on `net.biotls`, where the relay wants them there."""

    @property
    def asks_clients(self) -> bool:
        """Whether a client needs a certificate."""
        return self.authorities is not None


def server_tls(pair: KeyPair, client_ca: Path | None = None, *, legs: bool = False) -> ServerTls:
    """Return what a server with this certificate needs. With `client_ca` (PEM file) every connection must show a
    certificate that it has issued for a client; `legs` also makes what `net.biotls` takes. Raises TlsFilesError."""
    authorities = None if client_ca is None else load_authorities(client_ca)
    creator = _ServerCreator(_context(pair, authorities or ()), asks_clients=authorities is not None)
    context = None
    if legs:
        context = server_leg_context(pair.certificate_file, pair.key_file, authorities)
        pair.check_unchanged()  # that library reads the files once more
    return ServerTls(creator, pair, binding(pair.leaf), authorities, context)


def web_creator(pair: KeyPair) -> IOpenSSLServerConnectionCreator:
    """Return what makes TLS sessions for visitors of the web. Raises TlsFilesError.

    Of 1.2, which proxies that open TLS may know alone, it takes what 1.3 would: keys that nobody keeps, and ciphers
    that authenticate.
    """
    context = _context(pair, (), SSL.TLS1_2_VERSION)
    context.set_cipher_list(b"ECDHE+AESGCM:ECDHE+CHACHA20")
    return _ServerCreator(context, asks_clients=False)


def own_server_tls(state: Path) -> ServerTls:
    """The same, with the certificate that a server makes for itself. Raises TlsFilesError."""
    return server_tls(own_pair(state))


def load_server_tls(cert: Path, key: Path) -> ServerTls:
    """The same, with a certificate (and its chain behind it) and a key from PEM files. Raises TlsFilesError."""
    return server_tls(load_pair(cert, key))


def client_creator(
    ca: Path | None, verify_name: str, *, pins: Iterable[str] = (), pair: KeyPair | None = None, sni: str | None = None
) -> ClientCreator:
    """Return what makes a client's TLS sessions.

    Without `ca` and pins nothing is verified here: the token's MAC over the TLS exporter is what proves the server.
    With `ca` (PEM file) its certificate must be issued by it for `verify_name`; with pins, its key must be one of them.
    `pair` is the client's own certificate, `sni` is sent for routing. Raises TlsFilesError.
    """
    trust = load_trust(ca, verify_name, pins)
    return ClientCreator(_context(pair, trust.authorities), trust, sni)


def target_creator(
    ca: Path | None, name: str, verify: bool, keys: str = "health.tls"
) -> IOpenSSLClientConnectionCreator:
    """Return what makes TLS sessions (1.2 or newer) with a service that is none of ours.

    Its certificate must be for `name` and signed by one of `ca` (PEM file; None: by one that the system trusts), unless
    `verify` is False. `keys` is where the configuration says so. Raises TlsFilesError.
    """
    trust = Trust(name, verify, () if ca is None else load_authorities(ca), keys=keys)
    if verify:
        check_name(name, trust.keys)
    context = _context(None, trust.authorities, SSL.TLS1_2_VERSION)
    if verify and ca is None:
        context.set_default_verify_paths()
    return ClientCreator(context, trust, server_name_of(name))


class TargetTls:
    """The same by name, each made once, and anew when the file of authorities is another one."""

    def __init__(self, ca: Path | None, keys: str) -> None:
        self._ca, self._keys = ca, keys
        self._made: dict[str, tuple[object, IOpenSSLClientConnectionCreator]] = {}

    def creator(self, name: str) -> IOpenSSLClientConnectionCreator:
        """Return what makes sessions with the service of that name. Raises TlsFilesError."""
        seen, known = None if self._ca is None else stamp(self._ca), self._made.get(name)
        if known is None or known[0] != seen:
            known = self._made[name] = (seen, target_creator(self._ca, name, True, self._keys))
        return known[1]


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


@implementer(IOpenSSLClientConnectionCreator)
class ClientCreator:
    """Makes a client's sessions: accepts only what `trust` says, and sends `sni` if it is not None.

    Twisted's own check accepts a certificate that carries no name at all, and logs a traceback for it (26.10), and it
    verifies the very name that it sends; this one accepts nothing that it has not verified.
    """

    def __init__(self, context: SSL.Context, trust: Trust, sni: str | None) -> None:
        self._context = context
        self._trust = trust
        self._sni = sni

    @property
    def trusts_anybody(self) -> bool:
        """Whether any certificate will do."""
        return self._trust.anybody

    def routed(self, sni: str | None) -> ClientCreator:
        """Return the same with another name to send, for routing; what is verified stays."""
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
    """Makes a server's sessions. Where clients need a certificate, what is wrong with theirs is kept as the session's
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
    # No session is resumed: each shows its certificates anew, to what is trusted by then.
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
