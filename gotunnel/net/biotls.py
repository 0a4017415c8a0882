"""TLS for legs on the standard library's `ssl` with memory BIOs, as a transport for a leg's first exchange. Whatever
takes over the leg then uses the session and the BIOs directly. Control connections need the TLS exporter, which `ssl`
lacks, so they use Twisted's TLS."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IHandshakeListener
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure

from gotunnel.errors import RemoteProtocolError, Sentence

__all__ = ["BioTls"]

READ = 65536


class BioTls(Protocol):
    """The protocol of a TCP transport, and the transport of `wrapped`, during a leg's handshake.

    `verify(session)` is called after the TLS handshake and may raise RemoteProtocolError. Then `wrapped` never sends,
    and the other end does not get our certificate either. `chain_problem(code)` explains OpenSSL's verdict on the other
    end's chain.
    """

    transport: Any

    def __init__(
        self,
        context: ssl.SSLContext,
        wrapped: Protocol,
        *,
        server_side: bool,
        server_name: str | None = None,
        verify: Callable[[ssl.SSLObject], None] | None = None,
        chain_problem: Callable[[int], str] | None = None,
    ) -> None:
        self.incoming = ssl.MemoryBIO()
        self.outgoing = ssl.MemoryBIO()
        # As bytes: text would load the codec for non-ASCII names, which costs an idle process memory.
        sent = None if server_name is None else server_name.encode("ascii")
        self.session = context.wrap_bio(self.incoming, self.outgoing, server_side, sent)
        self.taken = False
        """Whether the session has been taken over: nothing more is read for `wrapped`."""
        self._wrapped = wrapped
        self._verify = verify
        self._chain_problem = chain_problem
        self._up = False
        self._early: list[bytes] = []  # written before the handshake has ended
        self._closing = False
        self._broken: str | None = None

    # Called by the TCP transport.

    def connectionMade(self) -> None:
        """Start the handshake; a client sends first."""
        self._wrapped.makeConnection(self)
        self._go_on()

    def dataReceived(self, data: bytes) -> None:
        """Take TLS records."""
        self.incoming.write(data)
        self._go_on()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Tell `wrapped`, in TLS's own words if TLS failed."""
        if not self.taken:
            wrapped = self._wrapped
            del self._wrapped
            if self._broken is not None:
                reason = Failure(RemoteProtocolError(self._broken, "tls"))
            wrapped.connectionLost(reason)

    def take(self) -> None:
        """Hand the session and the BIOs over to the caller. This drops `wrapped`: otherwise the two would keep each
        other, and TLS's memory, until the next garbage collection, long after the leg has ended."""
        self.taken = True
        del self._wrapped

    # Called by `wrapped`.

    def write(self, data: bytes) -> None:
        """Send, or keep until the handshake has ended."""
        if self._up:
            self.session.write(data)
            self._flush()
        else:
            self._early.append(data)

    def loseConnection(self) -> None:
        """Close after what was written."""
        self._closing = True
        if self._up:
            try:
                self.session.unwrap()
            except ssl.SSLError:
                pass  # it wants the other end's close_notify, which nobody waits for
            self._flush()
        self.transport.loseConnection()

    def abortConnection(self) -> None:
        """Close at once."""
        self._closing = True
        self.transport.abortConnection()

    def getPeer(self) -> Any:
        """Return the other end's address."""
        return self.transport.getPeer()

    def getHost(self) -> Any:
        """Return our address."""
        return self.transport.getHost()

    def getHandle(self) -> Any:
        """Return the socket."""
        return self.transport.getHandle()

    def _go_on(self) -> None:
        try:
            if not self._up:
                self.session.do_handshake()
                self._up = True
                if self._verify is not None:
                    self._verify(self.session)
                for early in self._early:
                    self.session.write(early)
                self._flush()
                if IHandshakeListener.providedBy(self._wrapped):
                    self._wrapped.handshakeCompleted()
            while not self.taken and not self._closing:
                data = self.session.read(READ)
                if not data:
                    raise ssl.SSLZeroReturnError
                self._wrapped.dataReceived(data)
        except ssl.SSLWantReadError:
            self._flush()
        except ssl.SSLZeroReturnError:
            self.transport.loseConnection()
        except ssl.SSLCertVerificationError as bad:
            known = self._chain_problem
            said = bad.verify_message if known is None else known(bad.verify_code)
            self._break(Sentence("its certificate {said}", said=said))
        except ssl.SSLError as bad:
            self._break(Sentence("TLS: {said}", said=bad.reason or bad))
        except RemoteProtocolError as bad:
            self._broken = bad.reason
            self.transport.abortConnection()

    def _break(self, reason: str) -> None:
        self._broken = reason
        self._flush()  # the alert
        self.transport.loseConnection()

    def _flush(self) -> None:
        if self.outgoing.pending and not self.taken:
            self.transport.write(self.outgoing.read())
