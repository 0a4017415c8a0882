"""The certificate of a running server: loaded at the start, reloaded when its files change, and watched for expiry.

Existing sessions are not affected by a change: a leg binds to the certificate of its own connection.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gotunnel.config.model import TlsServerConfig
from gotunnel.errors import Sentence
from gotunnel.logs import Logger
from gotunnel.net.certificates import KeyPair, dates, fingerprint, load_pair, spki_pin
from gotunnel.net.expiry import ExpiryWatch, utc_now
from gotunnel.net.owncert import own_pair
from gotunnel.net.renewal import Renewal
from gotunnel.net.tls import ServerTls, server_tls

__all__ = ["Identity", "server_pair"]


def server_pair(config: TlsServerConfig, state_dir: Path) -> KeyPair:
    """Return the key and certificate of a server with this configuration.

    They come from the configured files. Without files they are the server's own, generated if necessary. Raises
    TlsFilesError.
    """
    if config.cert is None or config.key is None:
        return own_pair(state_dir)
    return load_pair(config.cert, config.key)


class Identity:
    """The certificate of one server. `tls` is for new connections; `changed(tls)` is called when it is replaced.

    The constructor raises TlsFilesError.
    """

    log = Logger()

    def __init__(
        self,
        config: TlsServerConfig,
        state_dir: Path,
        clock: Any,
        *,
        legs: bool,
        now: Callable[[], datetime.datetime] = utc_now,
    ) -> None:
        self.changed: Callable[[ServerTls], None] = lambda _: None
        self._own = config.cert is None
        self._clock = clock
        self._state_dir = state_dir
        self._legs = legs
        self._expiry = ExpiryWatch(clock, "the certificate of this server", now)
        self._renewal, self.tls = self._loaded(config)

    def _loaded(self, config: TlsServerConfig) -> tuple[Renewal[ServerTls], ServerTls]:
        state_dir, legs = self._state_dir, self._legs
        renewal = Renewal(
            self._clock,
            (config.cert, config.key, config.client_ca),
            lambda: server_tls(server_pair(config, state_dir), config.client_ca, legs=legs),
            self._renewed,
        )
        return renewal, renewal.first()

    def prepared(self, config: TlsServerConfig) -> Callable[[], None]:
        """Load the files of another configuration; return a function that applies them. Raises TlsFilesError."""
        renewal, tls = self._loaded(config)

        def use() -> None:
            self._renewal.stop()
            self._renewal, self._own = renewal, config.cert is None
            self._renewal.start()
            same, self.tls = tls.pair.chain == self.tls.pair.chain, tls
            self.changed(tls)
            if not same:
                self._expiry.stop()
                self._tell("the new certificate of this server")

        return use

    def start(self) -> None:
        """Log which certificate is in use, and start watching it."""
        self._tell("the certificate of this server")
        self._renewal.start()

    def stop(self) -> None:
        """Stop watching. Harmless when called again."""
        self._renewal.stop()
        self._expiry.stop()

    def _renewed(self, tls: ServerTls) -> None:
        same, self.tls = tls.pair.chain == self.tls.pair.chain, tls
        self.changed(tls)
        if same:
            self.log.info(
                "server.tls.client_ca was read again: clients for which it does not vouch are disconnected"
            )
        else:
            self._tell("the new certificate of this server")

    def _tell(self, whose: str) -> None:
        pair = self.tls.pair
        how = ", self-made" if self._own else Sentence(
            ", valid until {leaf:%Y-%m-%d %H:%M} UTC", leaf=dates(pair.leaf)[1]
        )
        self.log.info(
            "{whose}: pin {pin}, SHA-256 {fingerprint}{how}",
            whose=whose, pin=spki_pin(pair.leaf), fingerprint=fingerprint(pair.leaf), how=how,
        )  # fmt: skip
        if not self._own:  # nobody checks the dates of a self-made certificate
            self._expiry.watch(pair.leaf, str(pair.certificate_file))
