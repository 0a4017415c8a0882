"""An egress socket: a unix socket on which a program asks by HTTP CONNECT to be connected to a host and port. This
module reads the request and sends the answer; `on_request` decides where it leads."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

from twisted.internet.abstract import FileDescriptor
from twisted.internet.defer import Deferred

from gotunnel.address import HostPort
from gotunnel.core.outcome import WORDS, Outcome
from gotunnel.core.stream import StreamEnd
from gotunnel.errors import RemoteProtocolError, Sentence, printable
from gotunnel.interfaces import ILocal, IRelay
from gotunnel.logs import Logger
from gotunnel.net.descriptors import Gate
from gotunnel.net.unixlisten import UnixListener
from gotunnel.net.warnings import Warnings
from gotunnel.wire.connectproxy import LIMIT, OK, parse, refusal

__all__ = ["EgressPort", "EgressRequest"]

PATIENCE = 10.0
"""Seconds within which a request must be complete."""
SOURCE = "egress"
"""Used in place of a visitor's address, which a unix socket does not have."""
WAITING = 128
"""Connections whose request may be incomplete; the oldest is closed for one more. kube-apiserver sends it at once."""
_END = b"\r\n\r\n"

_STATUS = {
    Outcome.DIAL_TIMEOUT: (504, "the target did not answer in time"),
    Outcome.NO_LEG: (504, "the client that leads there is away, or brought no leg in time"),
    Outcome.DENIED: (502, "the client that leads there may not do so any more, or has reached its limit of visitors"),
}
_CODES = {
    "refused": (502, "connection refused"),
    "unreachable": (502, "no route to it"),
    "timeout": (504, "the target did not answer in time"),
    "unknown_host": (502, "the name does not resolve where it is dialled"),
    "not_allowed": (502, "it is not allowed, or no client announces it"),
    "unknown_node": (502, "no client announces it"),
    "unknown_mapping": (502, "the client does not lead there (its `nodes`)"),
    "mapping_down": (502, "the target of that mapping is down"),
    "limit": (502, "the limit of visitors is reached"),
    "no_fds": (502, "out of file descriptors"),
    "failed": (502, "it cannot be connected to"),
    "going_away": (502, "the server or the client is about to stop"),
    # For a visitor that the server leads on to another client, the code is its outcome there.
    **{WORDS[outcome]: said for outcome, said in _STATUS.items()},
}


class EgressRequest:
    """One request whose header has been read, and nothing behind it. Call `accept` and then `established` or `ended`;
    or call `refuse`."""

    def __init__(self, sock: socket.socket, target: HostPort) -> None:
        self.target = target
        self._sock = sock
        self._answer: socket.socket | None = None

    def accept(self, relay: IRelay) -> ILocal | None:
        """Return the connection, taken over by a relay; the answer is still to be sent. If no descriptor is free, send
        an error and return None."""
        try:
            # A duplicate descriptor, because the relay may close its own before our answer.
            self._answer = self._sock.dup()
            local: ILocal = relay.take(self._sock, SOURCE, "")
        except OSError:
            if self._answer is None:
                self._answer = self._sock
            status, words = _CODES["no_fds"]
            self._say(refusal(status, Sentence("{target}: {words}", target=self.target, words=words)))
            return None
        return local

    def established(self) -> None:
        """The target has answered: send OK, before the target's first byte and nothing more."""
        self._say(OK)

    def ended(self, outcome: Outcome, end: StreamEnd | None) -> None:
        """The stream has ended. If it never began, answer why."""
        if self._answer is not None:
            code = end.code if end is not None else None
            status, reason = _CODES.get(code or "") or _STATUS.get(outcome) or (502, code or WORDS[outcome])
            self._say(refusal(status, Sentence("{target}: {reason}", target=self.target, reason=reason)))

    def refuse(self, code: str, reason: str = "") -> None:
        """Answer that it leads nowhere, with `reason` or else the words for the code."""
        self._answer = self._sock
        status, words = _CODES.get(code, (502, code))
        self._say(refusal(status, Sentence("{target}: {reason}", target=self.target, reason=reason or words)))

    def _say(self, words: bytes) -> None:
        answer, self._answer = self._answer, None
        if answer is not None:
            try:
                answer.send(words)  # some hundred bytes into an empty buffer: sent in full or, if it has closed, not
            except OSError:
                pass  # the program has closed the connection, and the stream will report that
            answer.close()


