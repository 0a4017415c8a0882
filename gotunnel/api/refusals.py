"""The errors that a program gets when a server refuses: the same as everywhere, with the cure in the one line."""

from __future__ import annotations

from gotunnel.client.standing import MappingStatus
from gotunnel.core.view import STOPPING
from gotunnel.errors import AuthRejected, PortUnavailable, Sentence, said_behind

__all__ = ["not_let_in", "port_refused"]

_LOGIN = {
    "auth_failed": "the client's name or its token is not one of the server's; compare the token on both sides",
    "bad_server_mac": "the server does not hold this token, or somebody sits between it and us",
    "name_in_use": "another running client has this name; give each a name of its own (name=)",
}
_PORT = {
    "port_in_use": "choose another remote port, or 0 for any free one",
    "acl_denied": "choose an allowed remote port, or have the server allow it (allow_ports, allow_bind, allow_groups)",
    "reserved": "choose another remote port",
    "limit": "the server's limits.mappings says how many",
    "bad_request": "correct the remote address, or what was asked for with it",
}


def not_let_in(refused: AuthRejected) -> AuthRejected:
    """Return the error for a refused login. For a known code it has our own words, because they name the cure."""
    ours = None if "certificate" in refused.reason else _LOGIN.get(refused.code)
    return AuthRejected(refused.code, ours or refused.reason, refused.retry_after)


def port_refused(status: MappingStatus) -> PortUnavailable:
    """Return the error for a refused mapping."""
    reason = said_behind(f"{status.code}: ", status.reason)
    where = (
        Sentence("port {remote}", remote=status.config.remote)
        if status.config.public
        else Sentence("mapping {config}", config=status.config.name)
    )
    cure = "" if reason.endswith(STOPPING) else _PORT.get(status.code, "")
    why = Sentence("{where}: {reason}", where=where, reason=reason)
    return PortUnavailable(status.code, Sentence.joined("; ", (why, cure)))
