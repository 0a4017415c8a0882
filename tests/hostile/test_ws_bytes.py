"""Whatever bytes a stranger says to a WebSocket: in its HTTP, and in its frames. Nothing but the bytes of valid frames
is carried, nothing behind a breach, and nothing of it is a bug of ours."""

from __future__ import annotations

import gc
import socket
import struct
import weakref
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectError
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase
from wsproto import Connection, ConnectionType
from wsproto.events import AcceptConnection, Event, Request

from gotunnel.config.wsoptions import WebSocketListenerOptions, WebSocketOptions
from gotunnel.net.ws.client import _Client
from gotunnel.net.ws.server import _Visitors
from gotunnel.net.ws.stream import LOOK, MOST_UNREAD, UNREAD, WsStream

HEAD = [
    b"GET /gotunnel HTTP/1.1", b"Host: tunnel.example.com", b"Upgrade: websocket", b"Connection: Upgrade",
    b"Sec-WebSocket-Version: 13", b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
]  # fmt: skip
SOME = settings(
    max_examples=150, deadline=None, database=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)


class Wire(StringTransport):
    """The network's connection, with what gotunnel knows of Twisted's."""

    connected = True
    dataBuffer = b""
    offset = _tempDataLen = 0
    aborted = False

    def __init__(self, test: SynchronousTestCase) -> None:
        super().__init__(peerAddress=IPv4Address("TCP", "127.0.0.1", 9))
        self._sock = socket.socket()
        test.addCleanup(self._sock.close)

    def getHandle(self) -> socket.socket:
        return self._sock

    def abortConnection(self) -> None:
        self.aborted = True

    @property
    def over(self) -> bool:
        """Whether it has been closed, one way or the other."""
        return self.aborted or self.disconnecting


class Bytes:
    """What is carried; see Carried."""

    def __init__(self) -> None:
        self.heard = b""
        self.ended = False
        self.left = False

    def received(self, data: bytes) -> None:
        assert not self.ended
        self.heard += data

    def lost(self) -> None:
        self.ended = True

    def hung_up(self) -> bool:
        return self.left


class Server(WsStream):
    """A server's end that takes everybody in."""

    def _before(self, event: Event) -> None:
        if isinstance(event, Request):
            self.transport.write(self._socket.send(AcceptConnection()))
            self._carry(Bytes())  # type: ignore[arg-type]


def frame(opcode: int, payload: bytes, first: int = 0x80, masked: bool = True, length: int | None = None) -> bytes:
    """Return a frame; `first` are the bits of its first byte beside the opcode, `length` is what its head says."""
    said = len(payload) if length is None else length
    size = bytes([said]) if said < 126 else b"\x7e" + struct.pack("!H", said)
    head = bytes([first | opcode, size[0] | (0x80 if masked else 0)]) + size[1:]
    if not masked:
        return head + payload
    mask = b"\x01\x02\x03\x04"
    return head + mask + bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))


