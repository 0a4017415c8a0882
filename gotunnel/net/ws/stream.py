"""One WebSocket as a stream of bytes: what both ends do once it is up, and how it comes up with the words of HTTP. The
protocol itself is wsproto's (RFC 6455)."""

from __future__ import annotations

from typing import Any

import h11
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from wsproto import ConnectionType, WSConnection
from wsproto.connection import Connection, ConnectionState
from wsproto.events import BytesMessage, CloseConnection, Event, Ping, TextMessage
from wsproto.utilities import ProtocolError

from gotunnel.net.carried import Carried
from gotunnel.net.sockets import set_keepalive, set_nodelay
from gotunnel.net.transports import raw_socket, tcp_transport, unsent_bytes

__all__ = ["PIECE", "WsStream"]

PIECE = 65536
"""Bytes in one message at most, so that the other end need not hold more."""
LINGER = 10.0
"""Seconds that the other end may take to read what is left, without any progress, or to end its TLS."""
UNREAD = 4096
"""Bytes that it has not read, above which its pings are not answered."""
MOST_UNREAD = 2 << 20
"""Bytes that it has not read, above which it is cut when that is seen. What is carried waits long before; but TLS
answers by itself whoever wants new keys on and on."""
LOOK = 25.0
"""Seconds between two looks whether somebody is still there, where no pings are sent."""
_UNSUPPORTED, _WRONG, _ENDED = 1003, 1002, 1000
"""Close codes of RFC 6455, 7.4.1."""


class WsStream(Protocol):
    """One end. A subclass says what happens until it is up, in `_before`, and then calls `_carry`.

    Every `ping` seconds (0: never) it sends a ping, so that what is between the two ends does not take silence for
    death. As often, or without pings now and then, it looks whether one is still there who reads nothing.
    """

    transport: Any

    def __init__(self, kind: ConnectionType, clock: Any, ping: float) -> None:
        self._socket: WSConnection | Connection = WSConnection(kind)
        self._clock = clock
        self._ping = ping
        self._pinging: IDelayedCall | None = None
        self._carried: Carried | None = None
        self._gone = False
        self._lingering: IDelayedCall | None = None
        self._left = 0

    def connectionMade(self) -> None:
        """The network's connection is there."""
        sock = raw_socket(self.transport)
        set_nodelay(sock)
        set_keepalive(sock)

    def dataReceived(self, data: bytes) -> None:
        """Bytes of the network. Those behind the end are nobody's."""
        if self._gone:
            return
        try:
            self._socket.receive_data(data)
            for event in self._socket.events():
                self._event(event)
        except (ProtocolError, h11.ProtocolError, UnicodeError) as breach:  # the last one: wsproto decodes headers
            self._breach(breach)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """It is over."""
        self._leave()
        if self._lingering is not None:
            self._lingering.cancel()
            self._lingering = None
        if self._carried is not None:
            self._carried.lost()
        # All parts of it know each other, and live until Python looks for such rings; what strangers have said does not
        # have to wait for that.
        del self._socket

    # Called by what is carried.

    def send(self, data: bytes) -> None:
        """See Outer."""
        if self._gone:
            return
        for start in range(0, len(data), PIECE):
            self.transport.write(self._socket.send(BytesMessage(data[start : start + PIECE])))

    def finish(self) -> None:
        """See Outer."""
        if not self._gone:
            self._close(_ENDED)

    # For the subclasses.

    def _before(self, event: Event) -> None:
        """What came before it is up. May raise ProtocolError."""
        raise NotImplementedError

    def _breach(self, breach: Exception) -> None:
        """The other end broke the rules of WebSocket or HTTP."""
        if self._carried is None:
            self._leave()
            self.transport.abortConnection()
        else:
            self._close(_WRONG)
            self._carried.lost()

    def _carry(self, carried: Carried) -> None:
        """It is up; from now on it carries this."""
        self._carried = carried
        up = self._socket.connection if isinstance(self._socket, WSConnection) else None
        assert up is not None
        self._socket = up  # HTTP, and what was said behind it, is needed no more
        self._plan_ping()

    def _leave(self) -> None:
        self._gone = True
        if self._pinging is not None:
            self._pinging.cancel()
            self._pinging = None

    def _event(self, event: Event) -> None:
        carried = self._carried
        if self._gone:
            return
        if isinstance(event, Ping):
            if unsent_bytes(self.transport) > UNREAD:
                return  # he does not read; RFC 6455, 5.5.3 lets us answer the last one only
            self.transport.write(self._socket.send(event.response()))
        elif carried is None:
            self._before(event)
        elif isinstance(event, BytesMessage):
            carried.received(bytes(event.data))
        elif isinstance(event, CloseConnection):
            self._answer_close(event)
            carried.lost()
        elif isinstance(event, TextMessage):
            self._close(_UNSUPPORTED)
            carried.lost()

    def _answer_close(self, event: CloseConnection) -> None:
        self._leave()
        if self._socket.state is ConnectionState.REMOTE_CLOSING:
            self.transport.write(self._socket.send(event.response()))
        self._part()

    def _close(self, code: int) -> None:
        """Say so, and close behind it; nobody waits for the answer."""
        self._leave()
        if self._socket.state in (ConnectionState.OPEN, ConnectionState.REMOTE_CLOSING):
            self.transport.write(self._socket.send(CloseConnection(code)))
        self._part()

    def _part(self) -> None:
        """Close in order, but do not wait for ever: not for who does not read, nor for who does not end TLS."""
        self.transport.loseConnection()
        if self._lingering is None and self.transport.connected:
            self._left = unsent_bytes(self.transport)
            self._lingering = self._clock.callLater(LINGER, self._linger)

    def _linger(self) -> None:
        self._lingering = None
        left = unsent_bytes(self.transport)
        if left and left == self._left:
            self.transport.abortConnection()
            return
        if not left:
            tcp_transport(self.transport).loseConnection()
        self._left = left
        self._lingering = self._clock.callLater(LINGER, self._linger)

    def _plan_ping(self) -> None:
        if not self._gone:
            self._pinging = self._clock.callLater(self._ping or LOOK, self._send_ping)

    def _send_ping(self) -> None:
        self._pinging = None
        left, before = unsent_bytes(self.transport), self._left
        self._left = left
        if left > MOST_UNREAD:
            self.transport.abortConnection()
            return
        if left and left == before and self._carried is not None and self._carried.hung_up():
            self.transport.abortConnection()
            return
        if self._ping and left <= UNREAD:
            self.transport.write(self._socket.send(Ping()))
        self._plan_ping()
