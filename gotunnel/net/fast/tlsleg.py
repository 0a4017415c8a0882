"""A fast leg inside TLS, on the standard library's `ssl` with memory BIOs: one recv, all of its records, one send."""

from __future__ import annotations

import ssl
import sys
from typing import Any

from gotunnel.errors import RemoteProtocolError, Sentence
from gotunnel.interfaces import ILegOwner
from gotunnel.net.biotls import BioTls
from gotunnel.net.fast.leg import FastLeg
from gotunnel.net.fast.tools import RECORD_BYTES, SEALED_BYTES, Tools
from gotunnel.wire.legstate import End, State

__all__ = ["TlsFastLeg"]

PLAIN_AT_ONCE, SEALED_AT_ONCE = 2 * RECORD_BYTES, 2 * SEALED_BYTES
"""The most bytes that pass through a BIO at a time. A BIO never shrinks: without this limit a leg that once carried a
download holds 290 KiB at either end, with it 60."""


class TlsFastLeg(FastLeg):
    """See FastLeg. Frames queued in `_out` are encrypted only when they can leave, in as few records as possible."""

    def __init__(self, tools: Tools, transport: BioTls, end: End, owner: ILegOwner, plain: bool) -> None:
        self._session = transport.session
        self._incoming = transport.incoming
        self._outgoing = transport.outgoing
        self._records = b""  # encrypted, but not yet taken by the kernel
        super().__init__(tools, transport, end, owner, plain)

    def _send(self, data: memoryview) -> None:
        if self._out or self._corked or self._records:
            self._keep(data)
            return
        if not self._seal(data):
            self._set_blocked(True)

    def _seal(self, data: memoryview | bytearray) -> bool:
        """Encrypt and send. Returns False if some of it remains."""
        if len(data) <= PLAIN_AT_ONCE:
            self._session.write(data)
            return self._send_records(self._outgoing.read())
        self._say_much()
        view, records = memoryview(data), []
        for start in range(0, len(view), PLAIN_AT_ONCE):
            self._session.write(view[start : start + PLAIN_AT_ONCE])
            records.append(self._outgoing.read())
        return self._send_records(*records)

    def _flush(self) -> bool:
        if self._records and not self._send_records(self._records):
            self._set_blocked(True)
            return False
        if self._out:
            self._seal(self._out)
            self._out.clear()
        if self._records or self._blocked:
            self._set_blocked(bool(self._records))
        return not self._records

    def _send_records(self, records: bytes, *more: bytes) -> bool:
        """Send in one system call, and keep what the kernel does not take. Returns False if some remains."""
        try:
            sent = self._sock.sendmsg((records, *more)) if more else self._sock.send(records)
        except BlockingIOError:
            sent = 0
        except OSError:
            sent = sys.maxsize  # the leg's own event will report the error
        if more:
            whole = sum(map(len, (records, *more)))
            self._records = b"".join((records, *more))[sent:] if sent < whole else b""
        else:
            self._records = records[sent:]
        return not self._records

    def _unsent(self) -> int:
        return len(self._out) + len(self._records)

    def _readable(self) -> None:
        records = self._buffers.cipher
        try:
            count = self._sock.recv_into(records)
        except BlockingIOError:
            return
        except OSError:
            count = 0
        if not count:
            self._lost_on_read()
            return
        self.last_received = self._clock.seconds()
        self._decrypt(records[:count])

    def begin(self, leftover: bytes) -> None:
        """See FastLeg. More bytes may follow the handshake's last record, decrypted or not."""
        self._inbuf = leftover
        self._clock.callLater(0, self.handle_pending)

    def handle_pending(self) -> None:
        """Take what arrived before this leg was made, or while it was dialling."""
        if self.state is not State.CLOSED:
            self._corked = True
            try:
                self._parse(b"")
                self._decrypt(b"")
            except RemoteProtocolError as breach:
                self.breach(breach.reason)
            finally:
                self._uncork()

    def _decrypt(self, records: memoryview | bytes) -> None:
        """Decrypt and handle the records that have arrived."""
        plain, got, over = self._buffers.from_leg, 0, False
        session, incoming = self._session, self._incoming
        start, count = 0, len(records)
        while True:
            if start < count:
                incoming.write(records[start : start + SEALED_AT_ONCE])
                start += SEALED_AT_ONCE
            try:
                while True:
                    read: Any = session.read(RECORD_BYTES, plain[got:])
                    if not read:
                        over = True
                        break
                    got += read
                    if not incoming.pending:  # a read takes a whole record; asking for one more costs an exception
                        break
            except ssl.SSLWantReadError:
                pass
            except ssl.SSLZeroReturnError:
                over = True
            except ssl.SSLError as broken:
                self._tls_broke(broken)
                return
            if over or start >= count:
                break
        if self._outgoing.pending:
            self._answer()
        if got:
            if got > PLAIN_AT_ONCE and self._local is not None:
                self._local.expect_much()
            self._take(plain, got)
        if over:
            self._lost_on_read()

    def _tls_broke(self, broken: ssl.SSLError) -> None:
        self.give_up(Sentence("TLS: {said}", said=broken.reason))

    def _answer(self) -> None:
        """Send what TLS produces by itself: the answer to a key update, or its close."""
        records = self._outgoing.read()
        if self._records:
            self._records += records
        elif not self._send_records(records):
            self._set_blocked(True)
        else:
            return
        if not self._watched:
            self._be_watched()  # against a peer that keeps asking

    def _close_connection(self) -> None:
        self._flush()
        try:
            self._session.unwrap()
        except ssl.SSLError:
            pass  # it wants the other end's close_notify, which nobody waits for
        self._answer()
        super()._close_connection()
