"""What a Go gotunnel does on the wire, written anew from what is known of it: its client and its server, without most
of their bugs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from gotunnel.net.quiet import OneProtocol
from tests.integration.base import IntegrationTestCase, Peer, reactor
from tests.ports import free_port

__all__ = ["V1_TOKEN", "GoClient", "GoServer", "GoTestCase", "HalfOpen", "Wire", "framed"]

V1_TOKEN = "7be2c95d40f1a683e9d2b70c4816fa35"


def framed(**message: Any) -> bytes:
    """Return a frame as Go's json.Marshal writes it: compact."""
    payload = json.dumps(message, separators=(",", ":")).encode()
    return len(payload).to_bytes(4, "big") + payload


class Wire(Peer):
    """A connection of version 1: frames, until `raw` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[dict[str, Any]] = []
        self.raw = False
        self.on_message: Callable[[dict[str, Any]], None] = lambda message: None

    def say(self, **message: Any) -> None:
        """Send a message."""
        self.transport.write(framed(**message))

    def dataReceived(self, data: bytes) -> None:
        self.received += data
        while not self.raw and len(self.received) >= 4:
            end = 4 + int.from_bytes(self.received[:4], "big")
            if len(self.received) < end:
                return
            message = json.loads(self.received[4:end])
            self.received = self.received[end:]
            self.heard.append(message)
            self.on_message(message)

    def of(self, kind: str) -> list[dict[str, Any]]:
        """Return the messages of one type that were heard."""
        return [message for message in self.heard if message["type"] == kind]


@implementer(IHalfCloseableProtocol)
class HalfOpen(Peer):
    """A connection that outlives the end of one direction."""

    def __init__(self) -> None:
        super().__init__()
        self.eof = False

    def readConnectionLost(self) -> None:
        self.eof = True

    def writeConnectionLost(self) -> None:
        """Nothing follows."""


class GoClient:
    """A Go client with one mapping. With `auto` it serves each visitor, as the real one does; else the test brings the
    legs."""

    def __init__(self, case: GoTestCase, server: int, remote: int, local: int = 8080, **more: Any) -> None:
        self.case = case
        self.server = server
        self.remote = remote
        self.local = local
        self.name: str = more.pop("name", "go-edge")
        self.token: str = more.pop("token", V1_TOKEN)
        self.host: str = more.pop("host", "127.0.0.1")
        self.auto: bool = more.pop("auto", True)
        self.control: Wire
        self.legs: list[tuple[Wire, Peer]] = []

    async def register(self, **more: Any) -> dict[str, Any]:
        """Connect, register, and return the answer."""
        self.control = await self.case.wire(self.server, self.host)
        self.control.on_message = self._message
        self.control.say(
            **{
                "type": "register", "local_port": self.local, "remote_port": self.remote, "protocol": "tcp",
                "token": self.token, "name": self.name, **more,
            }
        )  # fmt: skip
        await self.case.until(lambda: self.control.heard or self.control.ended, "an answer to register")
        return self.control.heard[0] if self.control.heard else {}

    async def leg(self, **more: Any) -> Wire:
        """Bring a leg, and wait for the answer."""
        leg = await self.case.wire(self.server, more.pop("host", self.host))
        leg.on_message = lambda message: setattr(leg, "raw", True)
        leg.say(
            **{
                "type": "data_channel", "local_port": self.local, "remote_port": self.remote, "protocol": "",
                "token": self.token, "name": self.name, **more,
            }
        )  # fmt: skip
        await self.case.until(lambda: leg.heard or leg.ended, "an answer to data_channel")
        return leg

    def _message(self, message: dict[str, Any]) -> None:
        if message["type"] == "open_data_channel" and self.auto:
            self.case.background(self._serve(message["local_port"]))

    async def _serve(self, port: int) -> None:
        leg = await self.leg()
        if leg.heard[0]["status"] != "ok":
            leg.transport.loseConnection()
            return
        target = await self.case.connect(port)
        self.legs.append((leg, target))
        _relay(leg, target)

    def die(self) -> None:
        """What the kernel does when the process is killed: everything is closed, with FIN."""
        for leg, target in self.legs:
            if leg.ended is None:
                leg.transport.loseConnection()
            if target.ended is None:
                target.transport.loseConnection()
        self.control.transport.loseConnection()


def _relay(one: Peer, other: Peer) -> None:
    """Go's RelayConn: both ways, and the end of either way ends both."""
    for source, sink in ((one, other), (other, one)):
        if source.received:
            sink.transport.write(source.received)

        def lost(reason: Failure = connectionDone, source: Peer = source, sink: Peer = sink) -> None:
            source.ended = reason
            if sink.ended is None:
                sink.transport.loseConnection()

        source.dataReceived = sink.transport.write  # type: ignore[method-assign]
        source.connectionLost = lost  # type: ignore[method-assign]


