"""The portable leg: leg frames on a Twisted transport, TCP or TLS, on any reactor. For the order of events see
`legacts`."""

from __future__ import annotations

from typing import Any
from weakref import ref

from twisted.internet.interfaces import IReactorTime
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from gotunnel.errors import RemoteProtocolError
from gotunnel.interfaces import ILeg, ILegOwner
from gotunnel.net.deadlines import Deadlines
from gotunnel.net.legbase import LegBase
from gotunnel.net.local import Local
from gotunnel.net.pathwatch import PathWatch, Stall
from gotunnel.net.reasons import words_of
from gotunnel.net.sockets import is_gone, path_state, set_keepalive, set_nodelay
from gotunnel.net.transports import is_closing, raw_socket, unsent_bytes
from gotunnel.wire.legs import LegDecoder, LegFrame, data_header
from gotunnel.wire.legstate import End, Event, State

__all__ = ["PortableLeg"]


@implementer(ILeg)
class PortableLeg(LegBase[Local], Protocol):
    """One end of a leg. Made by `PortableRelay.leg`; lives as long as its transport."""

    transport: Any

    def __init__(
        self,
        clock: IReactorTime,
        watch: PathWatch,
        deadlines: Deadlines,
        end: End,
        owner: ILegOwner,
        plain: bool,
        dial_timeout: float,
    ) -> None:
        super().__init__(clock, deadlines, end, owner, plain, dial_timeout)
        self._watch = watch
        self._decoder = LegDecoder()
        self._stall = Stall(watch.times)
        self._blocked = False  # the leg's transport accepts no more
        self._full = False  # the local socket accepts no more
        self._dialling = False
        self._pumping = False
        self._reading = True

    # Called by Twisted.

    def connectionMade(self) -> None:
        """Take over the connection after the handshake."""
        sock = raw_socket(self.transport)
        set_nodelay(sock)
        set_keepalive(sock, self._watch.keepalive)
        self.transport.registerProducer(_Flow(self), True)

    def dataReceived(self, data: bytes) -> None:
        """Take bytes of leg frames."""
        self.last_received = self._clock.seconds()
        self._decoder.feed(data)
        self._pump()

    def begin(self, leftover: bytes) -> None:
        """Take the bytes that arrived behind the handshake, but only after the owner has learned of this leg."""
        if leftover:
            self._decoder.feed(leftover)
            self._clock.callLater(0, self._pump)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The connection has closed: tell the owner."""
        self._watch.remove(self)
        self.lost(words_of(reason.value))

    # Called by the local socket, in addition to those of LegBase.

    def local_data(self, data: bytes) -> None:
        """Forward bytes from the local socket."""
        self.happen(Event.LOCAL_DATA)
        if self._tally is not None:
            self._tally.sent += len(data)
        self.transport.writeSequence((data_header(len(data)), data))

    def local_lost(self) -> None:
        """The local socket was reset: keep reading the leg, if only to discard."""
        self.local_ready()
        super().local_lost()

    def local_full(self) -> None:
        """The local socket accepts no more bytes: stop reading the leg."""
        self._full = True
        self._set_reading()

    def local_ready(self) -> None:
        """The local socket accepts bytes again: read the leg."""
        self._full = False
        self._set_reading()

    def blocked(self, blocked: bool) -> None:
        """Pause or resume the local socket as the leg's transport becomes full or ready."""
        self._blocked = blocked
        if blocked:
            self._watch.add(self)  # TLS may be queueing records of its own
        if self._local is not None:
            if blocked:
                self._local.pause()
            else:
                self._read_local(self._local)

    def check(self, now: float) -> None:
        """Look for a close that a paused reader does not see, and for sent bytes that are not acknowledged. Called by
        the path watch; `now` is in seconds of the reactor's clock."""
        if self.state is State.CLOSED:
            return
        sock = raw_socket(self.transport)
        path = path_state(sock)
        if is_closing(self.transport):
            if not self._closes_by_itself():
                self.give_up("the other end has closed")
        elif not self._reading and is_gone(sock.fileno(), eof_means_gone=True):
            self.give_up("the other end has closed")
        elif self._stall.dead(path, now):
            self.give_up("what was sent is not acknowledged")
        elif self.state is State.IDLE and not self._unsent() and (path is None or not path.unacknowledged):
            self._watch.remove(self)  # until the next frame
        else:
            self._check_queue()

    @property
    def unfinished(self) -> int:
        """Bytes of the current DATA frame still to come. Needed where a frame carries a datagram."""
        return self._decoder.left

    # What LegBytes requires.

    def _write(self, data: bytes) -> None:
        self._watch.add(self)
        self.transport.write(data)

    def _unsent(self) -> int:
        return unsent_bytes(self.transport)

    def _close_connection(self) -> None:
        self.transport.unregisterProducer()  # otherwise TLS waits for the producer to finish
        self.transport.loseConnection()

    def _abort_connection(self) -> None:
        self.transport.abortConnection()

    def _attach(self, local: Local) -> None:
        local.attach(self)
        if self._local is local:
            self._read_local(local)

    def _read_local(self, local: Local) -> None:
        if not self._blocked and not self._held:
            local.resume()

    def _detach(self, local: Local, *, abort: bool) -> None:
        local.detach()
        if abort:
            local.abort()
        self.local_ready()

    def _half_close(self, local: Local) -> None:
        local.half_close()
        self.local_ready()  # no more data will come for it, and it no longer reports that it has room

    def _finish(self, local: Local) -> None:
        local.finish()
        self.local_ready()

    def _hold(self) -> None:
        self._dialling = True
        self._watch.add(self)
        self._set_reading()

    def _go_on(self) -> None:
        self._dialling = False
        self._set_reading()
        self._pump()

    # Bytes.

    def _pump(self) -> None:
        if self._pumping:
            return
        self._pumping = True
        try:
            while self.state is not State.CLOSED and not self._dialling:
                frame = self._decoder.next()
                if frame is None:
                    break
                if frame[0] is LegFrame.DATA:
                    self._receive_data(frame[1])
                    continue
                if frame[0] is LegFrame.DONE and self._decoder.buffered:
                    raise RemoteProtocolError("bytes behind DONE")  # the next visitor would receive them
                self.receive(*frame)
        except RemoteProtocolError as breach:
            self.breach(breach.reason)
        finally:
            self._pumping = False

    def _receive_data(self, data: bytes) -> None:
        if self.state in self._delivers:
            meter = self._meter or self._first_bytes()
            if meter is not None:
                meter.received += len(data)
            if self._local is not None:
                self._local.write(data)
        elif self.state not in self._discards:
            self.happen(Event.GOT_DATA)

    def _set_reading(self) -> None:
        reading = not self._full and not self._dialling
        if reading != self._reading and self.state is not State.CLOSED:
            self._reading = reading
            if reading:
                self.transport.resumeProducing()
            else:
                self.transport.pauseProducing()


class _Flow:
    """Tells the leg whether its transport's buffer is full. TLS keeps this object after the connection has ended, so it
    holds the leg by a weak reference."""

    def __init__(self, leg: PortableLeg) -> None:
        self._leg = ref(leg)

    def pauseProducing(self) -> None:
        self._tell(True)

    def resumeProducing(self) -> None:
        self._tell(False)

    def _tell(self, blocked: bool) -> None:
        leg = self._leg()
        if leg is not None:
            leg.blocked(blocked)

    def stopProducing(self) -> Any:
        """Do nothing: connectionLost follows."""
