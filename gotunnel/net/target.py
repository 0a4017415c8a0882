"""Connects to targets with Twisted's transports, and says why it cannot: for the portable relay, and for whoever looks
at a target and carries nothing."""

from __future__ import annotations

from typing import Any

from twisted.internet import error
from twisted.internet.defer import CancelledError
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.python.failure import Failure

from gotunnel.address import Address, InProcess, UnixPath
from gotunnel.errors import DialFailed, Sentence
from gotunnel.net.endpoint import InsideEndpoint, tcp_endpoint
from gotunnel.net.reasons import DIAL_ERRNOS, words_of
from gotunnel.net.unixendpoint import UnixEndpoint

__all__ = ["dial_failed", "target_endpoint"]

_DIAL_CODES: tuple[tuple[type[Exception], str, str], ...] = (
    (error.ConnectionRefusedError, "refused", "connection refused"),
    (error.TimeoutError, "timeout", "no answer in time"),
    (error.DNSLookupError, "unknown_host", "the name does not resolve"),
)


def target_endpoint(reactor: Any, target: Address, timeout: float) -> IStreamClientEndpoint:
    """Return what connects to a target. `timeout` (seconds) is for each address of a name, not for looking it up."""
    if isinstance(target, InProcess):
        return InsideEndpoint(target)
    if isinstance(target, UnixPath):
        return UnixEndpoint(reactor, target.path, timeout)
    return tcp_endpoint(reactor, target, timeout)


def dial_failed(failure: Failure, target: Address) -> Any:
    """Turn what such an endpoint failed with into DialFailed; for an errback."""
    if failure.check(DialFailed):
        return failure
    if failure.check(CancelledError, error.ConnectingCancelledError):
        raise CancelledError from None
    for kind, code, words in _DIAL_CODES:
        if failure.check(kind):
            raise DialFailed(code, Sentence("{target}: {words}", target=target, words=words)) from None
    number = getattr(failure.value, "osError", None) or getattr(failure.value, "errno", None)
    if number in DIAL_ERRNOS:
        code, words = DIAL_ERRNOS[number]
        raise DialFailed(code, Sentence("{target}: {words}", target=target, words=words)) from None
    words = words_of(failure.value)
    raise DialFailed("failed", Sentence("{target}: {words}", target=target, words=words)) from None
