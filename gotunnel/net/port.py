"""A listening TCP port on Twisted's transports that stops accepting while descriptors run short. Twisted's own one
would accept and close whoever comes, with a line for each."""

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
    """`accepts_at_once` connections are accepted for each event, so that those that are there are read in between. A
    connection for which the factory builds no protocol is reset at once."""

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
            # A socket that listens already is handed over as in `adoptStreamPort`.
            self._preexistingSocket = listening

    def startListening(self) -> None:
        """Accept from now on."""
        super().startListening()
        spare_pacing_at(self.socket, self.socket.getsockname()[0])
        self._gate.add(self)

    def stopListening(self, *reason: Any) -> Any:
        """Accept nobody any more."""
        self._gate.remove(self)
        return super().stopListening(*reason)

    def pause(self) -> None:
        """Called by the gate."""
        self.stopReading()

    def go_on(self) -> None:
        """Called by the gate."""
        if self.connected and not self.disconnecting:
            self.startReading()

    def doRead(self) -> None:
        """Called by the reactor when somebody is waiting."""
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
                continue  # he left while he waited in the queue
            fd = sock.fileno()
            try:
                self._welcome(sock, address)
            except Exception:  # noqa: BLE001 - a bug must not close the port
                self.logger.failure("accepting a connection failed: a bug", Failure())
                sock.close()
            self._gate.accepted(fd)

    def _welcome(self, sock: socket.socket, address: Any) -> None:
        protocol = self._builds(self._buildAddr(address))
        if protocol is None:
            linger_reset(sock)
            sock.close()
            return
        self.sessionno += 1
        protocol.makeConnection(self.transport(sock, protocol, address, self, self.sessionno, self.reactor))
