"""The certificate of a running listener: reloaded when its files change, with warnings before it expires."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from OpenSSL import SSL
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator
from zope.interface import implementer

from gotunnel.logs import Logger
from gotunnel.net.certificates import KeyPair, dates, fingerprint, load_pair
from gotunnel.net.expiry import ExpiryWatch
from gotunnel.net.renewal import Renewal
from gotunnel.net.tls import web_creator

__all__ = ["ListenerCertificate"]


@implementer(IOpenSSLServerConnectionCreator)
class ListenerCertificate:
    """Creates TLS sessions with the current certificate. Checks its files from `start` to `stop`. Raises
    TlsFilesError."""

    log = Logger()

    def __init__(self, clock: Any, cert: Path, key: Path) -> None:
        def load() -> tuple[KeyPair, IOpenSSLServerConnectionCreator]:
            pair = load_pair(cert, key)
            return pair, web_creator(pair)

        self._renewal = Renewal(clock, (cert, key), load, self._renewed)
        self._pair, self._creator = self._renewal.first()
        self._expiry = ExpiryWatch(clock, "the certificate of the listener websocket")

    def start(self) -> None:
        """Start to check the files."""
        self._renewal.start()
        self._expiry.watch(self._pair.leaf, str(self._pair.certificate_file))

    def stop(self) -> None:
        """Stop checking. May be called again."""
        self._renewal.stop()
        self._expiry.stop()

    def serverConnectionForTLS(self, tlsProtocol: Any) -> SSL.Connection:
        """See IOpenSSLServerConnectionCreator."""
        return self._creator.serverConnectionForTLS(tlsProtocol)

    def _renewed(self, made: tuple[KeyPair, IOpenSSLServerConnectionCreator]) -> None:
        self._pair, self._creator = made
        leaf = self._pair.leaf
        self.log.info(
            "the new certificate of the listener websocket: SHA-256 {fingerprint}, valid until {until}",
            fingerprint=fingerprint(leaf), until=f"{dates(leaf)[1]:%Y-%m-%d %H:%M} UTC",
        )  # fmt: skip
        self._expiry.watch(leaf, str(self._pair.certificate_file))