class GoServer(Factory):
    """A Go server. It listens for visitors itself, one port for each registration, and pairs them with legs by their
    order."""

    noisy = False

    def __init__(self, case: GoTestCase, token: str = V1_TOKEN) -> None:
        self.case = case
        self.token = token
        self.wires: list[Wire] = []
        self.controls: list[Wire] = []
        self.legs: list[Wire] = []
        self.visitors: list[Peer] = []
        self.ports: dict[int, Any] = {}
        self._holders: dict[int, Wire] = {}
        self.pongs = True
        self.answer: dict[str, Any] | None = None
        self.port = 0
        self._listening: Any = None

    def start(self, port: int = 0) -> GoServer:
        """Listen."""
        self._listening = reactor.listenTCP(port, self, interface="127.0.0.1")
        self.port = self._listening.getHost().port
        return self

    async def stop(self) -> None:
        """Close everything."""
        if self._listening is not None:
            await maybeDeferred(self._listening.stopListening)
            self._listening = None
        for port in tuple(self.ports):
            await self.close(port)
        for wire in (*self.wires, *self.visitors):
            wire.hang_up()
        await self.case.until(lambda: all(wire.ended for wire in (*self.wires, *self.visitors)), "all are gone")

    async def close(self, port: int) -> None:
        """Close a public port."""
        listening = self.ports.pop(port, None)
        if listening is not None:
            await maybeDeferred(listening.stopListening)

    def buildProtocol(self, addr: object) -> Protocol:
        wire = Wire()
        wire.on_message = lambda message: self._message(wire, message)
        self.wires.append(wire)
        return wire

    def open(self, control: Wire, local_port: int) -> None:
        """Ask for a leg, in the original's words."""
        control.say(
            type="open_data_channel", local_port=local_port, remote_port=0, protocol="", token="", name=""
        )

    def _message(self, wire: Wire, message: dict[str, Any]) -> None:
        kind = message["type"]
        if kind == "ping":
            if self.pongs:
                wire.say(type="pong", time=message["time"])
            return
        if kind == "offline_port":
            self.case.background(self.close(message["port"]))
            return
        if self.answer is not None:
            wire.say(**self.answer)
        elif message.get("token") != self.token:
            wire.say(type="register_resp", status="fail", reason="authentication failed")
            wire.transport.loseConnection()
        elif kind == "register":
            self.controls.append(wire)
            self._holders[message["remote_port"]] = wire
            wire.say(type="register_resp", status="ok")
            if message["remote_port"] not in self.ports:
                self._listen(message)
        elif kind == "data_channel":
            wire.raw = True
            self.legs.append(wire)
            wire.say(type="register_resp", status="ok")
            waiting = [visitor for visitor in self.visitors if not hasattr(visitor, "leg")]
            if waiting:
                waiting[0].leg = wire  # type: ignore[attr-defined]
                wire.received = b""
                _relay(waiting[0], wire)

    def _listen(self, message: dict[str, Any]) -> None:
        server = self

        class Visitors(Factory):
            noisy = False

            def buildProtocol(self, addr: object) -> Protocol:
                visitor = Peer()
                server.visitors.append(visitor)
                server.open(server._holders[message["remote_port"]], message["local_port"])
                return visitor

        port = reactor.listenTCP(message["remote_port"], Visitors(), interface="127.0.0.1")
        self.ports[message["remote_port"]] = port


class GoTestCase(IntegrationTestCase):
    """A test with peers of version 1."""

    def setUp(self) -> None:
        super().setUp()
        self._background: list[Any] = []

    def background(self, coroutine: Any) -> None:
        """Run something; it must have ended well when the test ends."""
        running = Deferred.fromCoroutine(coroutine)
        if not self._background:
            self.addCleanup(self._all_done)
        self._background.append(running)

    async def _all_done(self) -> None:
        for running in self._background:
            await running

    async def wire(self, port: int, host: str = "127.0.0.1") -> Wire:
        """The same, to exchange frames."""
        wire = Wire()
        await self.join(wire, port, host)
        return wire

    async def join(self, peer: Any, port: int, host: str = "127.0.0.1") -> Any:
        """Connect a protocol to a port of 127.0.0.1 from an address of this machine."""
        endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", port, 10, bindAddress=(host, 0))
        await endpoint.connect(OneProtocol(lambda: peer))
        self.addCleanup(self._gone, peer)
        return peer

    async def _gone(self, peer: Peer) -> None:
        peer.hang_up()
        await self.until(lambda: peer.ended, "the end of a connection")

    @staticmethod
    def nobody_listens(port: int) -> bool:
        """Say whether a connection to a port of 127.0.0.1 would be refused."""
        tables = (Path(f"/proc/net/{name}") for name in ("tcp", "tcp6"))
        rows = [line.split() for table in tables if table.exists() for line in table.read_text().splitlines()[1:]]
        return not any(row[3] == "0A" and row[1].endswith(f":{port:04X}") for row in rows)

    def free_port(self) -> int:
        """Return a port of 127.0.0.1 that is free."""
        return free_port(self)

    async def go_client(self, server: Any, target: int = 8080, **more: Any) -> GoClient:
        """Start a Go client, which must be let in; its remote port is a free one."""
        client = GoClient(self, server.address.port, more.pop("remote", None) or self.free_port(), target, **more)
        self.assertEqual(await client.register(), {"type": "register_resp", "status": "ok"})
        return client
