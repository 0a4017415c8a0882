"""Connects through an HTTP proxy with CONNECT (RFC 9110, 9.3.6). h11, which wsproto depends on, handles HTTP."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import h11
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectError
from twisted.internet.interfaces import IProtocol, IProtocolFactory, IStreamClientEndpoint
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from gotunnel.address import HostPort
from gotunnel.config.secretfile import Refused, one_line, secret_file
from gotunnel.config.stamps import stamp
from gotunnel.errors import GotunnelError, Sentence, printable
from gotunnel.logs import Logger
from gotunnel.net.quiet import OneProtocol
from gotunnel.net.transports import hand_over

__all__ = ["Login", "ProxiedEndpoint", "read_login"]

MOST_LOGIN = 4096
"""Maximum bytes of a file with a login."""


def read_login(path: Path) -> bytes:
    """Return the value for Proxy-Authorization, from a file with `user:password` that nobody else may read. Raises
    GotunnelError."""
    try:
        text = one_line(secret_file(path, MOST_LOGIN), MOST_LOGIN, "utf-8")
    except Refused as refused:
        raise GotunnelError(Sentence("the login of the proxy in {line}", line=refused.line)) from None
    if ":" not in text:
        raise GotunnelError(Sentence(
            "the login of the proxy in {path} is not user:password on one line", path=printable(path, 400)
        ))
    return b"Basic " + base64.b64encode(text.encode())


class Login:
    """The content of the `proxy_login` file, read again when it has changed. Making it raises GotunnelError for a bad
    file; later, a bad file is logged and the earlier content stays in use."""

    log = Logger()

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen = stamp(path)
        self._header = read_login(path)

    def now(self) -> bytes:
        """Return the value for Proxy-Authorization."""
        found = stamp(self._path)
        if found != self._seen:
            self._seen = found
            try:
                self._header = read_login(self._path)
            except GotunnelError as refused:
                self.log.warn(
                    "{problem}; connections go on using the former login",
                    problem=str(refused),
                )  # fmt: skip
            else:
                self.log.info("the login of the proxy was read again: {path}", path=printable(self._path, 400))
        return self._header


@implementer(IStreamClientEndpoint)
class ProxiedEndpoint:
    """Connects to `address` through the proxy that `below` connects to. The proxy has `timeout` seconds to answer."""

    def __init__(
        self, reactor: Any, below: IStreamClientEndpoint, proxy: HostPort, address: HostPort, login: bytes | None,
        timeout: float,
    ) -> None:  # fmt: skip
        self._reactor, self._below, self._proxy, self._timeout = reactor, below, proxy, timeout
        target = str(address).encode("ascii")
        headers = [(b"Host", target), *([] if login is None else [(b"Proxy-Authorization", login)])]
        self._request = h11.Request(method="CONNECT", target=target, headers=headers)

    def connect(self, factory: IProtocolFactory) -> Deferred[IProtocol]:
        """See IStreamClientEndpoint."""
        asking = _Asking(self._reactor, self._proxy, self._request, factory, self._timeout)
        connecting = self._below.connect(OneProtocol(lambda: asking))
        asking.below(connecting)
        connecting.addErrback(asking.fail)
        return asking.done


class _Asking(Protocol):
    """The connection to the proxy, until the proxy has connected it to the target."""

    transport: Any

    def __init__(
        self, clock: Any, proxy: HostPort, request: h11.Request, factory: IProtocolFactory, timeout: float
    ) -> None:
        self.done: Deferred[IProtocol] = Deferred(lambda _: self._give_up())
        self._clock, self._proxy, self._request, self._factory = clock, proxy, request, factory
        self._timeout = timeout
        self._http = h11.Connection(h11.CLIENT)
        self._late: Any = None
        self._connecting: Deferred[Any]

    def below(self, connecting: Deferred[Any]) -> None:
        """Remember the attempt in progress below."""
        self._connecting = connecting

    def connectionMade(self) -> None:
        """Send the CONNECT request."""
        self._late = self._clock.callLater(self._timeout, self._refuse, "no answer in time")
        self.transport.write(self._http.send(self._request))

    def dataReceived(self, data: bytes) -> None:
        """Read the answer. Bytes behind it belong to the protocol that takes over."""
        try:
            self._http.receive_data(data)
            event = self._http.next_event()
            while isinstance(event, h11.InformationalResponse):
                event = self._http.next_event()
        except h11.RemoteProtocolError:
            self._refuse("what answers there does not speak HTTP")
            return
        if event is h11.NEED_DATA:
            return
        if not isinstance(event, h11.Response):
            self._refuse("it closed the connection")
        elif event.status_code == 407:
            given = any(name == b"proxy-authorization" for name, _ in self._request.headers)
            self._refuse(
                "it does not take the login of proxy_login; correct that file" if given
                else "it wants a login; name a file with user:password as proxy_login"
            )
        elif not 200 <= event.status_code < 300:
            self._refuse(Sentence("HTTP status {status_code}", status_code=event.status_code))
        else:
            self._lead_on()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The connection was lost before the answer."""
        self._decided()
        self.fail(Failure(ConnectError(None, Sentence(
            "the proxy {proxy}: it closed the connection", proxy=self._proxy
        ))))

    def fail(self, failure: Failure) -> None:
        """Fail the attempt, unless it is decided already."""
        if not self.done.called:
            self.done.errback(failure)

    def _lead_on(self) -> None:
        self._decided()
        protocol = self._factory.buildProtocol(self.transport.getPeer())
        if protocol is None:
            self._refuse("not wanted any more")
            return
        hand_over(self.transport, protocol, self._http.trailing_data[0])
        if not self.done.called:
            self.done.callback(protocol)

    def _refuse(self, reason: str) -> None:
        self._decided()
        self.transport.abortConnection()
        self.fail(Failure(ConnectError(None, Sentence(
            "the proxy {proxy}: {reason}", proxy=self._proxy, reason=reason
        ))))

    def _give_up(self) -> None:
        self._decided()
        if self.transport is None:
            self._connecting.cancel()
        else:
            self.transport.abortConnection()
            self.fail(Failure(CancelledError()))

    def _decided(self) -> None:
        if self._late is not None and self._late.active():
            self._late.cancel()