class FrameTests(SynchronousTestCase):
    """Frames of a client."""

    def up(self, ping: float = 0.0) -> tuple[Server, Wire, Bytes]:
        """Return an end that is up."""
        self.clock = Clock()
        end, wire = Server(ConnectionType.SERVER, self.clock, ping), Wire(self)
        end.makeConnection(wire)
        end.dataReceived(b"\r\n".join([*HEAD, b"", b""]))
        assert wire.value().startswith(b"HTTP/1.1 101 ")
        wire.clear()
        found: Any = end._carried
        return end, wire, found

    def test_breaches(self) -> None:
        """Each breach of RFC 6455 ends it in order, and what stands behind it is not carried."""
        for name, breach in {
            "unmasked": frame(2, b"x", masked=False),
            "RSV1": frame(2, b"x", 0xC0), "RSV2": frame(2, b"x", 0xA0), "RSV3": frame(2, b"x", 0x90),
            "unknown opcode": frame(3, b"x"), "unknown control": frame(11, b"x"),
            "continuation of nothing": frame(0, b"x"),
            "ping in parts": frame(9, b"x", 0), "close in parts": frame(8, b"", 0),
            "long ping": frame(9, b"x" * 126), "long close": frame(8, b"\x03\xe8" + b"x" * 124),
            "close of one byte": frame(8, b"\x03"), "close code 0": frame(8, b"\0\0"),
            "close code 1005": frame(8, b"\x03\xed"), "close code 65535": frame(8, b"\xff\xff"),
            "close that is no UTF-8": frame(8, b"\x03\xe8\xff\xfe"),
            "text": frame(1, b"x"), "text that is no UTF-8": frame(1, b"\xff"),
            "a second message inside the first": frame(2, b"", 0) + frame(2, b"x"),
            "length with its highest bit": b"\x82\xff" + b"\xff" * 8 + b"mask" + b"x",
            "long form of a short length": b"\x82\xfe\x00\x01mask" + b"x",
        }.items():
            end, wire, carried = self.up()
            end.dataReceived(frame(2, b"before") + breach + frame(2, b"behind"))
            self.assertEqual((carried.heard, carried.ended, wire.over), (b"before", True, True), name)
            end.dataReceived(frame(2, b"later still"))
            self.assertEqual(carried.heard, b"before")
            end.connectionLost()
            self.assertEqual(self.clock.getDelayedCalls(), [], name)

    def test_huge(self) -> None:
        """A frame of 2**62 bytes is carried as it comes, and none of it is kept."""
        end, wire, carried = self.up()
        end.dataReceived(b"\x82\xff" + struct.pack("!Q", 1 << 62) + bytes(4))
        for _ in range(64):
            end.dataReceived(bytes(65536))
        self.assertEqual((len(carried.heard), wire.over), (64 * 65536, False))
        self.assertLess(len(end._socket._proto._frame_decoder.buffer), 16)  # type: ignore[union-attr]
        end.connectionLost()

    def test_nothing_stays(self) -> None:
        """What somebody has said is gone with him, and does not wait until Python looks for rings of objects: a flood
        of such ends held two hundred megabytes. Of HTTP nothing is kept while he is here."""
        gc.disable()
        self.addCleanup(gc.enable)
        end, _, _ = self.up()
        said = weakref.ref(end._socket)
        self.assertIsInstance(end._socket, Connection)
        end.dataReceived(b"\x82\xff" + struct.pack("!Q", 1 << 20) + bytes(4) + b"x" * 1000)
        end.connectionLost()
        self.assertIsNone(said())

    def test_parts(self) -> None:
        """A message in parts, with pings and empty parts between them, is one stream; pings are answered."""
        end, wire, carried = self.up()
        end.dataReceived(
            frame(2, b"one ", 0) + frame(9, b"?") + frame(0, b"", 0) * 100 + frame(10, b"!") + frame(0, b"two")
        )
        self.assertEqual((carried.heard, wire.value()), (b"one two", b"\x8a\x01?"))
        end.connectionLost()

    def test_no_pings(self) -> None:
        """Without pings, too, who takes nothing while our side has closed is cut in the end; nobody else is."""
        end, wire, carried = self.up(0.0)
        wire.dataBuffer = b"x" * (UNREAD + 1)
        for _ in range(4):
            self.clock.advance(LOOK)
        self.assertEqual((wire.value(), wire.over), (b"", False))
        carried.left = True
        self.clock.advance(LOOK)
        self.assertTrue(wire.aborted)
        end.connectionLost()

    def test_fills_memory(self) -> None:
        """Who makes us queue more than is ever carried, as by wishes for new keys of TLS, is cut at the next look."""
        end, wire, _ = self.up(0.0)
        wire.dataBuffer = bytes(MOST_UNREAD)
        self.clock.advance(LOOK)
        self.assertFalse(wire.over)
        wire.dataBuffer += b"x"
        self.clock.advance(LOOK)
        self.assertTrue(wire.aborted)
        end.connectionLost()

    @SOME
    @given(st.data())
    def test_any_frames(self, data: st.DataObject) -> None:
        """Valid frames in any order, cut anywhere, and then anything: what is carried is what they hold."""
        said, expected, inside = b"", b"", False
        for opcode, payload, last in data.draw(
            st.lists(st.tuples(st.sampled_from([2, 9, 10]), st.binary(max_size=200), st.booleans()), max_size=12)
        ):
            if opcode != 2:
                said += frame(opcode, payload[:125])
                continue
            said += frame(0 if inside else 2, payload, 0x80 if last else 0)
            inside, expected = not last, expected + payload
        end, _, carried = self.up()
        cuts = sorted(data.draw(st.lists(st.integers(0, len(said)), max_size=6)))
        for low, high in zip([0, *cuts], [*cuts, len(said)], strict=True):
            end.dataReceived(said[low:high])
        self.assertEqual((carried.heard, carried.ended), (expected, False))
        end.dataReceived(data.draw(st.binary(max_size=400)))
        self.assertTrue(carried.heard.startswith(expected))
        end.connectionLost()
        self.assertEqual(self.clock.getDelayedCalls(), [])


