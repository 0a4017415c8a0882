"""What it means when the system does not let us listen. Listens nowhere itself."""

from __future__ import annotations

import errno

from gotunnel.address import HostPort
from gotunnel.errors import PortUnavailable

__all__ = ["listen_failure"]

_LISTEN_CODES = {
    errno.EADDRINUSE: ("port_in_use", "another program on the server listens there"),
    errno.EMFILE: ("no_fds", "the server is out of file descriptors"),
    errno.ENFILE: ("no_fds", "the server is out of file descriptors"),
    errno.EADDRNOTAVAIL: ("bad_request", "the server has no such address"),
    errno.EACCES: ("acl_denied", "the server's system does not let it listen there"),
    errno.EPERM: ("acl_denied", "the server's system does not let it listen there"),
}


def listen_failure(host: str, port: int, cause: BaseException | None) -> PortUnavailable:
    """Turn what the system said about listening into the wire's code and one line."""
    number = getattr(cause, "errno", None)
    code, words = _LISTEN_CODES.get(number or 0, ("bad_request", str(cause)))
    return PortUnavailable(code, f"{HostPort(host or '*', port)}: {words}")
