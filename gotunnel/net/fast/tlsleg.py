"""A fast leg inside TLS, on the standard library's `ssl` with memory BIOs: one recv, all its records, one send."""

from __future__ import annotations

import ssl
from typing import Any

from gotunnel.errors import RemoteProtocolError
from gotunnel.interfaces import ILegOwner
from gotunnel.net.biotls import BioTls
from gotunnel.net.fast.leg import FastLeg
from gotunnel.net.fast.tools import Tools
from gotunnel.wire.legstate import End, State

__all__ = ["TlsFastLeg"]

RECORD = 16384
"""The most that one TLS record carries, and that one read returns. What one recv completes is never more than what it
brought and a record that began before; `Buffers.from_leg` has room for that and one read more."""


class TlsFastLeg(FastLeg):
    """See FastLeg. `_out` holds records, encrypted already."""

    def __init__(self, tools: Tools, transport: BioTls, end: End, owner: ILegOwner, plain: bool) -> None:
        self._session = transport.session
        self._incoming = transport.incoming
        self._outgoing = transport.outgoing
        super().__init__(tools, transport, end, owner, plain)

    def _queue(self, data: bytes | memoryview) -> None:
        self._session.write(data)
        self._out += self._outgoing.read()

    def _send(self, data: memoryview) -> None:
        self._session.write(data)
        self._ship(self._outgoing.read())

    def _readable(self) -> None:
        records = self._tools.buffers.cipher
        count = self._receive_into(records)
        if count:
            self._incoming.write(records[:count])
            self._decrypt()

    def begin(self, leftover: bytes) -> None:
        """See FastLeg. Behind the handshake's last record there may be more, decrypted or not."""
        self._inbuf = leftover
        self._clock.callLater(0, self.handle_pending)

    def handle_pending(self) -> None:
        """Take what arrived before this leg was made."""
        if self.state is not State.CLOSED:
            self._corked = True
            try:
                self._parse(b"")
                self._decrypt()
            except RemoteProtocolError as breach:
                self.breach(breach.reason)
            finally:
                self._uncork()

    def _decrypt(self) -> None:
        plain, got = self._tools.buffers.from_leg, 0
        over = False
        try:
            while True:
                read: Any = self._session.read(RECORD, plain[got:])
                if not read:
                    over = True
                    break
                got += read
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            over = True
        except ssl.SSLError as broken:
            self.give_up(f"TLS: {broken.reason}")
            return
        if self._outgoing.pending:
            self._out += self._outgoing.read()  # a key update's answer
        if got:
            self._take(plain, got)
        if over:
            self._lost_on_read()

    def _close_connection(self) -> None:
        try:
            self._session.unwrap()
        except ssl.SSLError:
            pass  # it wants the other end's answer, which nobody waits for
        self._out += self._outgoing.read()
        super()._close_connection()
