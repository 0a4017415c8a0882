"""Endpoints for targets on Twisted's transports, and the codes for their errors. For the portable relay, and for health
checks and probes, which connect but carry nothing."""

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
    """Return the endpoint of a target. `timeout` (seconds) applies to each address of a name, not to the lookup."""
    if isinstance(target, InProcess):
        return InsideEndpoint(target)
    if isinstance(target, UnixPath):
        return UnixEndpoint(reactor, target.path, timeout)
    return tcp_endpoint(reactor, target, timeout)


def dial_failed(failure: Failure, target: Address) -> Any:
    """Turn an error of such an endpoint into DialFailed; for use as an errback."""
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