class HeadTests(SynchronousTestCase):
    """What is said in HTTP, to a listener that believes a proxy on loopback."""

    def come(self, said: bytes) -> tuple[Wire, Any]:
        """Say it; return the connection, and the address that the door has heard of, if any."""
        from twisted.internet import reactor

        known: list[Any] = []

        class Door:
            def buildProtocol(self, address: Any) -> Protocol:
                known.append(address)
                return Protocol()

        options = WebSocketListenerOptions.model_validate({"listen": "127.0.0.1:0", "trust": ["127.0.0.0/8"]})
        visitors = _Visitors(reactor, options, Door(), 5.0)  # type: ignore[arg-type]
        arrival: Any = visitors.buildProtocol(IPv4Address("TCP", "127.0.0.1", 9))
        wire = Wire(self)
        wire.registerProducer = wire.unregisterProducer = lambda *_: None  # type: ignore[method-assign]
        arrival.makeConnection(wire)
        arrival.dataReceived(said)
        arrival.connectionLost()
        return wire, known[0] if known else None

    def head(self, *more: bytes, **changed: bytes) -> bytes:
        lines = [changed.get(line.split(b":")[0].decode().lower().replace("-", "_"), line) for line in HEAD]
        return b"\r\n".join([*lines, *more, b"", b""])

    def test_words_that_are_none(self) -> None:
        """Bytes that are no ASCII in what the library decodes get 404 as all nonsense, and no traceback: whoever
        reaches the port could fill the log with those."""
        bad = b"\xff\xfe"
        for said in (
            self.head(host=b"Host: xn--" + bad), self.head(host=b"Host: " + bad),
            self.head(connection=b"Connection: Upgrade, " + bad), self.head(b"Sec-WebSocket-Extensions: " + bad),
            self.head(b"Sec-WebSocket-Protocol: " + bad), self.head(b"Transfer-Encoding: " + bad),
            self.head(b"Content-Length: x"), self.head(b"Content-Length: 1", b"Content-Length: 2"),
            b"\r\n".join([*HEAD[:1], *HEAD[2:], b"", b""]),
        ):
            wire, address = self.come(said)
            self.assertEqual((wire.value()[:13], address, wire.over), (b"HTTP/1.1 404 ", None, True), said)

    def test_forwarded(self) -> None:
        """Where somebody comes from, in the ways in which proxies write it; from nonsense it is the proxy itself."""
        for words, host in (
            (b"192.0.2.7", "192.0.2.7"), (b"192.0.2.7:4711", "192.0.2.7"), (b"[2001:db8::1]:4711", "2001:db8::1"),
            (b"2001:db8::1", "2001:db8::1"), (b"::ffff:192.0.2.7", "192.0.2.7"),
            (b"198.51.100.1, 127.0.0.9", "198.51.100.1"),
            (b"192.0.2.7, \xff", "127.0.0.1"), (b"unknown", "127.0.0.1"), (b"", "127.0.0.1"),
            (b"fe80::1%eth0", "fe80::1"),
        ):  # fmt: skip
            _, address = self.come(self.head(b"X-Forwarded-For: " + words))
            self.assertEqual(address.host, host, words)
        _, address = self.come(self.head(b"X-Forwarded-For: 192.0.2.7", b"X-Forwarded-For: 192.0.2.8"))
        self.assertEqual(address.host, "192.0.2.8")

    @SOME
    @given(st.data())
    def test_any_head(self, data: st.DataObject) -> None:
        """Any bytes in any line, and any lines: there is an answer in HTTP or none yet, and no bug."""
        lines = list(HEAD)
        for _ in range(data.draw(st.integers(0, 3))):
            index = data.draw(st.integers(0, len(lines) - 1))
            at = data.draw(st.integers(0, len(lines[index])))
            lines[index] = lines[index][:at] + data.draw(st.binary(max_size=6)) + lines[index][at:]
        lines += data.draw(
            st.lists(
                st.builds(
                    b"%b: %b".__mod__,
                    st.tuples(
                        st.sampled_from([line.split(b":")[0] for line in HEAD[1:]] + [
                            b"Sec-WebSocket-Extensions", b"Sec-WebSocket-Protocol", b"X-Forwarded-For",
                            b"Transfer-Encoding", b"Content-Length", b"Expect",
                        ]),
                        st.binary(max_size=20),
                    ),
                ),
                max_size=3,
            )
        )  # fmt: skip
        wire, _ = self.come(b"\r\n".join([*lines, b"", b""]))
        self.assertRegex(wire.value()[:13], rb"\A(HTTP/1\.1 (101|404) )?\Z")


