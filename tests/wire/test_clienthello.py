"""The server name of a ClientHello, as the standard library's TLS sends it and as nobody does."""

from __future__ import annotations

import ssl

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from gotunnel.wire.clienthello import MOST, server_name
from tests.wire.strategies import PROPERTY


def hello(name: str | None) -> bytes:
    """Return the first bytes of a connection that asks for `name`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    outgoing = ssl.MemoryBIO()
    session = context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=name)
    try:
        session.do_handshake()
    except ssl.SSLWantReadError:
        pass
    return outgoing.read()


class ServerNameTests(SynchronousTestCase):
    """What is read, and when."""

    def test_name(self) -> None:
        """The name is found once the whole message is there, and not before."""
        whole = hello("legs.gotunnel")
        self.assertEqual(server_name(whole), (True, "legs.gotunnel"))
        self.assertEqual(server_name(whole + b"more"), (True, "legs.gotunnel"))
        for length in range(len(whole)):
            self.assertEqual(server_name(whole[:length]), (False, None), length)

    def test_no_name(self) -> None:
        """A client may ask for none, or for an address, which is none."""
        self.assertEqual(server_name(hello(None)), (True, None))
        self.assertEqual(server_name(hello("127.0.0.1")), (True, None))

    def test_something_else(self) -> None:
        """What is no ClientHello, or one that is too long, is not waited for."""
        self.assertEqual(server_name(b"GET / HTTP/1.1\r\n"), (True, None))
        self.assertEqual(server_name(b"\x16\x03\x01" + (MOST - 4).to_bytes(2, "big")), (True, None))
        self.assertEqual(server_name(b"\x16\x03\x01\x00\x04\x02\x00\x00\x00"), (True, None))

    @PROPERTY
    @given(st.binary(max_size=600), st.integers(0, 600))
    def test_any_bytes(self, noise: bytes, at: int) -> None:
        """No bytes make it raise, nor a real message with noise in it."""
        server_name(noise)
        server_name(b"\x16\x03\x01" + len(noise).to_bytes(2, "big") + noise)
        whole = hello("legs.gotunnel")
        server_name(whole[:at] + noise[:8] + whole[at + 8 :])
