"""A server that holds the token, proves itself properly, and then does what it likes: whoever has stolen a shared token
can be one."""

from __future__ import annotations

import itertools
import socket
from collections.abc import Callable, Iterator

from OpenSSL import SSL

from gotunnel.net.tls import own_server_tls
from gotunnel.wire.frames import encode_frame
from gotunnel.wire.handshake import ServerHandshake, derive_key, leg_server_mac
from gotunnel.wire.legs import LegFrame, encode_leg_frame
from gotunnel.wire.messages import Leg, LegOk, Limits, MappingResult, NeedLegs, Register, RegisterResp
from tests.e2e.harness import TunnelTestCase
from tests.hostile import raw

__all__ = ["RogueServer"]

MOST = 2**31 - 1


class RogueServer:
    """Listens where the test's server would. One client at a time, one thing after the other."""

    def __init__(self, case: TunnelTestCase) -> None:
        state = case.folder / "rogue"
        state.mkdir()
        tls = own_server_tls(state)
        self.context: SSL.Context = tls.creator.serverConnectionForTLS(None).get_context()  # type: ignore[arg-type]
        self.binding = tls.leg_binding
        self.listening = socket.create_server((case.host, case.control), backlog=1024)
        self.listening.settimeout(raw.PATIENCE)
        self.control: raw.Raw
        self._case = case
        self._token = case.token
        self._ks = b""
        case.addCleanup(self.close)

    def close(self) -> None:
        """Be gone."""
        self.listening.close()
        if hasattr(self, "control"):
            self.control.close()

    def accept(self) -> raw.Raw:
        """Take the next connection."""
        sock, _ = self.listening.accept()
        return raw.accepted(sock, self.context)

    def begin(self, heartbeat: float = 600, timeout: float = 1800) -> Register:
        """Let a client in, with all that a server may promise; return what it asks for, which is granted."""
        self.control = self.accept()
        handshake = ServerHandshake(lambda name: (derive_key(self._token, name),))
        self.control.send(encode_frame(handshake.receive_hello(self.control.payload() or b"")))
        handshake.receive_auth(self.control.payload() or b"", self.control.control_binding())
        self._ks = handshake.ks
        answer = handshake.established(Limits(MOST, MOST, MOST), heartbeat, timeout)
        self.control.send(encode_frame(answer))
        register = self.control.hear()
        assert isinstance(register, Register), register
        results = tuple(MappingResult(each.name, "ok", each.remote_port) for each in register.mappings)
        self.control.say(RegisterResp(register.id, "ok", results))
        return register

    def leg(self) -> raw.Raw:
        """Ask for a leg and take it."""
        self.control.say(NeedLegs(False, 1))
        connection = self.accept()
        leg = connection.hear()
        assert isinstance(leg, Leg), leg
        connection.say(LegOk(leg_server_mac(self._ks, leg.sid, leg.seq, leg.purpose, self.binding)))
        return connection

    def opens(self, connection: raw.Raw, body: bytes) -> str:
        """Send an OPEN; say how the client took it: what its RST says, `opened`, or `closed`."""
        connection.send(encode_leg_frame(LegFrame.OPEN, body))
        for kind, answer in frames(connection):
            if kind is LegFrame.OPENED:
                return "opened"
            if kind is LegFrame.RST:
                # Both directions have ended with this, and the client says DONE.
                connection.send(encode_leg_frame(LegFrame.RST, b'{"code":"x"}'))
                done, _ = next(frames(connection), (None, b""))
                assert done is LegFrame.DONE, done
                return answer.decode()
        return "closed"

    def flood(self, connection: raw.Raw, count: int, body: Callable[[int], bytes]) -> None:
        """Send so many OPENs that are refused, each ended by us, and read all answers."""
        rst = encode_leg_frame(LegFrame.RST, b'{"code":"x"}')
        batches = itertools.count(0)
        while (start := next(batches) * 50) < count:
            numbers = range(start, min(start + 50, count))
            connection.send(b"".join(encode_leg_frame(LegFrame.OPEN, body(n)) + rst for n in numbers))
            kinds = [kind for kind, _ in itertools.islice(frames(connection), 2 * len(numbers))]
            assert kinds == [LegFrame.RST, LegFrame.DONE] * len(numbers), kinds


def frames(connection: raw.Raw) -> Iterator[tuple[LegFrame, bytes]]:
    """Yield what comes on a leg, until it is closed."""
    while len(header := connection.exactly(4)) == 4:
        yield LegFrame(header[0]), connection.exactly(int.from_bytes(header[1:], "big"))
