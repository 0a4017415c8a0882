"""The TLS settings of a running client: the servers it trusts, and its own certificate. They are reloaded when the
files change, with warnings before the certificate expires."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from gotunnel.config.model import ClientConfig, TlsClientConfig
from gotunnel.logs import Logger
from gotunnel.net.certificates import KeyPair, dates, fingerprint, load_pair
from gotunnel.net.expiry import ExpiryWatch, utc_now
from gotunnel.net.legtls import LegTls, client_leg_tls
from gotunnel.net.renewal import Renewal
from gotunnel.net.tls import ClientCreator, client_creator
from gotunnel.net.trust import server_name_of

__all__ = ["ClientIdentity", "ClientTls", "Towards"]


@dataclass(frozen=True, slots=True)
class Towards:
    """The TLS settings for one server. `legs` is set if legs use a TLS library of their own."""

    creator: ClientCreator
    legs: LegTls | None


@dataclass(frozen=True, slots=True)
class ClientTls:
    """A client's TLS settings by the host of each server, as the configuration names it."""

    towards: Mapping[str, Towards]
    pair: KeyPair | None


class ClientIdentity:
    """One per client with TLS. `tls` has the settings for new connections; `changed(tls)` is called when they change.
    Making it raises TlsFilesError."""

    log = Logger()

    def __init__(
        self, config: ClientConfig, clock: Any, *, legs: bool, now: Callable[[], datetime.datetime] = utc_now
    ) -> None:
        self.changed: Callable[[ClientTls], None] = lambda _: None
        self._clock = clock
        self._legs = legs
        self._expiry = ExpiryWatch(clock, "the certificate of this client", now)
        self._renewal, self.tls = self._loaded(config)

    def _loaded(self, config: ClientConfig) -> tuple[Renewal[ClientTls], ClientTls]:
        tls, legs = config.tls, self._legs
        renewal = Renewal(self._clock, (tls.ca, tls.cert, tls.key), lambda: _load(config, legs), self._renewed)
        return renewal, renewal.first()

    def prepared(self, config: ClientConfig) -> Callable[[], None]:
        """Load the files of another configuration; return a function that puts them into use. Raises TlsFilesError."""
        renewal, tls = self._loaded(config)

        def use() -> None:
            self._renewal.stop()
            self._renewal, before, self.tls = renewal, self.tls, tls
            self._renewal.start()
            self.changed(tls)
            self._tell(before)

        return use

    def start(self) -> None:
        """Start to check the files."""
        if self.tls.pair is not None:
            self._expiry.watch(self.tls.pair.leaf, str(self.tls.pair.certificate_file))
        self._renewal.start()

    def stop(self) -> None:
        """Stop checking. May be called again."""
        self._renewal.stop()
        self._expiry.stop()

    def _renewed(self, tls: ClientTls) -> None:
        before, self.tls = self.tls, tls
        self.changed(tls)
        if not self._tell(before):
            self.log.info("client.tls.ca was read again: it holds for connections from now on")

    def _tell(self, before: ClientTls) -> bool:
        """Log and watch the client's certificate if it is a new one. Returns whether it is."""
        pair = self.tls.pair
        if pair is None:
            self._expiry.stop()
            return False
        if before.pair is not None and before.pair.chain == pair.chain:
            return False
        self.log.info(
            "the new certificate of this client: SHA-256 {fingerprint}, valid until {until}",
            fingerprint=fingerprint(pair.leaf), until=f"{dates(pair.leaf)[1]:%Y-%m-%d %H:%M} UTC",
        )  # fmt: skip
        self._expiry.watch(pair.leaf, str(pair.certificate_file))
        return True


def _load(config: ClientConfig, legs: bool) -> ClientTls:
    tls = config.tls
    pair = None if tls.cert is None or tls.key is None else load_pair(tls.cert, tls.key)
    return ClientTls({server.host: _towards(tls, server.host, pair, legs) for server in config.all_servers}, pair)


def _towards(tls: TlsClientConfig, host: str, pair: KeyPair | None, legs: bool) -> Towards:
    name = tls.server_name or host
    # Not sent where nothing needs it, since everybody on the path can read it.
    sni = None if tls.ca is None and tls.server_name is None else server_name_of(name)
    return Towards(
        client_creator(tls.ca, name, pins=tls.pin, pair=pair, sni=sni),
        client_leg_tls(tls.ca, name, pins=tls.pin, pair=pair, sni=sni) if legs else None,
    )
