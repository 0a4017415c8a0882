"""What happens in a script of `twins`: to the connection of the leg, to visitors and targets, and by its owner."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable
from random import Random
from typing import Any

from twisted.internet.task import Clock

from gotunnel.net.fast.flow import FastFlow
from gotunnel.wire.legstate import End, State
from tests.net.twinscript import frames, worst
from tests.net.twinwire import Peer

__all__ = ["Acts"]


class Acts:
    """The steps of a script; the stage is `Play`."""

    chance: Random
    clock: Clock
    end: End
    leg: Any
    local: Any  # the last one
    far: socket.socket | None  # its other end
    wire: socket.socket  # the leg's other end
    peer: Peer | None  # the same inside TLS
    hostile: float  # how often the other end is
    reads: float  # how often it reads
    queue: list[Any]  # visitors who wait
    say: Callable[..., None]
    _new_local: Callable[[], Any]
    _answer: Callable[[], None]
    _serve: Callable[[], None]

    def __init__(self) -> None:
        self.unsent = b""  # for the wire: frames
        self.unsealed = b""  # the same as it travels
        self.plain = bytearray()  # what has come on the wire
        self.sealed: list[int] = []  # lengths of its records
        self.to_far = b""
        self.heard = bytearray()  # by the visitors or targets, one behind the other

    def acts(self) -> tuple[tuple[Callable[[], None], float], ...]:
        """Return the steps, and how often each is taken."""
        return (
            (self._push, 12), (self._visit, 5), (self._far_sends, 5), (self._far_reads, 4),
            (self._wire_reads, self.reads), (self._far_ends, 3), (self._far_resets, 1.5), (self._wait, 2),
            (self._dialled, 2), (self._probe, 1), (self._cut, 0.2), (self._abort, 0.1), (self._close_leg, 0.1),
            (self._wire_ends, 0.15),
        )  # fmt: skip

    def _push(self) -> None:
        """The other end of the leg sends something, cut anywhere."""
        if not self.unsent and not self.unsealed:
            hostile = self.chance.random() < self.hostile
            self.unsent = worst(self.chance) if hostile else frames(self.chance, self.end, self.leg.state)
        for _ in range(self.chance.randrange(1, 5)):
            if self.peer is not None and not self.unsealed:
                record = self.unsent[: self.chance.choice((3, 100, 20_000, 100_000))]
                self.unsent = self.unsent[len(record) :]
                if record:
                    self.peer[0].write(record)
                self.unsealed = self.peer[2].read()
            elif self.peer is None:
                self.unsealed, self.unsent = self.unsealed + self.unsent, b""
            part = self.unsealed[: self.chance.choice((1, 4, 5, 100, 5_000, 60_000, 300_000, 300_000))]
            try:
                self.unsealed = self.unsealed[self.wire.send(part) :]
            except OSError:
                return

    def _wire_reads(self, most: int | None = None) -> None:
        try:
            part = self.wire.recv(most or self.chance.choice((10, 3_000, 200_000)))
        except BlockingIOError:
            return
        except OSError as broken:
            self.say("wire", broken.errno)
            return
        if self.peer is None:
            self.plain += part
            return
        session, incoming, _ = self.peer
        incoming.write(part)
        try:
            while plain := session.read(65536):
                self.plain += plain
                self.sealed.append(len(plain))
        except ssl.SSLError as over:
            if not isinstance(over, ssl.SSLWantReadError):
                self.say("wire", type(over).__name__)

    def _visit(self) -> None:
        if self.end is End.OPENER:
            local = self._new_local()
            self.queue.append((local, self.far))
            self._serve()

    def _far_sends(self) -> None:
        if isinstance(self.local, FastFlow):
            self.local.arrived(bytes(self.chance.choice((0, 5, 1_400))))
        elif self.far is not None:
            if not self.to_far:
                self.to_far = self.chance.randbytes(self.chance.choice((1, 60, 4_000, 30_000, 150_000, 400_000)))
            try:
                self.to_far = self.to_far[self.far.send(self.to_far) :]
            except OSError:
                self.to_far = b""

    def _far_reads(self, most: int | None = None) -> None:
        if self.far is not None and self.far.fileno() >= 0:
            try:
                part = self.far.recv(most or self.chance.choice((1, 2_000, 200_000)))
                self.heard += part
                if not part:
                    self.say("the far end reads an end")
            except BlockingIOError:
                pass
            except OSError as broken:
                self.say("the far end reads", broken.errno)

    def _far_ends(self) -> None:
        if self.far is not None and self.far.fileno() >= 0:
            try:
                self.far.shutdown(socket.SHUT_WR)
            except OSError:
                pass

    def _far_resets(self) -> None:
        # A socket pair is reset where something is unread; a partner in this process says so.
        if self.far is not None:
            self.far.close()
        if self.local is not None and self.chance.random() < 0.5:
            self.local.lost()

    def _wait(self) -> None:
        self.clock.advance(self.chance.choice((0.001, 0.004, 0.01, 0.3)))

    def _dialled(self) -> None:
        if self.end is End.DIALLER and self.leg.state is State.DIALLING:
            if self.chance.random() < 0.8:
                self._answer()
            else:
                self.leg.refuse("timeout")

    def _probe(self) -> None:
        if self.end is End.OPENER and self.leg.state is State.IDLE:
            self.leg.probe()

    def _cut(self) -> None:
        self.leg.reset("kicked")

    def _abort(self) -> None:
        if self.local is not None:
            self.local.abort()

    def _close_leg(self) -> None:
        self.leg.close()

    def _wire_ends(self) -> None:
        if self.peer is not None and not self.unsealed and self.chance.random() < 0.7:
            try:
                self.peer[0].unwrap()  # TLS says so
            except ssl.SSLError:
                self.unsealed = self.peer[2].read()
        else:
            self.wire.shutdown(socket.SHUT_WR)
