"""One WebSocket as a stream of bytes: the part common to both ends, from the HTTP request to the close. wsproto
implements the protocol itself (RFC 6455)."""

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
"""Maximum bytes of one message, so that the other end need not buffer more."""
LINGER = 10.0
"""Seconds without progress that the other end may take to read the rest, or to end its TLS."""
UNREAD = 4096
"""Unsent bytes above which its pings are not answered."""
MOST_UNREAD = 2 << 20
"""Unsent bytes above which it is disconnected at the next check. Carried data stops long before that; but TLS answers
every request for new keys by itself."""
LOOK = 25.0
"""Seconds between two checks whether the other end is still there, if no pings are sent."""
_UNSUPPORTED, _WRONG, _ENDED = 1003, 1002, 1000
"""Close codes of RFC 6455, 7.4.1."""


class WsStream(Protocol):
    """One end. A subclass handles events in `_before` until the WebSocket is open, and then calls `_carry`.

    Every `ping` seconds (0: never) it sends a ping, so that devices on the path do not drop the connection for silence.
    At the same interval, or every LOOK seconds without pings, it checks for a peer that reads nothing and is gone.
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
        """Set up the network connection's socket."""
        sock = raw_socket(self.transport)
        set_nodelay(sock)
        set_keepalive(sock)

    def dataReceived(self, data: bytes) -> None:
        """Take bytes from the network. Those after the end are ignored."""
        if self._gone:
            return
        try:
            self._socket.receive_data(data)
            for event in self._socket.events():
                self._event(event)
        except (ProtocolError, h11.ProtocolError, UnicodeError) as breach:  # UnicodeError: wsproto decodes headers
            self._breach(breach)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The network connection has closed."""
        self._leave()
        if self._lingering is not None:
            self._lingering.cancel()
            self._lingering = None
        if self._carried is not None:
            self._carried.lost()
        # Its parts refer to each other, and would live until the next garbage collection with all that a stranger has
        # sent.
        del self._socket

    # Called by Carried.

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
        """Handle an event before the WebSocket is open. May raise ProtocolError."""
        raise NotImplementedError

    def _breach(self, breach: Exception) -> None:
        """Close, since the other end broke the rules of WebSocket or HTTP."""
        if self._carried is None:
            self._leave()
            self.transport.abortConnection()
        else:
            self._close(_WRONG)
            self._carried.lost()

    def _carry(self, carried: Carried) -> None:
        """The WebSocket is open: carry this connection from now on."""
        self._carried = carried
        up = self._socket.connection if isinstance(self._socket, WSConnection) else None
        assert up is not None
        self._socket = up  # drops the HTTP state
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
                return  # it does not read; RFC 6455, 5.5.3 allows to answer only the most recent ping
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
        """Send a close message and close. The answer is not awaited."""
        self._leave()
        if self._socket.state in (ConnectionState.OPEN, ConnectionState.REMOTE_CLOSING):
            self.transport.write(self._socket.send(CloseConnection(code)))
        self._part()

    def _part(self) -> None:
        """Close in order, but only wait LINGER seconds at a time for a peer that does not read or does not end TLS."""
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
