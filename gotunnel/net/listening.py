"""Explains why the system refuses a listener. Does not listen itself."""

from __future__ import annotations

import errno

from gotunnel.address import HostPort
from gotunnel.errors import PortUnavailable, Sentence, system_words

__all__ = ["CannotListen", "cure_of", "listen_failure"]

# The first four are the words for the other end; _HERE has those for this machine.
_IN_USE = "another program on the server listens there"
_NO_FDS = "the server is out of file descriptors"
_NO_ADDRESS = "the server has no such address"
_NOT_LET = "the server's system does not let it listen there"
_HERE = {
    _IN_USE: "another program listens there", _NO_FDS: "there are no file descriptors left",
    _NO_ADDRESS: "this machine has no such address", _NOT_LET: "the system does not let this user listen there",
}  # fmt: skip
_LISTEN_CODES = {
    errno.EADDRINUSE: ("port_in_use", _IN_USE),
    errno.EMFILE: ("no_fds", _NO_FDS),
    errno.ENFILE: ("no_fds", _NO_FDS),
    errno.EADDRNOTAVAIL: ("bad_request", _NO_ADDRESS),
    errno.EACCES: ("acl_denied", _NOT_LET),
    errno.EPERM: ("acl_denied", _NOT_LET),
}
_CURES = {
    _IN_USE: "; choose another one (remote, or remote_port beside local_ports), or end that program",
    _NO_FDS: "; raise LimitNOFILE (systemd) or ulimit -n there",
    _NO_ADDRESS: "; choose one that it has, or none",
    _NOT_LET: "; choose a port from 1024 on, or let it have this one there (CAP_NET_BIND_SERVICE)",
}


class CannotListen(PortUnavailable):
    """The system refuses a listener. `reason` is worded for the client of a server, `here` for somebody on this
    machine."""

    def __init__(self, code: str, where: str, words: str) -> None:
        super().__init__(code, Sentence("{where}: {words}", where=where, words=words))
        self.here = Sentence("{where}: {words}", where=where, words=_HERE.get(words, words))


def listen_failure(host: str, port: int, cause: BaseException | None) -> CannotListen:
    """Turn the system's error into a CannotListen with the wire's code and one line of text."""
    number = getattr(cause, "errno", None)
    said = "it failed" if cause is None else system_words(cause)
    code, words = _LISTEN_CODES.get(number or 0, ("bad_request", said))
    return CannotListen(code, str(HostPort(host or "*", port)), words)


def cure_of(reason: str) -> str | None:
    """Return the remedy for a server's reason; None if the reason does not come from its system."""
    return next((cure for words, cure in _CURES.items() if reason.endswith(words)), None)
