"""Advice to append to a log line about a client that was refused or disconnected, chosen by the reason."""

from __future__ import annotations

from gotunnel.core.view import STOPPING
from gotunnel.errors import Sentence

__all__ = ["cut_cure", "refusal_cure"]

_STRANGER = "; nothing if it is a stranger; if it is yours, bring both ends to one release"
_CURES = {
    "auth_failed": "; nothing if it is a stranger, since penalties handle that; if it is yours, compare its name "
    "and its token with the server's",
    "tls_required": "; if it is yours, give both ends the same tls.mode",
    "internal": "; the preceding lines of this log say why, and the client retries automatically",
    "enrol_required": "; use that token with gotunnel join",
    "name_in_use": "",
    "going_away": "",
    "stale": "; nothing: the connection arrived too late",
    "limit": "; nothing if visitors are served; else raise that limit",
    # These are only used for Go clients. Other clients get them as the result of a mapping, and stay connected.
    "port_in_use": "; give that client another remote port, or end what has this one",
    "acl_denied": "; add the port to server.v1.allow_ports, or give that client another remote port",
    "reserved": "; give that client another remote port",
    "bad_request": "; look at what that client asks for",
    "wrong_address": "; nothing if it is a stranger; if it is yours, let both its connections come from one "
    "address, not through a balancer and not from several addresses in turn",
    "v1_tls": "; let that client connect without TLS, or move it to version 2",
    "penalty": "; nothing if it is a stranger; if it is yours, compare its token, and wait until the penalty is "
    "over",
}
_CERTIFICATE = (
    "; nothing if it is a stranger; if it is yours, give it a certificate that server.tls.client_ca vouches for"
)


def refusal_cure(code: str, reason: str) -> str:
    """Return the advice for a refused client."""
    if code == "auth_failed" and "certificate" in reason:
        return _CERTIFICATE
    if code == "limit" and reason == STOPPING:  # no configuration raises that one
        return ""
    return _CURES.get(code, _STRANGER)


def cut_cure(authenticator: str, certificate: bool) -> str:
    """Return the advice for a client that was disconnected.

    `authenticator` is the plugin that had admitted it, "" for the server itself. `certificate` says whether its
    certificate is the reason.
    """
    if certificate:
        return "; nothing if it was meant to be disconnected; else look at server.tls.client_ca"
    if authenticator:
        return Sentence(
            "; nothing if it was meant to be disconnected; else ask the authenticator {plugin}, which had let it in",
            plugin=authenticator,
        )
    return "; nothing if it was meant to be disconnected; else look at its identity with `gotunnel client list`"
