"""The built-in probes of targets: connect, or send an HTTP request. `health` decides when to probe. A target that
expects the PROXY protocol gets the header of a connection without a visitor."""

from __future__ import annotations

import re
from typing import Any

from OpenSSL import SSL
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.protocol import Protocol, connectionDone
from twisted.protocols.tls import TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from zope.interface import implementer

from gotunnel import __version__
from gotunnel.address import Address, HostPort, UnixPath
from gotunnel.config.health import HttpOptions
from gotunnel.config.model import MappingConfig
from gotunnel.errors import GotunnelError, Sentence
from gotunnel.interfaces import IHealthCheck
from gotunnel.net.beginning import Beginning
from gotunnel.net.plugged import found
from gotunnel.net.quiet import OneProtocol
from gotunnel.net.reasons import words_of
from gotunnel.net.target import dial_failed, target_endpoint
from gotunnel.net.tls import target_creator
from gotunnel.wire.proxyheader import proxy_header_of_nobody

__all__ = ["HttpCheck", "TcpCheck", "Unhealthy", "check_for"]

BAD_REQUEST = 400
"""The status with which an HTTP server rejects the header of a protocol that it does not expect."""
MOST_HEAD = 16 * 1024
"""Maximum bytes of an answer's head, including interim answers (1xx)."""

_STATUS = re.compile(rb"HTTP/1\.[01] ([1-5][0-9]{2})(?: [^\r\n]*)?\r\n")
_BEGIN = b"HTTP/1."


class Unhealthy(GotunnelError):
    """The target was reached but did not answer as expected; the text says how."""


def check_for(reactor: Any, mapping: MappingConfig) -> IHealthCheck:
    """Return the check for a mapping with `health`. Raises GotunnelError."""
    health = mapping.health
    assert health is not None
    options = health if health.options is None else health.options
    check: IHealthCheck = found("health", health.type).make(reactor, mapping.local, options, health.timeout)
    if mapping.proxy_protocol != "off" and isinstance(check, (TcpCheck, HttpCheck)):
        check.begin_with(proxy_header_of_nobody(mapping.proxy_protocol))
    return check


@implementer(IHealthCheck)
class TcpCheck:
    """The target is up if it accepts a connection, which is then closed in order at once."""

    def __init__(self, reactor: Any, target: Address, options: object, timeout: float) -> None:
        self._target = target
        self._endpoint = Beginning(target_endpoint(reactor, target, timeout))

    def begin_with(self, header: bytes) -> None:
        """Send this first on each connection."""
        self._endpoint.begins = header

    def probe(self) -> Deferred[None]:
        """See IHealthCheck."""
        connecting: Deferred[Any] = self._endpoint.connect(OneProtocol(Protocol))
        connecting.addErrback(dial_failed, self._target)
        return connecting.addCallback(lambda protocol: protocol.transport.loseConnection())


@implementer(IHealthCheck)
class HttpCheck:
    """The target is up if it answers a GET with an expected status, in HTTP/1.1 or 1.0.

    Twisted's Agent is not used: it does not limit the head of an answer, and only its first line matters here. Raises
    TlsFilesError.
    """

    def __init__(self, reactor: Any, target: Address, health: HttpOptions, timeout: float) -> None:
        self._target = target
        self._health = health
        self._endpoint: Any
        self._endpoint = self._below_tls = Beginning(target_endpoint(reactor, target, timeout))
        if health.tls is not None:
            name = health.certificate_name("localhost" if isinstance(target, UnixPath) else target.host)
            creator = target_creator(health.tls.ca, name, health.tls.verify)
            from twisted.internet.endpoints import wrapClientTLS  # imported late: it costs half a MiB

            self._endpoint = wrapClientTLS(creator, self._endpoint)
        self._request = (
            f"GET {health.path} HTTP/1.1\r\nHost: {health.host or _host(target, health.tls is not None)}\r\n"
            f"User-Agent: gotunnel/{__version__}\r\nAccept: */*\r\nConnection: close\r\n\r\n"
        ).encode("ascii")

    def begin_with(self, header: bytes) -> None:
        """Send this first on each connection."""
        self._below_tls.begins = header

    def probe(self) -> Deferred[None]:
        """See IHealthCheck."""
        exchange = _Exchange(self._request)
        connecting: Deferred[Any] = self._endpoint.connect(OneProtocol(lambda: exchange))
        connecting.addErrback(dial_failed, self._target)
        return connecting.addCallback(lambda _: exchange.answered).addCallback(self._judge)

    def _judge(self, status: int) -> None:
        if not self._health.expects(status):
            if status == BAD_REQUEST and self._below_tls.begins:
                raise Unhealthy("it answers with status 400: perhaps it does not expect the PROXY protocol")
            raise Unhealthy(Sentence(
                "it answers with status {status} instead of {status2}",
                status=status, status2=', '.join(self._health.status),
            ))


class _Exchange(Protocol):
    """One request and the head of its answer. `answered` fires with the status; cancelling it aborts the connection."""

    transport: Any

    def __init__(self, request: bytes) -> None:
        self.answered: Deferred[int] = Deferred(self._given_up)
        self._request = request
        self._head = b""
        self._read = 0
        self._over = False

    def connectionMade(self) -> None:
        self.transport.write(self._request)

    def dataReceived(self, data: bytes) -> None:
        if self._over:
            return
        self._head += data
        self._read += len(data)
        while (end := self._head.find(b"\r\n\r\n")) >= 0:
            found = _STATUS.match(self._head)
            if found is None:
                break
            if not found[1].startswith(b"1"):
                self._finish(int(found[1]))
                return
            self._head = self._head[end + 4 :]
        if end >= 0 or not self._head.startswith(_BEGIN[: len(self._head)]):
            self._finish(Failure(Unhealthy("its answer is not HTTP/1.1")))
        elif self._read > MOST_HEAD:
            self._finish(Failure(Unhealthy(Sentence(
                "the head of its answer is longer than {most_head} bytes", most_head=MOST_HEAD
            ))))

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if not self._over:
            self._over = True
            self.answered.errback(Unhealthy(_why(reason)))

    def _given_up(self, _: object) -> None:
        self._over = True
        self.transport.abortConnection()

    def _finish(self, result: int | Failure) -> None:
        self._over = True
        # TLS closes in order only if the other end cooperates.
        secured = isinstance(self.transport, TLSMemoryBIOProtocol)
        (self.transport.abortConnection if secured else self.transport.loseConnection)()
        self.answered.callback(result)


def _host(target: Address, tls: bool) -> str:
    if isinstance(target, UnixPath):
        return "localhost"
    address = HostPort(target.host.partition("%")[0], target.port)
    return str(address).removesuffix(":443" if tls else ":80")


def _why(reason: Failure) -> str:
    problem = reason.value
    if isinstance(problem, SSL.Error):
        said = problem.args[0][-1][-1] if problem.args and problem.args[0] else "it broke off"
        return Sentence("no TLS with it: {said}", said=said)
    if isinstance(problem, (ConnectionDone, ConnectionLost)):
        return "it closed the connection ahead of an answer"
    return words_of(problem)
