"""The header of the PROXY protocol: by table, and read back by the parsers of Twisted, which share no code with it."""

from __future__ import annotations

import ipaddress

from hypothesis import given
from hypothesis import strategies as st
from twisted.protocols.haproxy._v1parser import V1Parser
from twisted.protocols.haproxy._v2parser import V2Parser
from twisted.trial.unittest import SynchronousTestCase

from gotunnel.wire.proxyheader import ProxyVersion, encode_proxy_header, proxy_header_of_nobody
from tests.wire.strategies import PROPERTY

SIGNATURE = bytes.fromhex("0d0a0d0a000d0a515549540a")
UNKNOWN = b"PROXY UNKNOWN\r\n"
LOCAL = SIGNATURE + bytes.fromhex("20000000")

_V4 = st.integers(0, 2**32 - 1)
_V6 = st.one_of(st.integers(0, 2**128 - 1), _V4, _V4.map(lambda low: 0xFFFF00000000 | low))
HOST = st.one_of(_V4.map(ipaddress.IPv4Address), _V6.map(ipaddress.IPv6Address)).map(str)
PORT = st.integers(0, 65535)


def text(host: str, port: int) -> str:
    """Return an address as an OPEN has it."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def ip(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """Return an address, without regard to how it is written."""
    found = ipaddress.ip_address(host)
    return found if found.version == 4 else found.ipv4_mapped or found


class TableTests(SynchronousTestCase):
    """Each form that an address may have."""

    def test_version_1(self) -> None:
        """Lines as the specification has them."""
        for source, destination, line in (
            ("192.0.2.7:50000", "198.51.100.1:443", "PROXY TCP4 192.0.2.7 198.51.100.1 50000 443"),
            ("[2001:db8::7]:50000", "[2001:db8::1]:443", "PROXY TCP6 2001:db8::7 2001:db8::1 50000 443"),
            ("[::ffff:192.0.2.7]:1", "198.51.100.1:2", "PROXY TCP4 192.0.2.7 198.51.100.1 1 2"),
            ("[::ffff:192.0.2.7]:1", "[::ffff:198.51.100.1]:2", "PROXY TCP4 192.0.2.7 198.51.100.1 1 2"),
            ("[fe80::1%eth0]:1", "[fe80::2%eth0]:2", "PROXY TCP6 fe80::1 fe80::2 1 2"),
            ("[2001:db8::7]:1", "198.51.100.1:2", "PROXY TCP6 2001:db8::7 ::ffff:c633:6401 1 2"),
            ("192.0.2.7:1", "[2001:db8::1]:2", "PROXY TCP6 ::ffff:c000:207 2001:db8::1 1 2"),
            ("192.0.2.7:1", None, "PROXY TCP4 192.0.2.7 0.0.0.0 1 0"),
            ("[2001:db8::7]:1", None, "PROXY TCP6 2001:db8::7 :: 1 0"),
            ("[2001:db8::7]:1", "0.0.0.0:443", "PROXY TCP6 2001:db8::7 :: 1 443"),
            ("192.0.2.7:1", "unix", "PROXY TCP4 192.0.2.7 0.0.0.0 1 0"),
            ("192.0.2.7", "198.51.100.1", "PROXY TCP4 192.0.2.7 198.51.100.1 0 0"),
        ):
            header = encode_proxy_header("v1", source, destination, "not in version 1")
            self.assertEqual(header, line.encode() + b"\r\n", (source, destination))

    def test_version_2(self) -> None:
        """Bytes as the specification has them: signature, version and command, family, length, addresses, unique id."""
        header = encode_proxy_header("v2", "192.0.2.7:50000", "198.51.100.1:443", "c0ffee-1")
        self.assertEqual(
            header,
            SIGNATURE + bytes.fromhex("21 11 0017 c0000207 c6336401 c350 01bb 05 0008") + b"c0ffee-1",
        )
        header = encode_proxy_header("v2", "[2001:db8::7]:50000", "[2001:db8::1]:443")
        hosts = bytes.fromhex("20010db8000000000000000000000007 20010db8000000000000000000000001")
        self.assertEqual(header, SIGNATURE + bytes.fromhex("21 21 0024") + hosts + bytes.fromhex("c350 01bb"))

    def test_nobody(self) -> None:
        """Who has no IP address is unknown, whoever he says to be; nothing of what he says gets into a header."""
        for source in (
            "unix", "", "?", "a visitor", "edge.example:1", "192.0.2.7:x", "192.0.2.7:70000", "192.0.2.256:1",
            "192.0.2.7:1\r\nGET / HTTP/1.0", "[::1", "192.0.2.7 :1", "1:2:3",
        ):  # fmt: skip
            self.assertEqual(encode_proxy_header("v1", source, "198.51.100.1:443"), UNKNOWN, source)
            self.assertEqual(encode_proxy_header("v2", source, "198.51.100.1:443", "c1"), LOCAL, source)
        self.assertEqual((proxy_header_of_nobody("v1"), proxy_header_of_nobody("v2")), (UNKNOWN, LOCAL))

    def test_bounded(self) -> None:
        """No header is longer than what receivers must take: 107 bytes of a line, and 128 of a unique id."""
        longest = "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535"
        self.assertLessEqual(len(encode_proxy_header("v1", longest, longest)), 107)
        header = encode_proxy_header("v2", longest, longest, "x" * 500)
        self.assertEqual(len(header), 16 + 36 + 3 + 128)


class ReadBackTests(SynchronousTestCase):
    """What another implementation reads."""

    @PROPERTY
    @given(HOST, PORT, HOST, PORT, st.text(st.characters(codec="ascii"), max_size=64))
    def test_both_versions(self, host: str, port: int, to_host: str, to_port: int, unique: str) -> None:
        """Any two addresses arrive as they were, whatever their families."""
        parsers: dict[ProxyVersion, type[V1Parser] | type[V2Parser]] = {"v1": V1Parser, "v2": V2Parser}
        for version, parser in parsers.items():
            header = encode_proxy_header(version, text(host, port), text(to_host, to_port), unique)
            info, left = parser().feed(header + b"his first bytes")
            assert info is not None and info.source is not None and info.destination is not None
            self.assertEqual(left, b"his first bytes")
            self.assertEqual((ip(info.source.host), info.source.port), (ip(host), port))
            if not ip(to_host).is_unspecified:
                self.assertEqual((ip(info.destination.host), info.destination.port), (ip(to_host), to_port))

    def test_nobody(self) -> None:
        """An unknown visitor is one who says nothing of himself. (Twisted's parser of version 1 refuses the short form
        of his line, which HAProxy writes, and is the only one that it reads.)"""
        info, left = V2Parser().feed(LOCAL + b"x")
        assert info is not None
        self.assertEqual((info.source, info.destination, left), (None, None, b"x"))
