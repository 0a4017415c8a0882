"""Finds out whether a target speaks TLS from its first byte: makes one handshake and closes it in order. Others decide
when to ask, and what to do with the answer."""

from __future__ import annotations

import re
import socket
import ssl
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IHandshakeListener
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from gotunnel.address import Address, HostPort
from gotunnel.errors import DialFailed, Sentence
from gotunnel.net.beginning import Beginning
from gotunnel.net.biotls import BioTls
from gotunnel.net.quiet import OneProtocol
from gotunnel.net.target import dial_failed, target_endpoint
from gotunnel.net.trust import server_name_of

__all__ = ["ask_for_tls", "ask_on"]

SECONDS = 3.0
"""Seconds for the connect, and again for the answer."""
_ENCIPHERED = re.compile(rb"\x16\x03...\x02|\x15\x03|SSH-", re.DOTALL)
"""How a ServerHello, an alert (RFC 8446, 5.1 and 4) or SSH begins. A target that refuses our TLS in TLS speaks TLS."""
_ENOUGH = 6


def ask_for_tls(clock: Any, target: Address, begins: bytes = b"") -> Deferred[str | None]:
    """Connect to a target, send `begins`, and begin TLS. Fires with None if it speaks TLS, or SSH, which is encrypted
    as well; otherwise with a description of what it does. Fails with DialFailed if the target cannot be reached.
    Cancelling gives up."""
    asking = _Asking(clock, target.host if isinstance(target, HostPort) else None)
    endpoint = Beginning(target_endpoint(clock, target, SECONDS), begins)
    connecting: Deferred[Any] = endpoint.connect(OneProtocol(lambda: asking.session))
    connecting.addErrback(dial_failed, target)
    return connecting.addCallback(lambda _: asking.answer)


def ask_on(reactor: Any, sock: socket.socket, host: str | None) -> Deferred[str | None]:
    """The same on a unix socket that something else connects to a target, with the name `host` if it has one. Takes
    over the socket. Raises DialFailed."""
    asking = _Asking(reactor, host)
    try:
        reactor.adoptStreamConnection(sock.fileno(), socket.AF_UNIX, OneProtocol(lambda: asking.session))
    except OSError as failed:
        raise DialFailed("no_fds", Sentence("no pair of sockets: {failed}", failed=failed)) from None
    finally:
        sock.close()  # the reactor has duplicated the descriptor
    return asking.answer


class _Session(BioTls):
    """Remembers the first bytes of the answer."""

    begins = b""

    def dataReceived(self, data: bytes) -> None:
        if len(self.begins) < _ENOUGH:
            self.begins += data[:_ENOUGH]
        super().dataReceived(data)


@implementer(IHandshakeListener)
class _Asking(Protocol):
    """One probe. `answer` fires with None or a description; `session` is the protocol to connect."""

    def __init__(self, clock: Any, host: str | None) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        name = None if host is None else server_name_of(host)
        self.session = _Session(context, self, server_side=False, server_name=name)
        self.answer: Deferred[str | None] = Deferred(lambda _: self._leave())
        self._clock = clock
        self._timer: IDelayedCall | None = None
        self._over = False

    def connectionMade(self) -> None:
        self._timer = self._clock.callLater(SECONDS, self._late)

    def handshakeCompleted(self) -> None:
        """The target speaks TLS: close in order, like any client, without waiting for the target."""
        self.session.loseConnection()
        self._say(None)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        begins = self.session.begins
        if _ENCIPHERED.match(begins):
            self._say(None)
        else:
            self._say("it answers in clear" if begins else "it closes the connection when it is greeted with TLS")

    def _late(self) -> None:
        self._timer = None
        begins = self.session.begins
        self.session.abortConnection()
        self._say(None if _ENCIPHERED.match(begins) else Sentence(
            "no answer in TLS within {seconds:g} s", seconds=SECONDS
        ))

    def _say(self, words: str | None) -> None:
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()
        if not self._over:
            self._over = True
            self.answer.callback(words)

    def _leave(self) -> None:
        self._over = True
        self._say(None)
        self.session.abortConnection()