class AnswerTests(SynchronousTestCase):
    """What a client hears in place of the answer to its request."""

    def answered(self, said: bytes) -> tuple[Wire, Deferred[Any]]:
        """Let that be the answer; return the connection, and what became of it."""
        clock = Clock()
        client = _Client(clock, Factory.forProtocol(Protocol), "x", WebSocketOptions.model_validate({"tls": False}))
        wire, done = Wire(self), Deferred[Any]()
        client.begin(done, Deferred(), 5.0)
        client.makeConnection(wire)
        client.dataReceived(said)
        if not done.called:
            clock.advance(5.0)
        client.connectionLost()
        self.assertEqual(clock.getDelayedCalls(), [])
        return wire, done

    def test_nonsense(self) -> None:
        """Each is told as a reason why it was not reached, in words that can be printed, within the time."""
        up = [b"HTTP/1.1 101 Up", b"Upgrade: websocket", b"Connection: Upgrade"]
        for said in (
            b"", b"HTTP/1.1 101", b"\x15\x03\x03\x00\x02\x02\x46", b"SSH-2.0-x\r\n", b"HTTP/1.1 200 OK\r\n\r\n",
            b"\r\n".join([*up, b"", b""]),
            b"\r\n".join([*up, b"Sec-WebSocket-Accept: x", b"", b""]),
            b"\r\n".join([*up, b"Sec-WebSocket-Protocol: \xff", b"", b""]),
            b"\r\n".join([*up[:2], b"Connection: \xff", b"", b""]),
            b"HTTP/1.1 100 Continue\r\n\r\n" * 3, b"HTTP/1.1 200 OK\r\nx: " + b"y" * 100_000,
            b"HTTP/1.1 407 \x1b[31m\r\n\r\n", b"HTTP/1.1 302 Found\r\nLocation: file:///etc/passwd\r\n\r\n",
        ):
            wire, done = self.answered(said)
            reason = str(self.failureResultOf(done, ConnectError).value)
            self.assertTrue(wire.aborted and reason.isprintable() and len(reason) < 300, (said, reason))

    @SOME
    @given(st.binary(max_size=300), st.integers(0, 6))
    def test_anything(self, said: bytes, begin: int) -> None:
        """Any bytes, behind any part of an answer."""
        head = b"HTTP/1.1 101 Up\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "
        _, done = self.answered(b"\r\n".join(head.split(b"\r\n")[:begin]) + said)
        self.failureResultOf(done, ConnectError)
