"""Resolves a name with Twisted's resolver, for callers that check or try its addresses themselves."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IResolutionReceiver
from zope.interface import implementer

from gotunnel.address import HostPort
from gotunnel.errors import DialFailed, Sentence

__all__ = ["resolve"]


def resolve(reactor: Any, host: str, port: int, timeout: float) -> Deferred[list[str]]:
    """Return the IP addresses of a name: at least one, without duplicates. Fails with DialFailed (unknown_host), after
    `timeout` seconds at the latest."""
    receiver = _Receiver(HostPort(host, port))
    reactor.nameResolver.resolveHostName(receiver, host, port)
    late = DialFailed("unknown_host", Sentence(
        "{host}: the name does not resolve in time", host=HostPort(host, port)
    ))
    return receiver.done.addTimeout(timeout, reactor, lambda value, seconds: _raise(late))


@implementer(IResolutionReceiver)
class _Receiver:
    """Collects the addresses that Twisted's resolver finds."""

    def __init__(self, target: HostPort) -> None:
        self.done: Deferred[list[str]] = Deferred()
        self._target = target
        self._found: list[str] = []

    def resolutionBegan(self, resolutionInProgress: Any) -> None:
        """Do nothing; see IResolutionReceiver."""

    def addressResolved(self, address: Any) -> None:
        """Keep an address."""
        if address.host not in self._found:
            self._found.append(address.host)

    def resolutionComplete(self) -> None:
        """Report all addresses, or that there are none."""
        if self.done.called:
            return
        if self._found:
            self.done.callback(self._found)
        else:
            self.done.errback(DialFailed("unknown_host", Sentence(
                "{target}: the name does not resolve", target=self._target
            )))


def _raise(error: Exception) -> Any:
    raise error
