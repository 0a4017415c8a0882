"""Asks a service one question in JSON over HTTP, with limits on size and time. The questions are defined elsewhere."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.client import URI, Agent, ResponseDone
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgentEndpointFactory, IBodyProducer
from zope.interface import implementer

from gotunnel import __version__
from gotunnel.errors import GotunnelError, RemoteProtocolError, Sentence
from gotunnel.net.quiet import OneProtocol
from gotunnel.net.reasons import words_of
from gotunnel.net.tls import TargetTls
from gotunnel.wire import strictjson

__all__ = ["Answer", "Asker", "NoAnswer"]

MOST_BODY = 64 * 1024
"""The longest answer body, in bytes."""
MOST_HEAD = 16 * 1024
"""Bytes allowed for the headers of an answer and for framing between its parts."""
MOST_DEPTH = 32
"""How deep objects and lists may nest in an answer. Those of kube-apiserver have a depth of 7."""
CONNECT_TIMEOUT = 5.0


class NoAnswer(GotunnelError):
    """The service gave no usable answer; the text says why."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer: the HTTP status, and its JSON object, or an empty one if the body is anything else."""

    status: int
    body: dict[str, Any]


@implementer(IBodyProducer)
class _Whole:
    """A question, short enough to be written at once."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self.length = len(body)

    def startProducing(self, consumer: Any) -> Deferred[None]:
        """Called by the agent."""
        consumer.write(self._body)
        return succeed(None)

    def pauseProducing(self) -> None:
        """Called by the agent; not needed."""

    def resumeProducing(self) -> None:
        """Likewise."""

    def stopProducing(self) -> None:
        """Likewise."""


class _Bounded(Protocol):
    """Passes data to one of Twisted's HTTP clients up to a total length.

    Twisted itself limits neither the headers of an answer nor the number of interim answers.
    """

    transport: Any

    def __init__(self, inner: Any) -> None:
        self.inner = inner
        self._left = MOST_HEAD + MOST_BODY
        self._over = False

    def connectionMade(self) -> None:
        self.inner.makeConnection(self.transport)

    def dataReceived(self, data: bytes) -> None:
        if self._over:
            return
        self._left -= len(data)
        if self._left < 0:
            self.transport.abortConnection()
            self.connectionLost(Failure(NoAnswer(f"its answer is longer than {MOST_BODY} bytes")))
        else:
            self.inner.dataReceived(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if not self._over:
            self._over = True
            self.inner.connectionLost(reason)


@implementer(IStreamClientEndpoint)
class _Endpoint:
    """Wraps the protocol of each connection in _Bounded."""

    def __init__(self, below: IStreamClientEndpoint) -> None:
        self._below = below

    def connect(self, factory: Any) -> Deferred[Any]:
        """Called by the agent."""
        connecting: Deferred[Any] = self._below.connect(OneProtocol(lambda: _Bounded(factory.buildProtocol(None))))
        return connecting.addCallback(lambda bounded: bounded.inner)


@implementer(IAgentEndpointFactory)
class _Endpoints:
    """Checks certificates against a file, or against those that the system trusts. Raises TlsFilesError."""

    def __init__(self, reactor: Any, tls: TargetTls, name: str) -> None:
        self._reactor, self._tls, self._name = reactor, tls, name
        tls.creator(name)  # so that errors are reported now

    def endpointForURI(self, uri: URI) -> _Endpoint:
        """Called by the agent."""
        below: Any = HostnameEndpoint(self._reactor, uri.host, uri.port, CONNECT_TIMEOUT)
        if uri.scheme == b"https":
            below = wrapClientTLS(self._tls.creator(self._name), below)
        return _Endpoint(below)


class Asker:
    """Asks one URL. A redirect is not followed, because the question contains a secret.

    Raises TlsFilesError if the file of certificates cannot be read.
    """

    def __init__(self, reactor: Any, url: str, ca: Path | None, keys: str) -> None:
        """`keys` is the configuration section that names the file."""
        self._url = url.encode("ascii")
        endpoints = _Endpoints(reactor, TargetTls(ca, keys), urlsplit(url).hostname or "localhost")
        self._agent = Agent.usingEndpointFactory(reactor, endpoints)

    async def ask(self, question: dict[str, Any], secret: str | None = None) -> Answer:
        """Post the question, with `secret` as a bearer token. Raises NoAnswer; cancelling gives up."""
        headers = Headers({
            "Content-Type": ["application/json"], "Accept": ["application/json"],
            "User-Agent": [f"gotunnel/{__version__}"],
        })  # fmt: skip
        if secret is not None:
            headers.setRawHeaders("Authorization", [" ".join(("Bearer", secret))])
        body = _Whole(json.dumps(question).encode("utf-8"))
        try:
            response = await self._agent.request(b"POST", self._url, headers, body)
            read = _Body()
            response.deliverBody(read)
            raw = await read.done
        except (NoAnswer, CancelledError):
            raise
        except Exception as error:  # noqa: BLE001 - Twisted has a dozen exceptions for a failed request
            raise NoAnswer(Sentence("it cannot be asked: {error}", error=_why(error))) from None
        try:
            # Parse strictly: with duplicate keys it would be unclear which value was meant.
            found = strictjson.loads(raw, MOST_DEPTH)
        except RemoteProtocolError:
            found = {}
        return Answer(int(response.code), found)


class _Body(Protocol):
    """Reads the body of an answer; `done` fires with it. Cancelling `done` aborts the connection."""

    transport: Any

    def __init__(self) -> None:
        self.done: Deferred[bytes] = Deferred(self._give_up)
        self._read = b""

    def dataReceived(self, data: bytes) -> None:
        self._read += data
        if len(self._read) > MOST_BODY and not self.done.called:
            self.done.errback(NoAnswer(Sentence(
                "its answer is longer than {most_body} bytes", most_body=MOST_BODY
            )))
            self._give_up(None)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self.done.called:
            return
        if reason.check(ResponseDone):
            self.done.callback(self._read)
        else:
            self.done.errback(NoAnswer("it broke off its answer"))

    def _give_up(self, _: object) -> None:
        (getattr(self.transport, "abortConnection", None) or self.transport.stopProducing)()


def _why(error: Exception) -> str:
    reasons = getattr(error, "reasons", None)  # a list collected by Twisted's HTTP client
    if reasons:
        return words_of(reasons[0].value)
    return words_of(error)
