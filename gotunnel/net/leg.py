"""The portable leg: leg frames on a Twisted transport, TCP or TLS, on any reactor. What happens when: see `legacts`."""

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
    """One end of a leg. Made by `PortableRelay.leg`; dies with its transport."""

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
        self._blocked = False  # the leg's transport takes no more
        self._full = False  # the local socket takes no more
        self._dialling = False
        self._pumping = False
        self._reading = True

    # What Twisted calls.

    def connectionMade(self) -> None:
        """The handshake is over: the connection is ours."""
        sock = raw_socket(self.transport)
        set_nodelay(sock)
        set_keepalive(sock, self._watch.keepalive)
        self.transport.registerProducer(_Flow(self), True)

    def dataReceived(self, data: bytes) -> None:
        """Bytes of leg frames."""
        self.last_received = self._clock.seconds()
        self._decoder.feed(data)
        self._pump()

    def begin(self, leftover: bytes) -> None:
        """Take what arrived behind the handshake, but not before the owner knows this leg."""
        if leftover:
            self._decoder.feed(leftover)
            self._clock.callLater(0, self._pump)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The leg is gone."""
        self._watch.remove(self)
        self.lost(words_of(reason.value))

    # What the local socket says, beyond LegBase.

    def local_data(self, data: bytes) -> None:
        """The local socket gave bytes."""
        self.happen(Event.LOCAL_DATA)
        if self._tally is not None:
            self._tally.sent += len(data)
        self.transport.writeSequence((data_header(len(data)), data))

    def local_lost(self) -> None:
        """The local socket was reset: read on, if only to throw away what comes."""
        self.local_ready()
        super().local_lost()

    def local_full(self) -> None:
        """The local socket takes no more."""
        self._full = True
        self._set_reading()

    def local_ready(self) -> None:
        """The local socket takes more again."""
        self._full = False
        self._set_reading()

    def blocked(self, blocked: bool) -> None:
        """The leg's transport is full, or takes more again: read the local socket accordingly."""
        self._blocked = blocked
        if blocked:
            self._watch.add(self)  # for what TLS queues by itself
        if self._local is not None:
            if blocked:
                self._local.pause()
            else:
                self._read_local(self._local)

    def check(self, now: float) -> None:
        """Look at what a paused reader is not told, and whether what was written arrives (called by the path watch)."""
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
        """Bytes of the current DATA frame still to come, for a local connection to which a frame is a datagram."""
        return self._decoder.left

    # What LegBase asks for.

    def _write(self, data: bytes) -> None:
        self._watch.add(self)
        self.transport.write(data)

    def _unsent(self) -> int:
        return unsent_bytes(self.transport)

    def _close_connection(self) -> None:
        self.transport.unregisterProducer()  # TLS waits for a producer to end by itself
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
        self.local_ready()  # nothing more is coming for it, and it no longer says so itself

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
                    raise RemoteProtocolError("bytes behind DONE")  # they would reach the next visitor
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
    """Twisted's word for "the leg's buffer is full", passed on to the leg. TLS keeps this beyond the connection's end:
    it is not to keep the leg."""

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
        """The connection is being lost; connectionLost says so."""
