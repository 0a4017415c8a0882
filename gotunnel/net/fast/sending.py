"""The sending half of a leg of the fast relay: frames that are ready together leave in one send, and the local socket
is not read while the wire takes no more. `frames` has the receiving half, `leg` the events."""

from __future__ import annotations

import socket
from abc import abstractmethod

from gotunnel.interfaces import ILegOwner
from gotunnel.net.fast.frames import FrameLeg
from gotunnel.net.fast.local import FastLocal
from gotunnel.net.fast.pipes import Pipe
from gotunnel.net.fast.poller import IN, OUT
from gotunnel.net.fast.tools import Tools
from gotunnel.net.sockets import spare_pacing
from gotunnel.wire.legstate import End, State

__all__ = ["SendingLeg"]


class SendingLeg(FrameLeg):
    """The sending half of a leg."""

    _sock: socket.socket

    def __init__(self, tools: Tools, end: End, owner: ILegOwner, plain: bool) -> None:
        super().__init__(tools, end, owner, plain)
        self._tools = tools
        self._watched = False  # whether the path watch checks it
        self._up: Pipe | None = None  # in a subclass: the pipe for bytes from the local socket
        self._out = bytearray()  # frames for the wire, after what the subclass still holds
        self._blocked = False  # the wire takes no more
        self._unhurried = False  # what is in `_out` may wait a little
        self._mask = IN
        self._says_much = False

    @abstractmethod
    def check(self, now: float) -> None:
        """Look for conditions that the kernel reports only on request (called by the path watch)."""

    @abstractmethod
    def _watch(self, mask: int) -> None:
        """Set the events of the leg's descriptor to be notified of."""

    # Called by the owner, in addition to LegBase: several frames leave in one send.

    def open(self, local: FastLocal, body: bytes, held: bool = False, begins: bytes = b"") -> None:
        """Serve a visitor. Its first bytes, if they have arrived, leave together with the OPEN."""
        self._corked = True
        try:
            super().open(local, body, held, begins)
        finally:
            self._uncork()

    def accept(self, local: FastLocal, awaited: bool = False) -> None:
        """Join the target, which has answered. OPENED leaves with the target's first bytes or a moment later; at once
        if it is awaited."""
        corked, self._corked = self._corked, True
        try:
            super().accept(local, awaited)
        finally:
            self._corked = corked
        if local.begins and not self._parsing:
            self._begin_local()
        if not self._out or self._unhurried or self.state is State.CLOSED:
            return
        if self.state is State.STREAMING and not self._blocked and not awaited:
            self._unhurried = True
            self._tools.flush_soon(self)
        elif not corked:
            self._flush()

    def flush_now(self) -> None:
        """Send the frames that waited for others to leave with."""
        if self._unhurried:
            self._unhurried = False
            if self._out and self.state is not State.CLOSED:
                self._flush()

    # What LegBytes requires.

    def _write(self, data: bytes) -> None:
        if not self._watched:
            self._be_watched()
        self._unhurried = False
        self._out += data
        if not self._corked:
            self._flush()

    def _unsent(self) -> int:
        return len(self._out)

    # The wire.

    def _send(self, data: memoryview) -> None:
        """Send a DATA frame at once if nothing is queued before it. Stop reading the local socket if not all of it can
        be sent."""
        if not self._out and not self._corked:
            try:
                sent = self._sock.send(data)
            except BlockingIOError:
                sent = 0
            except OSError:
                return  # the leg's own event will report the error
            if sent == len(data):
                return
            data = data[sent:]
        self._keep(data)

    def _keep(self, data: memoryview) -> None:
        """Queue bytes after those that wait."""
        self._out += data
        if self._unhurried:
            self._unhurried = False
            if not self._corked:
                self._flush()
        elif not self._corked:
            self._set_blocked(True)

    def _flush(self) -> bool:
        """Send what is queued. Returns False if some of it remains."""
        if self._up is not None and not self._flush_pipe(self._up):
            return False
        out = self._out
        try:
            if out:
                del out[: self._sock.send(out)]
        except BlockingIOError:
            pass
        except OSError:
            # The descriptor's next event reports the error; a writer is not called back.
            out.clear()
            return False
        if out or self._blocked:
            self._set_blocked(bool(out))
        return not out

    def _say_much(self) -> None:
        """Prepare for large transfers: more leaves at a time than in an exchange of small messages."""
        if not self._says_much:
            self._says_much = True
            spare_pacing(self._sock)

    def _flush_pipe(self, pipe: Pipe) -> bool:
        """Send what is in the pipe `_up`. Returns False if some of it remains."""
        raise NotImplementedError

    def _set_blocked(self, blocked: bool) -> None:
        """Pause or resume the local socket as the wire becomes full or ready."""
        self._blocked = blocked
        self._watch(self._mask | OUT if blocked else self._mask & ~OUT)
        local = self._local
        if local is not None and local.reading == blocked and not self._held:
            local.read_more(not blocked)

    def _uncork(self) -> None:
        self._corked = False
        if self._out and not self._unhurried and self.state is not State.CLOSED:
            self._flush()

    def _be_watched(self) -> None:
        self._watched = True
        self._tools.watch.add(self)
