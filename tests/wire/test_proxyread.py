"""Headers of the PROXY protocol as they are read: each of those that are written, in any pieces, and no other."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from gotunnel.address import HostPort
from gotunnel.errors import RemoteProtocolError
from gotunnel.wire.proxyheader import ProxyVersion, encode_proxy_header
from gotunnel.wire.proxyread import MOST_HEADER, ProxyHeader, read_proxy_header
from tests.wire.strategies import PROPERTY
from tests.wire.test_proxyheader import HOST, LOCAL, PORT, SIGNATURE, UNKNOWN, ip, text

V4 = bytes.fromhex("c0000207 c6336401 c350 01bb")


def binary(command: int, family: int, body: bytes, length: int | None = None) -> bytes:
    """Return a header of version 2."""
    size = len(body) if length is None else length
    return SIGNATURE + bytes((command, family)) + size.to_bytes(2, "big") + body


class ReadTests(SynchronousTestCase):
    """read_proxy_header."""

    @PROPERTY
    @given(st.sampled_from(["v1", "v2"]), HOST, PORT, HOST, PORT, st.binary(max_size=40))
    def test_as_written(
        self, version: ProxyVersion, host: str, port: int, to_host: str, to_port: int, behind: bytes
    ) -> None:
        """What is written is read, whatever is behind it; and each beginning of it asks for more."""
        header = encode_proxy_header(version, text(host, port), text(to_host, to_port), "c-1")
        found = read_proxy_header(header + behind)
        assert found is not None and found.source is not None and found.destination is not None
        self.assertEqual(found.length, len(header))
        self.assertEqual((ip(found.source.host), found.source.port), (ip(host), port))
        if not ip(to_host).is_unspecified:
            self.assertEqual((ip(found.destination.host), found.destination.port), (ip(to_host), to_port))
        for cut in range(len(header)):
            self.assertIsNone(read_proxy_header(header[:cut]), cut)

    @PROPERTY
    @given(st.one_of(st.binary(max_size=200), st.binary(max_size=60).map(lambda each: SIGNATURE + each),
                     st.binary(max_size=120).map(lambda each: b"PROXY " + each)))  # fmt: skip
    def test_anything(self, data: bytes) -> None:
        """Whatever comes, it is a header, a beginning of one, or refused; never anything else."""
        try:
            found = read_proxy_header(data)
        except RemoteProtocolError as refused:
            self.assertIn("no header of the PROXY protocol", refused.reason)
        else:
            self.assertTrue(found is None or found.length <= len(data))

    def test_without_a_visitor(self) -> None:
        """Health checks, and who has no IP address."""
        long_line = b"PROXY UNKNOWN " + b"ffff:" * 7 + b"ffff 65535\r\n"
        for header in (UNKNOWN, long_line, LOCAL, binary(0x20, 0x11, V4)):
            self.assertEqual(read_proxy_header(header + b"x"), ProxyHeader(len(header), own=True), header)
        for header in (binary(0x21, 0, b""), binary(0x21, 0x31, bytes(216))):
            self.assertEqual(read_proxy_header(header + b"x"), ProxyHeader(len(header)), header)

    def test_plain_addresses(self) -> None:
        """Who comes by IPv4 in IPv6's clothes is known by his IPv4 address."""
        found = read_proxy_header(b"PROXY TCP6 ::ffff:192.0.2.7 2001:db8::1 1 2\r\n")
        assert found is not None
        self.assertEqual((found.source, found.destination), (HostPort("192.0.2.7", 1), HostPort("2001:db8::1", 2)))

    def test_refused(self) -> None:
        """What is nearly a header is none."""
        for data in (
            b"GET / HTTP/1.1\r\n", b"\x16\x03\x01", b"proxy ", b"PROXYTCP4", b"PROXY " + b"x" * 101,
            b"PROXY TCP4 192.0.2.7 198.51.100.1 1 2 3\r\n", b"PROXY TCP4 192.0.2.7 198.51.100.1 1\r\n",
            b"PROXY TCP4 192.0.2.7  198.51.100.1 1 2\r\n", b"PROXY TCP4 192.0.2.7 198.51.100.1 1 65536\r\n",
            b"PROXY TCP4 192.0.2.256 198.51.100.1 1 2\r\n", b"PROXY TCP4 ::1 ::1 1 2\r\n",
            b"PROXY TCP6 192.0.2.7 198.51.100.1 1 2\r\n", b"PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n",
            b"PROXY TCP4 192.0.2.7 198.51.100.1 -1 2\r\n", b"PROXY UDP4 192.0.2.7 198.51.100.1 1 2\r\n",
            b"PROXY UNKNOWNX\r\n", b"\r\n\r\n\0\r\nQUIX",
            binary(0x11, 0x11, V4), binary(0x22, 0x11, V4), binary(0x21, 0x12, V4), binary(0x21, 0x11, V4[:11]),
            binary(0x21, 0x21, V4), binary(0x21, 0x11, b"", MOST_HEADER),
        ):  # fmt: skip
            self.assertRaises(RemoteProtocolError, read_proxy_header, data)
