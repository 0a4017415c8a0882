"""A listening TCP port on Twisted's transports that stops accepting while descriptors run short. Twisted's own port
would accept and close each connection, and log a line for each."""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet import tcp
from twisted.internet.protocol import ServerFactory
from twisted.python.failure import Failure

from gotunnel.logs import Logger
from gotunnel.net.descriptors import OUT_OF_DESCRIPTORS, Gate
from gotunnel.net.sockets import linger_reset, spare_pacing_at

__all__ = ["GatedPort"]


class GatedPort(tcp.Port):
    """A TCP port. Up to `accepts_at_once` connections are accepted per event, so that existing ones are served in
    between. A connection for which the factory builds no protocol is reset at once."""

    logger = Logger()

    def __init__(
        self,
        port: int,
        factory: ServerFactory,
        backlog: int,
        host: str,
        reactor: Any,
        gate: Gate,
        accepts_at_once: int,
        listening: socket.socket | None = None,
    ) -> None:
        super().__init__(port, factory, backlog, host, reactor)
        self._builds = factory.buildProtocol
        self._gate = gate
        self._accepts_at_once = accepts_at_once
        if listening is not None:
            self.addressFamily = listening.family
            # A socket that already listens is passed on in the way of `adoptStreamPort`.
            self._preexistingSocket = listening

    def startListening(self) -> None:
        """Start to accept."""
        super().startListening()
        spare_pacing_at(self.socket, self.socket.getsockname()[0])
        self._gate.add(self)

    def stopListening(self, *reason: Any) -> Any:
        """Stop accepting, for good."""
        self._gate.remove(self)
        return super().stopListening(*reason)

    def pause(self) -> None:
        """Stop accepting; called by the gate."""
        self.stopReading()

    def go_on(self) -> None:
        """Accept again; called by the gate."""
        if self.connected and not self.disconnecting:
            self.startReading()

    def doRead(self) -> None:
        """Accept waiting connections; called by the reactor."""
        for _ in range(self._accepts_at_once):
            if self._gate.short or self.disconnecting:
                return
            try:
                sock, address = self.socket.accept()
            except BlockingIOError:
                return
            except OSError as failed:
                if failed.errno in OUT_OF_DESCRIPTORS:
                    self._gate.stop()
                    return
                continue  # it disconnected while it waited in the queue
            fd = sock.fileno()
            self._welcome(sock, address)
            self._gate.accepted(fd)

    def _welcome(self, sock: socket.socket, address: Any) -> None:
        transport: Any = None
        try:
            protocol = self._builds(self._buildAddr(address))
            if protocol is None:
                linger_reset(sock)
                sock.close()
                return
            self.sessionno += 1
            transport = self.transport(sock, protocol, address, self, self.sessionno, self.reactor)
            protocol.makeConnection(transport)
        except Exception:  # noqa: BLE001 - a bug must not close the port
            self.logger.failure("accepting a connection failed: a bug", Failure())
            if transport is None:
                sock.close()
            else:
                transport.abortConnection()  # this notifies the protocol, which may be registered somewhere by now