class EgressPort:
    """Listens on a unix socket with `mode`. `on_request` gets each EgressRequest. Raises PortUnavailable."""

    log = Logger()

    def __init__(
        self, reactor: Any, path: str, mode: int, on_request: Callable[[EgressRequest], None], gate: Gate
    ) -> None:
        self._reactor = reactor
        self._on_request = on_request
        self._readers: dict[_Reader, None] = {}
        self._warnings = Warnings(self.log, reactor)
        self._listener = UnixListener(reactor, path, mode, self._accepted, gate)

    def stopListening(self) -> Deferred[None]:
        """Stop listening, and close connections whose request is incomplete."""
        for reader in tuple(self._readers):
            reader.close()
        return self._listener.stopListening()

    def _accepted(self, sock: socket.socket) -> None:
        if len(self._readers) >= WAITING:
            next(iter(self._readers)).close()
        self._readers[_Reader(self._reactor, sock, self._read, self._gone)] = None

    def _gone(self, reader: _Reader) -> None:
        self._readers.pop(reader, None)

    def _read(self, sock: socket.socket, header: bytes) -> None:
        try:
            target = parse(header)
        except RemoteProtocolError as breach:
            reason = printable(breach.reason, 256)
            self._warnings.warn("request", "a request on the egress socket is refused: {reason}", reason=reason)
            _refuse(sock, int(breach.code), breach.reason)
            return
        self._on_request(EgressRequest(sock, target))


class _Reader(FileDescriptor):
    """Reads a header and not one byte behind it, since that belongs to the stream: it peeks before it reads."""

    def __init__(
        self,
        reactor: Any,
        sock: socket.socket,
        on_header: Callable[[socket.socket, bytes], None],
        on_gone: Callable[[_Reader], None],
    ) -> None:
        super().__init__(reactor)
        self._sock: socket.socket | None = sock
        self._header = b""
        self._on_header = on_header
        self._on_gone = on_gone
        self._deadline = reactor.callLater(PATIENCE, self.close)
        self.startReading()

    def fileno(self) -> int:
        """Return the descriptor for the reactor; -1 once the connection is passed on or closed."""
        return -1 if self._sock is None else self._sock.fileno()

    def doRead(self) -> None:
        """Read more of the header, and pass it on when complete."""
        sock = self._sock
        if sock is None:
            return
        try:
            seen = sock.recv(LIMIT, socket.MSG_PEEK)
        except BlockingIOError:
            return
        except OSError:
            seen = b""
        if not seen:
            self.close()
            return
        have = len(self._header)
        found = (self._header + seen).find(_END, max(0, have - len(_END)))
        take = len(seen) if found < 0 else found + len(_END) - have
        self._header += sock.recv(take)
        if len(self._header) > LIMIT:
            _refuse(self._leave(), 431, Sentence("the header is longer than {limit} bytes", limit=LIMIT))
        elif found < 0 and b"\n\n" in self._header:
            _refuse(self._leave(), 400, "the lines of the header do not end with CR and LF")
        elif found >= 0:
            header = self._header
            self._on_header(self._leave(), header)

    def close(self) -> None:
        """Close the connection without an answer."""
        if self._sock is not None:
            self._leave().close()

    def connectionLost(self, reason: Any) -> None:
        """Close when the reactor stops."""
        self.close()

    def logPrefix(self) -> str:
        """Return the name for Twisted's log."""
        return "egress request"

    def _leave(self) -> socket.socket:
        sock, self._sock = self._sock, None
        assert sock is not None
        self.reactor.removeReader(self)
        if self._deadline.active():
            self._deadline.cancel()
        self._on_gone(self)
        return sock


def _refuse(sock: socket.socket, status: int, reason: str) -> None:
    try:
        sock.send(refusal(status, reason))
    except OSError:
        pass  # the program has closed the connection
    sock.close()
