"""Reads the serving certificates of Kubernetes: of a kube-apiserver and of kubelets. Presents no client certificate,
and sends no request."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from cryptography import x509
from OpenSSL import SSL
from twisted.internet.defer import Deferred, TimeoutError
from twisted.internet.endpoints import wrapClientTLS
from twisted.internet.interfaces import IHandshakeListener
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from gotunnel.address import Address
from gotunnel.cli.doctor.findings import Finding, problem
from gotunnel.cli.doctor.names import judge_apiserver, judge_kubelet, readable
from gotunnel.client.checks import Unhealthy
from gotunnel.errors import GotunnelError, Sentence
from gotunnel.net.expiry import utc_now
from gotunnel.net.quiet import OneProtocol
from gotunnel.net.target import dial_failed, target_endpoint
from gotunnel.net.tls import target_creator

__all__ = ["APISERVER", "check_apiserver", "check_kubelet", "shown_by"]

APISERVER = 6443
"""The port that kubeadm gives a kube-apiserver."""


async def check_apiserver(
    reactor: Any, check: str, target: Address, names: Iterable[str], timeout: float
) -> list[Finding]:
    """Report which of `names`, by which the kube-apiserver is to be reached, its certificate lacks."""
    try:
        chain = await shown_by(reactor, target, timeout)
    except GotunnelError as failed:
        return [problem(check, str(failed), Sentence("does a kube-apiserver listen on {target}?", target=target))]
    return judge_apiserver(check, chain[0], tuple(dict.fromkeys(names)), utc_now())


async def check_kubelet(
    reactor: Any, check: str, target: Address, names: Iterable[str], ca: Path | None, timeout: float
) -> list[Finding]:
    """Report whether a kube-apiserver that verifies kubelets with `ca` (a PEM file) would accept the certificate."""
    try:
        chain = await shown_by(reactor, target, timeout)
    except GotunnelError as failed:
        return [problem(check, str(failed), Sentence("does a kubelet listen on {target}?", target=target))]
    return judge_kubelet(check, chain, tuple(dict.fromkeys(names)), ca, utc_now())


async def shown_by(reactor: Any, target: Address, timeout: float) -> tuple[x509.Certificate, ...]:
    """Return a service's certificate and the chain that it sends, unchecked. Raises DialFailed or Unhealthy."""
    asking = _Asking()
    # Without a name: this is about the certificate that is sent to clients that connect by address.
    endpoint = wrapClientTLS(target_creator(None, "", False), target_endpoint(reactor, target, timeout))
    connecting: Deferred[Any] = endpoint.connect(OneProtocol(lambda: asking))
    connecting.addErrback(dial_failed, target)
    await connecting
    try:
        return await asking.shown.addTimeout(timeout, reactor)
    except TimeoutError:
        late = Sentence("no answer in TLS within {timeout:g} s", timeout=timeout)
        raise Unhealthy(Sentence("{target}: {reason}", target=target, reason=late)) from None
    except Unhealthy as failed:
        raise Unhealthy(Sentence("{target}: {reason}", target=target, reason=failed)) from None
    finally:
        await asking.gone


@implementer(IHandshakeListener)
class _Asking(Protocol):
    """Takes the certificates, and disconnects."""

    transport: Any

    def __init__(self) -> None:
        self.shown: Deferred[tuple[x509.Certificate, ...]] = Deferred(lambda _: self.transport.abortConnection())
        self.gone: Deferred[None] = Deferred()

    def handshakeCompleted(self) -> None:
        """See IHandshakeListener."""
        session: SSL.Connection = self.transport.getHandle()
        found = [readable(each) for each in session.get_peer_cert_chain() or ()]
        chain = tuple(each for each in found if each is not None)
        if chain and len(chain) == len(found):
            self.shown.callback(chain)
        else:
            self.shown.errback(Unhealthy("its certificate cannot be read"))
        self.transport.abortConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if not self.shown.called:
            self.shown.errback(Unhealthy("it does not speak TLS"))
        self.gone.callback(None)
