"""The library below asyncio, and in a thread of its own: real processes, since each wants a loop of its own."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import SynchronousTestCase

from gotunnel.api import AuthRejected, Background, PortUnavailable, fixtures, loopback
from gotunnel.api.answers import Answer
from gotunnel.api.reactors import here
from gotunnel.api.threads import ReactorThread
from tests.api.base import ApiTestCase
from tests.integration.base import TOKEN, reactor
from tests.pages import ROOT

PROGRAM = """
import asyncio, gc, sys, threading, warnings
from twisted.internet.defer import Deferred
from twisted.internet.protocol import DatagramProtocol
from gotunnel.api import AuthRejected, Tunnel, expose

class Upper(DatagramProtocol):
    def datagramReceived(self, datagram, addr):
        self.transport.write(datagram.upper(), addr)

class Asking(asyncio.DatagramProtocol):
    def datagram_received(self, data, addr):
        self.answer.set_result(data.decode())

async def ask(address):
    loop = asyncio.get_running_loop()
    transport, asking = await loop.create_datagram_endpoint(Asking, remote_addr=("127.0.0.1", address.port))
    asking.answer = loop.create_future()
    transport.sendto(b"datagram")
    try:
        return await asking.answer
    finally:
        transport.close()

async def serve(reader, writer):
    writer.write(b"from asyncio: " + await reader.readline())
    await writer.drain()
    writer.close()

async def visit(address):
    reader, writer = await asyncio.open_connection("127.0.0.1", address.port)
    writer.write(b"hello\\n")
    answer = await reader.read()
    writer.close()
    return answer.decode().strip()

async def as_task(deferred):
    return await deferred

async def main(server, relay):
    local = await asyncio.start_server(serve, "127.0.0.1", 0)
    number = local.sockets[0].getsockname()[1]
    async with expose(number, "127.0.0.1:0", server=server, relay=relay) as port:
        print(await asyncio.wait_for(visit(port.address), 20))
    async with expose(Upper(), "127.0.0.1:0", server=server, relay=relay) as port:
        print(await asyncio.wait_for(ask(port.address), 20))
    async with Tunnel(server) as tunnel:
        port = await tunnel.expose(number, "127.0.0.1:0")
        print(await asyncio.wait_for(visit(port.address), 20))
        await port.stopListening()
        await port.stopListening()

        async def of_twisted():
            port = await tunnel.expose(number, "127.0.0.1:0")  # by a task, but Twisted drives it
            async with expose(number, "127.0.0.1:0", server=server) as other:
                return type(port).__name__, type(other).__name__

        print(*await Deferred.fromCoroutine(of_twisted()).asFuture(asyncio.get_running_loop()))
        opening = asyncio.ensure_future(as_task(tunnel.expose(number, "127.0.0.1:0")))
        await asyncio.sleep(0)
        opening.cancel()
        await asyncio.wait([opening])
        print(opening.cancelled(), len(tunnel.ports))
    try:
        await expose(number, server=server, token="c41d9f37a5b2408e96e07d1538f2ab64")
    except AuthRejected as refused:
        print(refused.code)
    task = asyncio.ensure_future(expose(number, server="127.0.0.1:1")._open())
    await asyncio.sleep(0.1)
    task.cancel()
    try:
        await task
    except asyncio.CancelledError:
        print("cancelled")
    local.close()

for relay in ("auto", "portable"):
    asyncio.run(main(sys.argv[1], relay))
print(threading.active_count())
"""


class AsyncioTests(ApiTestCase):
    """`asyncio.run`, twice in one process, with a name as the server's address, so that threads look it up."""

    async def test_run(self) -> None:
        """It exposes, fails in types, can be cancelled, and leaves neither threads nor warnings."""
        server = await self.server(allow_udp_ports=("1024-65535",))
        environment = {**os.environ, "GOTUNNEL_TOKEN": TOKEN}
        command = [sys.executable, "-W", "error", "-c", PROGRAM, f"localhost:{server.address.port}"]
        done: Any = await run(command, environment)
        expected = ["from asyncio: hello", "DATAGRAM", "from asyncio: hello", "PublicPort PublicPort", "True 1"]
        expected += ["auth_failed", "cancelled"]
        self.assertEqual(done.stdout.splitlines(), [*expected, *expected, "1"], done.stderr)
        self.assertEqual((done.stderr, done.returncode), ("", 0))


