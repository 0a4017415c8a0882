"""The request of an egress socket, whatever is said there."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from gotunnel.address import HostPort
from gotunnel.errors import RemoteProtocolError
from gotunnel.wire.connectproxy import parse, refusal
from tests.wire.strategies import PROPERTY

HOSTS = st.ip_addresses().map(str) | st.from_regex(r"[a-z0-9]([a-z0-9.-]{0,30}[a-z0-9])?", fullmatch=True)
TARGETS = st.text(max_size=80) | HOSTS.map(lambda host: str(HostPort(host, 1)))
METHODS = st.sampled_from(["CONNECT", "GET", "connect", "OPTIONS"])
ENDS = st.sampled_from(["\r\n\r\n", "\r\n", "", "\r\nHost: a", "\n\n"])
FIELDS = st.lists(st.from_regex(r"[A-Za-z-]{1,12}:[ -~]{0,20}", fullmatch=True), max_size=4)


class ParseTests(SynchronousTestCase):
    """A target, or a refusal with a status and a reason in one line."""

    @PROPERTY
    @given(HOSTS, st.integers(1, 65535), METHODS, FIELDS, st.sampled_from(["1.0", "1.1"]))
    def test_what_is_asked(self, host: str, port: int, method: str, fields: list[str], version: str) -> None:
        """The request target decides, and no field; another method is told that it is no CONNECT."""
        target = HostPort(host, port)
        header = "\r\n".join([f"{method} {target} HTTP/{version}", *fields, "", ""]).encode()
        try:
            found = parse(header)
        except RemoteProtocolError as refused:
            odd = refused.code == "400" and host.replace(".", "").isdigit()  # digits that are no address
            self.assertTrue(odd or (refused.code == "405" and method != "CONNECT"), refused.reason)
            return
        self.assertEqual((found, method), (target, "CONNECT"))

    @PROPERTY
    @given(st.binary(max_size=200) | st.builds("CONNECT {} HTTP/1.1{}".format, TARGETS, ENDS).map(str.encode))
    def test_any_bytes(self, header: bytes) -> None:
        """Nothing else comes of what is no request, and no byte of it breaks out of the answer's one line."""
        try:
            target = parse(header)
        except RemoteProtocolError as refused:
            self.assertIn(refused.code, ("400", "405"))
            head, _, body = refusal(int(refused.code), refused.reason).partition(b"\r\n\r\n")
            self.assertEqual(head.count(b"\r\n"), 3)
            self.assertEqual((body.count(b"\n"), body[-1:]), (1, b"\n"))
            return
        self.assertTrue(str(target).isprintable())
        self.assertTrue(header.startswith(b"CONNECT ") and header.endswith(b"\r\n\r\n"))
