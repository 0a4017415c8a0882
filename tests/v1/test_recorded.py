"""The recorded session of the original peers, with one end of it played to ours."""

from __future__ import annotations

from gotunnel.wire import v1
from tests.v1.peers import Wire
from tests.v1.recording import events, payloads
from tests.v1.stage import ServerTestCase


def names(messages: list[v1.V1Message]) -> list[str]:
    """Return what kinds of messages they are."""
    return [type(message).__name__ for message in messages]


class ClientPlayedTests(ServerTestCase):
    """The Go client's bytes, as they were recorded, to our server."""

    def setUp(self) -> None:
        super().setUp()
        self.outcome: list[tuple[bytes, bool]] = []

    async def play(self, port: int, connection: int, remote: int) -> Wire:
        """Play one connection in turns: what the client says next waits for as much as the original server had said
        by then."""
        wire = await self.wire(port)
        wire.on_message = lambda message: setattr(wire, "raw", connection == 1)
        due = 0
        for event in events(remote=remote):
            if event.connection != connection:
                continue
            if event.sender == "server":
                due += event.data.count(b'"type"') if event.what == "bytes" else 0
                await self.until(lambda w=wire, d=due: len(w.heard) >= d, f"message {due} of {connection}")
            elif event.what == "bytes":
                if b"offline_port" in event.data:
                    await self.until(lambda: self.outcome, "the visitor's end")
                wire.transport.write(event.data)
            elif wire.ended is None:
                wire.transport.loseConnection()
        await self.until(lambda: wire.ended, "the end")
        return wire

    def heard(self, wire: Wire) -> list[v1.V1Message]:
        """Return what our server said."""
        return [v1.decode_object(message) for message in wire.heard]

    async def test_session(self) -> None:
        """Our server answers each frame as the Go server did, in the same order, and the visitor has his echo."""
        server = await self.v1_server()
        remote = self.free_port()

        async def visit() -> None:
            await self.said("open at")
            visitor = await self.connect(remote)
            visitor.transport.write(b"hello")
            leg = await self.play(server.address.port, 1, remote)
            self.assertEqual(names(self.heard(leg)), ["Answer"])
            await self.until(lambda: visitor.ended, "the visitor's end")
            self.outcome.append((visitor.received, visitor.was_reset))

        self.background(visit())
        control = await self.play(server.address.port, 0, remote)
        expected = [v1.decode(payload) for payload in payloads(0, "server")]
        self.assertEqual(sorted(names(self.heard(control))), sorted(names(expected)))
        self.assertEqual(self.outcome, [(b"hello", False)])

    async def test_refusal(self) -> None:
        """The wrong token gets the very answer of the Go server."""
        server = await self.v1_server()
        wire = await self.play(server.address.port, 2, self.free_port())
        self.assertEqual(self.heard(wire), [v1.decode(payload) for payload in payloads(2, "server")])
