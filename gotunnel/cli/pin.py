"""`gotunnel pin`: prints the pin of a server's key, from a trusted local source or from the network. Changes nothing,
except that it makes the server's own certificate if there is none yet."""

from __future__ import annotations

import socket
import ssl
from pathlib import Path

import click
from cryptography import x509

from gotunnel.address import HostPort, parse_host_port
from gotunnel.cli.saying import say
from gotunnel.config.fields import DEFAULT_PORT
from gotunnel.config.load import load_server
from gotunnel.errors import GotunnelError, Sentence, system_words
from gotunnel.net.certificates import TlsFilesError, load_authorities, spki_pin
from gotunnel.net.trust import server_name_of
from gotunnel.server.identity import server_pair
from gotunnel.tap.exits import one_line_errors
from gotunnel.tap.role import DEFAULT_CONFIG, state_folder

__all__ = ["print_pin"]

TIMEOUT = 10.0
"""Seconds for the server to accept the connection and show its certificate."""


def print_pin(server: str | None, config: str | None, cert: str | None, state: str | None) -> None:
    """Print one line; or print what is wrong on standard error, and raise SystemExit."""
    named = [source for source in (server, config, cert) if source is not None]
    if len(named) > 1:
        raise click.UsageError("HOST:PORT, --config and --cert name different sources; choose one")
    with one_line_errors("gotunnel pin"):
        if cert is not None:
            leaf, note = load_authorities(Path(cert))[0], None
        elif server is not None:
            leaf, note = _shown_by(_address(server))
        else:
            leaf, note = _configured(config or DEFAULT_CONFIG, state)
    click.echo(spki_pin(leaf))
    if note is not None:
        say(note, err=True)


def _address(text: str) -> HostPort:
    try:
        return parse_host_port(text, default_port=DEFAULT_PORT)
    except ValueError as error:
        raise click.UsageError(Sentence("{text}: {error}", text=text, error=error)) from None


def _configured(config: str, state: str | None) -> tuple[x509.Certificate, str | None]:
    tls = load_server(config, clients_elsewhere=True).tls
    if tls.mode == "off":
        raise TlsFilesError(f"{config}: server.tls.mode is off: this server shows no key")
    pair = server_pair(tls, state_folder(state))
    if tls.cert is not None:
        return pair.leaf, None
    # Another user has another folder, and a service usually has one of its own.
    note = Sentence("This is the key in {file}: the server must use this state folder (--state).", file=pair.key_file)
    return pair.leaf, note


def _shown_by(server: HostPort) -> tuple[x509.Certificate, str]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    try:
        with (
            socket.create_connection((server.host, server.port), TIMEOUT) as connection,
            context.wrap_socket(connection, server_hostname=server_name_of(server.host)) as session,
        ):
            shown = x509.load_der_x509_certificate(session.getpeercert(True) or b"")
    except ssl.SSLError as error:
        raise GotunnelError(Sentence(
            "{server}: no TLS 1.3 with it: {reason}; name the port of server.addr, and see that its "
            "server.tls.mode is not off", server=server, reason=error.reason or error,
        )) from None
    except OSError as error:
        raise GotunnelError(Sentence(
            "{server}: {why}; name the address and port of server.addr, while the server runs, or ask nobody: "
            "`gotunnel pin --config FILE` on its machine", server=server, why=system_words(error),
        )) from None
    except ValueError:
        raise GotunnelError(f"{server}: its certificate cannot be read") from None
    return shown, Sentence(
        "This is what {server} shows now, unchecked: compare it with what the server's log says when it starts.",
        server=server,
    )  # fmt: skip
