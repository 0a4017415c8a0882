"""A visitor's or target's connection by itself: its options, its endings, and what a killed process leaves behind."""

from __future__ import annotations

import select
import signal
import socket
import struct
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionLost
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from gotunnel.net import pathwatch
from gotunnel.net.local import Local
from gotunnel.net.relay import PortableRelay
from gotunnel.net.sockets import held_by_kernel
from gotunnel.net.transports import unsent_bytes
from tests.processes import DEADLINE, ProcessTestCase
from tests.relay_link import abort, read_all, until, was_reset

HOLDER = """
import sys
from twisted.internet import reactor
from gotunnel.net.relay import PortableRelay

relay, kept = PortableRelay(reactor), []

def visitor(local):
    kept.append(local)
    if "half" in sys.argv:
        local.half_close()
    print("here", flush=True)

port = relay.listen("127.0.0.1", 0, visitor, 10)
print(port.getHost().port, flush=True)
reactor.run()
"""


class KilledTests(ProcessTestCase):
    """A process that is killed takes no stream for complete."""

    def kill(self, *arguments: str) -> socket.socket:
        """Return a visitor's socket whose other end was held by a process that is now killed."""
        script = self.folder / "holder.py"
        script.write_text(HOLDER)
        process = self.start(str(script), *arguments)
        assert process.stdout is not None
        visitor = socket.create_connection(("127.0.0.1", int(process.stdout.readline())), DEADLINE)
        self.addCleanup(visitor.close)
        visitor.sendall(b"unread")
        self.assertEqual(process.stdout.readline(), "here\n")
        process.send_signal(signal.SIGKILL)
        process.wait()
        return visitor

    def test_reset(self) -> None:
        """kill -9 of the process that holds a connection resets it."""
        self.assertRaises(ConnectionResetError, self.kill().recv, 1)

    def test_reset_after_half_close(self) -> None:
        """Also one whose sending direction had ended: what he still sends cannot arrive."""
        visitor = self.kill("half")
        poller = select.poll()
        poller.register(visitor, 0)
        self.assertTrue(poller.poll(DEADLINE * 1000))
        self.assertRaises((BrokenPipeError, ConnectionResetError), visitor.sendall, b"x")