class CancelTests(SynchronousTestCase):
    """A task that is cancelled in the very turn in which what it waits for has come: asyncio tells it of the former
    alone."""

    def test_too_late(self) -> None:
        """What the task has missed is undone, whether it awaits by itself or by way of ours: a port stayed open until
        the end of the process, and nobody had it to close. Who is not cancelled has what has come."""
        undone: list[str] = []

        async def port(name: str, there: Deferred[None]) -> str:
            await there
            return name

        async def plainly(answer: Answer[str]) -> str:
            return await answer

        async def as_future(answer: Answer[str]) -> str:
            return await answer.asFuture(asyncio.get_running_loop())

        ways = [(way, events) for way in (plainly, here, as_future) for events in ("+-", "-+")]

        async def main() -> list[object]:
            found: list[object] = []
            for way, events in (*ways, (here, "+"), (as_future, "+")):
                there: Deferred[None] = Deferred()
                task = asyncio.ensure_future(way(Answer.of(port(way.__name__ + events, there), undone.append)))
                await asyncio.sleep(0.01)
                for event in events:
                    if event == "+":
                        there.callback(None)
                    else:
                        task.cancel()
                found += await asyncio.gather(task, return_exceptions=True)
            return found

        loop = asyncio.new_event_loop()
        self.addCleanup(loop.close)
        *cancelled, one, other = loop.run_until_complete(main())
        self.assertEqual([type(each) for each in cancelled], [asyncio.CancelledError] * 6)
        self.assertEqual((one, other, undone), ("here+", "as_future+", [way.__name__ + events for way, events in ways]))

    def test_future_alone(self) -> None:
        """A future that nobody awaits yet: cancelled as the result comes, the result is undone; not if it was there
        first, since whoever has the future has it."""
        undone: list[str] = []

        async def main() -> None:
            for events in ("-+", "+-"):
                there: Deferred[str] = Deferred()

                async def result(there: Deferred[str] = there) -> str:
                    return await there

                future = Answer.of(result(), undone.append).asFuture(asyncio.get_running_loop())
                for event in events:
                    if event == "+":
                        there.callback(events)
                    else:
                        future.cancel()
                await asyncio.sleep(0)
                self.assertEqual(future.cancelled(), events == "-+")

        loop = asyncio.new_event_loop()
        self.addCleanup(loop.close)
        loop.run_until_complete(main())
        self.assertEqual(undone, ["-+"])


