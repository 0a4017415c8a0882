"""Words for the errors of Twisted and the system: short ones of our own, which have a Chinese translation."""

from __future__ import annotations

import errno

from OpenSSL import SSL
from twisted.internet import error

from gotunnel.errors import Sentence, system_words

__all__ = ["DIAL_ERRNOS", "NO_SOURCE", "openssl_words", "words_of"]

NO_SOURCE = "no local port is free towards it, or there is no local address for it"
"""Said of a target. The system uses one number, EADDRNOTAVAIL, for two causes: every local port already has a
connection to this very address, if only in TIME_WAIT; or this machine has no IPv6."""
DIAL_ERRNOS = {
    errno.ETIMEDOUT: ("timeout", "no answer in time"),
    errno.ENETUNREACH: ("unreachable", "no route to it"),
    errno.EHOSTUNREACH: ("unreachable", "no route to it"),
    errno.EADDRNOTAVAIL: ("failed", NO_SOURCE),
    errno.EMFILE: ("no_fds", "out of file descriptors"),
    errno.ENFILE: ("no_fds", "out of file descriptors"),
}
"""For each error of a dial: its code on the wire, and the words for it."""

_WORDS: tuple[tuple[type[Exception], str], ...] = (
    (error.ConnectionDone, "the other end closed it"),
    (error.ConnectionAborted, "closed by this end"),
    (error.ConnectionLost, "the connection broke"),
    (error.ConnectionRefusedError, "connection refused"),
    (error.TimeoutError, "no answer in time"),
    (error.TCPTimedOutError, "no answer in time"),
    (error.DNSLookupError, "the name does not resolve"),
    (error.UnknownHostError, "the name does not resolve"),
    (error.NoRouteError, "no route to it"),
    (error.ConnectingCancelledError, "not wanted any more"),
)
"""Words by class; subclasses come before their base classes."""


def words_of(problem: BaseException | None) -> str:
    """Return why a connection was not made or has closed. An error of ours is quoted as it is."""
    for kind, words in _WORDS:
        if isinstance(problem, kind):
            return words
    if isinstance(problem, error.ConnectError):
        said = problem.args[0] if problem.args else ""
        return said if isinstance(said, str) and said else "it cannot be connected to"
    if isinstance(problem, SSL.Error):
        return Sentence("TLS: {said}", said=openssl_words(problem))
    return "it failed" if problem is None else system_words(problem)


def openssl_words(problem: SSL.Error) -> str:
    """Return OpenSSL's own words: pyOpenSSL's errors hold lists of triples."""
    triples = problem.args[0] if problem.args and isinstance(problem.args[0], list) else []
    return ", ".join(str(triple[-1]) for triple in triples) or "it broke off"