class Sink:
    """Keeps what a leg would be told."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.got = b""

    def local_data(self, data: bytes) -> None:
        self.got += data

    def __getattr__(self, name: str) -> Any:
        return lambda: self.told.append(name)


class LocalTests(TestCase):
    """One connection and a sink."""

    timeout = 30

    async def visit(self) -> tuple[Local, socket.socket]:
        """Return a visitor at our side and at his."""
        self.patch(pathwatch, "INTERVAL", 0.05)
        relay = self.relay = PortableRelay(reactor)
        came: list[Local] = []
        port = relay.listen("127.0.0.1", 0, came.append)
        far = socket.create_connection(("127.0.0.1", port.getHost().port), 15)
        await until(lambda: came, "he is there")
        await port.stopListening()
        self.addCleanup(far.close)

        async def clear() -> None:
            came[0].abort()
            await until(lambda: came[0].gone, "he is gone")
            relay.stop()

        self.addCleanup(lambda: Deferred.fromCoroutine(clear()))
        return came[0], far

    async def test_options(self) -> None:
        """From the first moment a death of this process would reset him; segments go at once, silence is probed."""
        local, _ = await self.visit()
        sock = local.transport.getHandle()
        self.assertEqual(sock.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8), struct.pack("ii", 1, 0))
        self.assertTrue(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        self.assertTrue(sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE))

    async def test_waits(self) -> None:
        """Nothing is read before a leg wants it; then everything comes in order, the end last."""
        local, far = await self.visit()
        far.sendall(b"early")
        far.shutdown(socket.SHUT_WR)
        sink = Sink()
        local.attach(sink)
        await deferLater(reactor, 0.02)
        self.assertEqual((sink.got, sink.told), (b"", []))
        local.resume()
        await until(lambda: sink.told, "his end is there")
        self.assertEqual((sink.got, sink.told), (b"early", ["local_eof"]))
        local.resume()
        self.assertNotIn(local.transport, reactor.getReaders())

    async def test_finish(self) -> None:
        """Both directions end in order, in either order: the far side sees a clean end, the sink hears of the close."""
        for ours_first in (False, True):
            local, far = await self.visit()
            sink = Sink()
            local.attach(sink)
            local.resume()
            local.write(b"x" * 300_000)
            if ours_first:
                local.half_close()
                self.assertEqual(len(await deferToThread(read_all, far)), 300_000)
            far.shutdown(socket.SHUT_WR)
            await until(lambda sink=sink: "local_eof" in sink.told, "his end is there")
            local.finish()
            self.assertEqual(await deferToThread(read_all, far), b"" if ours_first else b"x" * 300_000)
            await until(lambda local=local: local.gone, "it is closed")
            self.assertEqual(sink.told[-1], "local_closed")
            self.assertEqual(far.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR), 0)

    async def test_last_bytes(self) -> None:
        """One who takes none of his last bytes is given up after two minutes; one who takes some is not."""
        local, far = await self.visit()
        self.addCleanup(far.close)
        sink = Sink()
        local.attach(sink)
        local.resume()
        far.shutdown(socket.SHUT_WR)
        await until(lambda: "local_eof" in sink.told, "his end is there")
        local.write(bytes(32 << 20))
        local.finish()
        limit = pathwatch.LAST_BYTES_LIMIT
        for _ in range(3):
            left = unsent_bytes(local.transport)
            while unsent_bytes(local.transport) == left:
                await deferToThread(far.recv, 1 << 20)
            await until(lambda: held_by_kernel(local.transport.getHandle()), "the kernel is full again")
            await deferLater(reactor, 0.05)
            local.check(reactor.seconds())
            local.check(reactor.seconds() + limit / 2)
            self.assertFalse(local.gone)
        local.check(reactor.seconds())
        local.check(reactor.seconds() + limit + 1)
        await until(lambda: local.gone, "he is given up")
        self.assertEqual(sink.told[-1], "local_lost")

    async def test_reset_while_finishing(self) -> None:
        """One who resets while he is given his last bytes is lost, and not closed."""
        local, far = await self.visit()
        sink = Sink()
        local.attach(sink)
        local.resume()
        far.shutdown(socket.SHUT_WR)
        await until(lambda: "local_eof" in sink.told, "his end is there")
        local.write(bytes(32 << 20))
        local.finish()
        abort(far)
        await until(lambda: local.gone, "he is gone")
        self.assertEqual(sink.told[-1], "local_lost")

    async def test_reset_when_both_wait(self) -> None:
        """One who has ended, and to whom nobody sends, is found out when he resets."""
        local, far = await self.visit()
        sink = Sink()
        local.attach(sink)
        local.resume()
        far.shutdown(socket.SHUT_WR)
        await until(lambda: "local_eof" in sink.told, "his end is there")
        abort(far)
        await until(lambda: local.gone, "he is gone")
        self.assertEqual(sink.told, ["local_eof", "local_lost"])

    async def test_ended_is_not_reset(self) -> None:
        """One with whom both directions have ended while he is not read keeps his bytes for later."""
        local, far = await self.visit()
        sink = Sink()
        local.attach(sink)
        local.half_close()
        self.assertEqual(await deferToThread(read_all, far), b"")
        far.sendall(b"for later")
        far.close()
        for _ in range(3):
            local.check(0.0)
        self.assertFalse(local.gone or sink.told)
        local.resume()
        await until(lambda: sink.told, "his end is there")
        self.assertEqual((sink.got, sink.told), (b"for later", ["local_eof"]))
        local.finish()
        self.assertEqual(sink.told, ["local_eof", "local_closed"])

    async def test_reactor_stops(self) -> None:
        """A connection that the reactor drops as it stops is reset, and not shut down in order."""
        local, far = await self.visit()
        local.transport.connectionLost(Failure(ConnectionLost()))
        self.assertTrue(await deferToThread(was_reset, far))
        # Gone, it is looked at no more.
        self.assertFalse(self.relay._watch._watched)

    async def test_abort(self) -> None:
        """An abort resets also when bytes are unsent, and again does nothing."""
        local, far = await self.visit()
        sink = Sink()
        local.attach(sink)
        local.write(bytes(32 << 20))
        local.detach()
        local.abort()
        local.abort()
        self.assertTrue(await deferToThread(was_reset, far))
        await until(lambda: local.gone, "he is gone")
        local.abort()
        local.half_close()
        local.resume()
        self.assertEqual([word for word in sink.told if word != "local_full"], [])

    async def test_on_gone(self) -> None:
        """Who is reset before a leg has him tells his owner, once; a leg that gets him then hears that he is lost."""
        local, far = await self.visit()
        told: list[str] = []
        local.on_gone = lambda: told.append("gone")
        abort(far)
        await until(lambda: told, "he is gone")
        sink = Sink()
        local.attach(sink)
        self.assertEqual((told, sink.told), (["gone"], ["local_lost"]))

    async def test_on_gone_is_unset(self) -> None:
        """With a leg it is the leg alone that hears of it."""
        local, far = await self.visit()
        told: list[str] = []
        local.on_gone = lambda: told.append("gone")
        sink = Sink()
        local.attach(sink)
        local.resume()
        abort(far)
        await until(lambda: sink.told, "he is gone")
        self.assertEqual((told, sink.told), ([], ["local_lost"]))
