"""A fast leg on a Twisted TLS transport. It is used when the leg did not come over `net.biotls`: because a client uses
another TLS for its legs, or because it did not send the server name that marks them."""

from __future__ import annotations

from typing import Any

from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure

from gotunnel.errors import RemoteProtocolError
from gotunnel.net.fast.leg import FastLeg
from gotunnel.net.fast.poller import IN
from gotunnel.net.reasons import words_of
from gotunnel.net.sockets import is_gone, set_keepalive, set_nodelay
from gotunnel.net.transports import hand_over, is_closing, raw_socket, unsent_bytes
from gotunnel.wire.legstate import State

__all__ = ["BridgedLeg"]


class BridgedLeg(FastLeg):
    """See FastLeg. The leg's bytes go through Twisted; those of the local socket do not."""

    def _open_wire(self, transport: Any) -> None:
        self._holding = transport
        self._sock = raw_socket(transport)
        set_nodelay(self._sock)
        set_keepalive(self._sock, self._tools.watch.keepalive)
        self._wire_gone = False
        hand_over(transport, _Bridge(self), b"")
        transport.registerProducer(_Flow(self), True)

    def wire_data(self, data: bytes) -> None:
        """Take bytes of leg frames."""
        self.last_received = self._clock.seconds()
        self._corked = True
        try:
            if self._dialling:
                self._inbuf += data
            else:
                self._parse(data)
        except RemoteProtocolError as breach:
            self.breach(breach.reason)
        finally:
            self._uncork()

    def wire_lost(self, reason: str) -> None:
        """The connection has closed."""
        self._wire_gone = True
        self._tools.watch.remove(self)
        self.lost(reason)

    def wire_full(self, full: bool) -> None:
        """Twisted's buffer has become full, or has room again."""
        if full and not self._watched:
            self._be_watched()  # TLS may be queueing records of its own
        self._set_blocked(full)

    def check(self, now: float) -> None:
        """See FastLeg."""
        if self.state is not State.CLOSED and not self._wire_gone and is_closing(self._holding):
            if not self._closes_by_itself():
                self.give_up("the other end has closed")
            return
        super().check(now)

    def _wire_is_gone(self) -> bool:
        return not self._wire_gone and is_gone(self._sock.fileno(), eof_means_gone=True)

    def _send(self, data: memoryview) -> None:
        self._out += data
        self._unhurried = False
        if not self._corked:
            self._flush()

    def _flush(self) -> bool:
        data, self._out = bytes(self._out), bytearray()
        if data:
            self._holding.write(data)
        return not self._blocked

    def _unsent(self) -> int:
        return len(self._out) + unsent_bytes(self._holding)

    def _hold(self) -> None:
        super()._hold()
        self._set_reading()

    def _watch(self, mask: int) -> None:
        changed, self._mask = self._mask ^ mask, mask
        if changed & IN and not self._wire_gone:
            if mask & IN:
                self._holding.resumeProducing()
            else:
                self._holding.pauseProducing()

    def _set_reading(self) -> None:
        if self.state is not State.CLOSED:
            self._watch(0 if self._full or self._dialling else IN)

    def _leave_poller(self) -> None:
        self._tools.watch.remove(self)
        if not self._wire_gone:
            self._holding.unregisterProducer()  # otherwise TLS waits for the producer to finish

    def _set_blocked(self, blocked: bool) -> None:
        self._blocked = blocked
        local = self._local
        if local is not None and local.reading == blocked and not self._held and self.state is not State.CLOSED:
            local.read_more(not blocked)


class _Bridge(Protocol):
    """The protocol of the leg's transport."""

    def __init__(self, leg: BridgedLeg) -> None:
        self._leg = leg

    def dataReceived(self, data: bytes) -> None:
        self._leg.wire_data(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._leg.wire_lost(words_of(reason.value))


class _Flow:
    """Tells the leg whether its transport's buffer is full."""

    def __init__(self, leg: BridgedLeg) -> None:
        self._leg = leg

    def pauseProducing(self) -> None:
        self._leg.wire_full(True)

    def resumeProducing(self) -> None:
        self._leg.wire_full(False)

    def stopProducing(self) -> None:
        """Do nothing: connectionLost follows."""
