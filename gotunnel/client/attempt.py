"""One attempt of a link to connect: the handshake up to the server's proof, and the meaning of a refusal. The link
handles the connection and decides when to retry."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gotunnel import __version__
from gotunnel.client.shared import Claimant, Shared
from gotunnel.config.model import ClientConfig
from gotunnel.config.secretfile import Refused
from gotunnel.config.token_source import token_in
from gotunnel.errors import AuthRejected, GotunnelError, Sentence
from gotunnel.net.dialer import ServerPath, Unreachable
from gotunnel.net.greeting import ControlGreeting, Greeted
from gotunnel.wire.greeting import FORWARD_STATE, MAPPING_STATE, UDP
from gotunnel.wire.handshake import ClientHandshake
from gotunnel.wire.messages import Challenge

__all__ = ["SameServer", "greet", "hint", "kept_code", "token_for"]

CONNECT_TIMEOUT = 10.0
"""Seconds for the connect, and again for the handshake."""

AUTH_HINTS = {
    "auth_failed": "the token or the client name is not the server's; compare `token` on both sides",
    "bad_server_mac": "the server does not hold our token, or somebody sits between it and us",
    "name_in_use": "another running client has this name; give each a name of its own",
    "version": "bring both ends to releases that speak one version of the protocol",
    "limit": "raise that limit on the server, or use less",
    "penalty": "wait, or let the server's penalties exempt this address",
    "internal": "the server's log says more",
    "protocol_error": "another program answers there, or one of the two needs an upgrade",
    "enrol_required": "use it with `gotunnel join`",
}
SAY_IT = ("tls_required", "no_bearer", "going_away", "stale")
"""Codes whose reasons need no hint."""
KNOWN_CODES = (*AUTH_HINTS, *SAY_IT, "unsupported_version")


class SameServer(GotunnelError):
    """The address leads to a server with which this client has a session by another address; the text names that."""


async def greet(clock: Any, path: ServerPath, config: ClientConfig, shared: Shared, link: Claimant) -> Greeted:
    """Connect for `link`, and prove both ends to each other. Raises what `ServerPath.greet` does, and SameServer before
    anything is proved."""

    def judge(challenge: Challenge) -> None:
        other = None if challenge.server is None else shared.claims.holder(challenge.server)
        if other is not None and other is not link:
            raise SameServer(other.label)

    token = token_for(config, path)
    handshake = ClientHandshake(
        config.name, token, shared.instance, f"gotunnel/{__version__}", (MAPPING_STATE, FORWARD_STATE, UDP),
        bearer=config.bearer,
    )  # fmt: skip
    return await path.greet(ControlGreeting(clock, CONNECT_TIMEOUT, handshake, judge), CONNECT_TIMEOUT)


def token_for(config: ClientConfig, path: ServerPath) -> str:
    """Return the token to prove, or to show, on this path. Raises Unreachable."""
    token = config.token.get_secret_value()
    if not config.bearer:
        return token
    if not path.by_certificate:
        raise Unreachable("client.bearer shows the token to a server that a certificate proves, and to no other")
    return token if config.token_file is None else _read_anew(config.token_file)


def _read_anew(path: Path) -> str:
    """Return the token in a file. Tokens issued by others are replaced before they expire, so the file is read each
    time. Raises Unreachable."""
    try:
        return token_in(path)
    except Refused as refused:
        raise Unreachable(Sentence("the token cannot be read: {line}", line=refused.line)) from None


def kept_code(refused: AuthRejected) -> str:
    """Return the code of a refusal for counting. Unknown codes become "other", so that a server cannot make us keep any
    number of them."""
    return refused.code if refused.code in KNOWN_CODES else "other"


def hint(refused: AuthRejected) -> str:
    """Return advice in brackets, as a continuation of the refusal; empty if there is none."""
    if "certificate" in refused.reason or refused.code in SAY_IT:
        return ""  # the reason needs no hint
    return Sentence(" ({words})", words=AUTH_HINTS.get(refused.code, "compare token, name and tls.mode on both sides"))