class BackgroundTests(ApiTestCase):
    """For programs that wait."""

    async def test_thread(self) -> None:
        """It exposes from a thread of its own, fails in the caller's, and ends."""
        target, _ = await self.target()
        server = await self.server()
        before = threading.active_count()

        def work() -> tuple[str, str]:
            with Background(f"127.0.0.1:{server.address.port}", token=TOKEN) as tunnel:
                port = tunnel.expose(target, "127.0.0.1:0")
                opened.append(port.port)
                reactor.callFromThread(ready.callback, None)
                done.wait(30)
                with self.assertRaises(PortUnavailable) as caught:
                    tunnel.expose(target, f"127.0.0.1:{server.address.port}")
                port.close()
                text = str(port)
            tunnel.close()
            port.close()
            with self.assertRaises(AuthRejected), Background(
                f"127.0.0.1:{server.address.port}", token="c41d9f37a5b2408e96e07d1538f2ab64"
            ) as wrong:
                wrong.expose(target)
            return text, caught.exception.code

        opened: list[int] = []
        ready: Deferred[None] = Deferred()
        done = threading.Event()
        working: Any = deferToThread(work)
        await ready
        visitor = await self.echoes(opened[0])
        visitor.transport.loseConnection()
        done.set()
        text, code = await working
        self.assertEqual((text, code), (f"127.0.0.1:{opened[0]}", "reserved"))
        self.assertLessEqual(threading.active_count(), before + 1)  # Twisted's own, which served this test


    def test_server_that_does_not_begin(self) -> None:
        """A server on loopback that cannot begin leaves no thread."""
        self.patch(loopback, "make_server", lambda *_: 1 / 0)
        server = loopback.LoopbackServer(self.folder)
        with self.assertRaises(ZeroDivisionError):
            server.__enter__()
        self.assertTrue(server._thread._loop.is_closed())

    def test_all_of_a_call(self) -> None:
        """What is called is called in the thread, and not only waited for there: what it begins at once would run in
        the caller's beside it. A loop that looks (`python -X dev`) refused that, and the caller waited for ever."""
        thread = ReactorThread()
        thread.start()
        self.addCleanup(thread.end)

        async def nothing() -> None:
            return None

        def make() -> Coroutine[Any, Any, None]:
            called.append(threading.current_thread().name)
            return nothing()

        called: list[str] = []
        thread.call(make)
        self.assertEqual(called, ["gotunnel"])


class PytestTests(ApiTestCase):
    """The fixture, in a real run of pytest."""

    timeout = 120

    async def test_fixture(self) -> None:
        """It publishes ports with a server of its own."""
        folder = Path(self.mktemp()).absolute()
        folder.mkdir()
        (folder / "conftest.py").write_text('pytest_plugins = ["gotunnel.api.fixtures"]\n')
        (folder / "test_hook.py").write_text(FIXTURE)
        environment = {key: value for key, value in os.environ.items() if not key.startswith("GOTUNNEL_")}
        environment |= {"PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(folder)]
        done: Any = await run(command, environment, str(folder))
        self.assertIn("2 passed", done.stdout, done.stdout + done.stderr)
        self.assertEqual(done.returncode, 0)

    async def test_server_of_environment(self) -> None:
        """Where the environment names a server the fixture's ports are published there."""
        server = await self.server()
        target, _ = await self.target()
        named = {"GOTUNNEL_SERVER": f"127.0.0.1:{server.address.port}", "GOTUNNEL_TOKEN": TOKEN}
        self.patch(os, "environ", {**os.environ, **named})

        def work() -> int:
            tunnels = fixtures.gotunnel_tunnel.__wrapped__(None)
            exposing = fixtures.gotunnel_expose.__wrapped__(next(tunnels))
            port = next(exposing)(target, "127.0.0.1:0")
            for each in (exposing, tunnels):
                self.assertRaises(StopIteration, next, each)
            return int(port.port)

        port: Any = await deferToThread(work)
        self.assertIn(f"open at 127.0.0.1:{port}", "\n".join(self.lines()))


FIXTURE = '''
import http.server, threading, urllib.request


def serve():
    server = http.server.HTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def test_reached(gotunnel_expose):
    server = serve()
    public = gotunnel_expose(server.server_port, "127.0.0.1:0")
    assert public.port != server.server_port
    with urllib.request.urlopen(f"http://{public}/test_hook.py", timeout=20) as answer:
        assert b"def test_reached" in answer.read()
    server.shutdown()


def test_again(gotunnel_expose):
    server = serve()
    assert gotunnel_expose(server.server_port, "127.0.0.1:0").port
    server.shutdown()
'''


def run(command: list[str], environment: dict[str, str], folder: str | None = None) -> Deferred[Any]:
    """Run a command while the reactor runs."""
    return deferToThread(
        subprocess.run, command, env=environment, cwd=folder or ROOT, capture_output=True, text=True, timeout=90,
        check=False,
    )  # fmt: skip
