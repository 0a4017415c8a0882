"""The tunnel that a Twisted programmer writes in an afternoon, the 1.00 of every ratio: no TLS, no authentication.

It is `twisted.protocols.portforward` with the network in the middle. The server asks the client over a control
connection for one data connection per visitor; each pair of connections is glued together as `portforward` does it.

    python -m bench.naive server CONTROL PUBLIC
    python -m bench.naive client CONTROL TARGET
"""

from __future__ import annotations

import sys
from itertools import count
from typing import Any

from twisted.internet import protocol, reactor
from twisted.protocols import basic, portforward

__all__ = ["main"]

HOST = "127.0.0.1"
real: Any = reactor


class Server:
    """What the two listening ports of the server share."""

    def __init__(self) -> None:
        self.control: Any = None
        self.waiting: dict[bytes, Visitor] = {}
        self.numbers = count()


class Visitor(portforward.Proxy):
    """A visitor, paused until its data connection is there."""

    factory: Any

    def connectionMade(self) -> None:
        server: Server = self.factory.server
        self.number = b"%d" % next(server.numbers)
        server.waiting[self.number] = self
        transport: Any = self.transport
        transport.pauseProducing()
        server.control.write(self.number + b"\n")

    def connectionLost(self, reason: Any = protocol.connectionDone) -> None:
        self.factory.server.waiting.pop(self.number, None)
        super().connectionLost(reason)  # type: ignore[no-untyped-call,unused-ignore]


class Arrival(portforward.Proxy):
    """What the client opens: its first line says `control`, or the number of the visitor that it is for."""

    factory: Any
    begun = b""

    def dataReceived(self, data: bytes) -> None:
        if self.peer is not None:
            super().dataReceived(data)  # type: ignore[no-untyped-call,unused-ignore]
            return
        self.begun += data
        line, end, rest = self.begun.partition(b"\n")
        if not end:
            return
        server: Server = self.factory.server
        transport: Any = self.transport
        if line == b"control":
            server.control = transport
            server.control.write(b"\n")
            return
        visitor = server.waiting.pop(line, None)
        if visitor is None:
            transport.loseConnection()
            return
        other: Any = visitor.transport
        self.setPeer(visitor)
        visitor.setPeer(self)
        transport.registerProducer(other, True)
        other.registerProducer(transport, True)
        other.resumeProducing()
        if rest:
            other.write(rest)


class Data(portforward.ProxyServer):
    """The client's end of a data connection. `ProxyServer` connects it to the target and glues the two."""

    factory: Any

    def connectionMade(self) -> None:
        transport: Any = self.transport
        transport.write(self.factory.number + b"\n")
        super().connectionMade()


class DataFactory(protocol.ClientFactory):  # type: ignore[type-arg,unused-ignore]
    """Makes one data connection; `host` and `port` are what `ProxyServer` connects it to."""

    protocol = Data
    noisy = False
    host = HOST

    def __init__(self, number: bytes, target: int) -> None:
        self.number = number
        self.port = target


class Control(basic.LineOnlyReceiver):
    """The client's control connection: opens the public port by being there, and answers each number."""

    delimiter = b"\n"

    def __init__(self, control: int, target: int) -> None:
        self._control = control
        self._target = target

    def connectionMade(self) -> None:
        transport: Any = self.transport
        transport.write(b"control\n")

    def lineReceived(self, line: bytes) -> None:
        if line:
            real.connectTCP(HOST, self._control, DataFactory(line, self._target))
        else:
            sys.stdout.write("connected\n")
            sys.stdout.flush()

    def connectionLost(self, reason: Any = protocol.connectionDone) -> None:
        if real.running:
            real.stop()


class ControlFactory(protocol.ClientFactory):  # type: ignore[type-arg,unused-ignore]
    """Makes the control connection."""

    noisy = False

    def __init__(self, control: int, target: int) -> None:
        self._ports = control, target

    def buildProtocol(self, addr: Any) -> Control:
        return Control(*self._ports)

    def clientConnectionFailed(self, connector: Any, reason: Any) -> None:
        real.stop()


def main(words: list[str]) -> None:
    """Run one of the two roles until a signal."""
    role, first, second = words[0], int(words[1]), int(words[2])
    portforward.Proxy.noisy = portforward.ProxyClientFactory.noisy = False
    if role == "server":
        server = Server()
        for port, kind in ((first, Arrival), (second, Visitor)):
            factory: Any = protocol.Factory.forProtocol(kind)
            factory.noisy, factory.server = False, server
            real.listenTCP(port, factory, backlog=1024, interface=HOST)
    else:
        real.connectTCP(HOST, first, ControlFactory(first, second))
    real.run()


if __name__ == "__main__":
    main(sys.argv[1:])
