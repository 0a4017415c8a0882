"""Legs of version 1 carry no id: whose visitors may one get? And how does a leg end?"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import Any

from gotunnel.core.outcome import Outcome
from gotunnel.net import joint, pathwatch
from gotunnel.net.sockets import PathState
from gotunnel.server.published import Published
from tests.integration.base import Peer, reactor
from tests.v1.peers import V1_TOKEN, GoClient, Wire
from tests.v1.stage import OK, ServerTestCase

PUBLISHED_OPENED = Published._opened
SECRET = b"Authorization: secret"

DOOMED = """
import json, socket, sys
port, remote, token = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]

def say(sock, **message):
    payload = json.dumps(message).encode()
    sock.sendall(len(payload).to_bytes(4, "big") + payload)

def hear(sock):
    length = int.from_bytes(sock.recv(4, socket.MSG_WAITALL), "big")
    return json.loads(sock.recv(length, socket.MSG_WAITALL))

early = socket.socket()  # its number is below that of the control connection, and it is closed first
control = socket.create_connection(("127.0.0.1", port))
say(control, type="register", local_port=1, remote_port=remote, protocol="tcp", token=token, name="doomed")
hear(control)
print("open", flush=True)
hear(control)
leg = early if sys.argv[4] == "leg first" else socket.socket()
leg.connect(("127.0.0.1", port))
say(leg, type="data_channel", local_port=1, remote_port=remote, token=token, name="doomed")
hear(leg)
leg.sendall(b"half of it")
print("sent", flush=True)
sys.stdin.read()
"""


class OwnershipTests(ServerTestCase):
    """G8 of the original: whoever knew the token could wait for another client's visitors."""

    async def test_never_ahead(self) -> None:
        """A leg that nobody asked for is refused, and gets nothing of the visitor who comes next."""
        server = await self.v1_server()
        target, served = await self.target()
        client = await self.go_client(server, target)
        ahead = [await client.leg() for _ in range(3)]
        for leg in ahead:
            self.assertIn("no visitor", await self.refused(leg))
        visitor = await self.echoes(client.remote, SECRET)
        self.assertEqual([leg.received for leg in ahead], [b"", b"", b""])
        self.assertEqual((visitor.received, len(served)), (SECRET, 1))

    async def test_one_for_each(self) -> None:
        """One open_data_channel is good for one leg: the second is refused while the first is served."""
        client = await self.go_client(await self.v1_server(), auto=False)
        visitor = await self.connect(client.remote)
        visitor.transport.write(SECRET)
        await self.asked(client)
        first = await client.leg()
        self.assertEqual(first.heard[0]["status"], "ok")
        self.assertIn("no visitor", await self.refused(await client.leg()))
        await self.until(lambda: first.received == SECRET, "the visitor's words")

    async def test_not_asked_for(self) -> None:
        """A visitor who waits is no leave to bring a leg: without an open_data_channel that is outstanding it is
        refused."""
        server = await self.v1_server()
        client = await self.go_client(server, auto=False)
        visitor = await self.connect(client.remote)
        visitor.transport.write(SECRET)
        await self.asked(client)
        (session,) = server.hub.v1._present
        session._asked.clear()  # as if it had not been asked for, or too long ago
        self.assertIn("no visitor", await self.refused(await client.leg()))

    async def test_another_address(self) -> None:
        """From another address than the control connection's a leg is refused, token or not, and the visitor's bytes go
        to the right one."""
        client = await self.go_client(await self.v1_server(), auto=False)
        visitor = await self.connect(client.remote)
        visitor.transport.write(SECRET)
        await self.asked(client)
        thief = await client.leg(host="127.0.0.2")
        self.assertIn("address", await self.refused(thief))
        self.assertEqual(thief.received, b"")
        right = await client.leg()
        await self.until(lambda: right.received == SECRET, "the visitor's words")

    async def test_another_mapping(self) -> None:
        """A leg gets visitors of its own mapping alone: name, remote port and local port must all fit."""
        server = await self.v1_server()
        client, other = await self.go_client(server, auto=False), await self.go_client(server, auto=False)
        await self.connect(client.remote)
        await self.asked(client)
        for fields in ({"remote_port": other.remote}, {"name": "somebody"}, {"local_port": 9999}):
            self.assertTrue(await self.refused(await client.leg(**fields)))
        self.assertEqual((await client.leg()).heard[0]["status"], "ok")

    async def test_without_session(self) -> None:
        """Once the control connection is gone its legs are refused, though its visitors still wait."""
        server = await self.v1_server()
        client = await self.go_client(server, auto=False)
        await self.connect(client.remote)
        await self.asked(client)
        client.control.transport.loseConnection()
        await self.said("lost (")
        self.assertTrue(await self.refused(await client.leg()))

    async def test_visitor_left(self) -> None:
        """A leg for a visitor who has left serves the next one who waits, and is refused when there is none."""
        self.patch(pathwatch, "INTERVAL", 0.02)
        server = await self.v1_server()
        client = await self.go_client(server, auto=False)
        first = await self.connect(client.remote)
        await self.asked(client)
        first.transport.abortConnection()
        await self.said("ended: visitor_left")
        self.assertIn("no visitor", await self.refused(await client.leg()))
        second = await self.connect(client.remote)
        second.transport.write(SECRET)
        await self.asked(client, 2)
        leg = await client.leg()
        await self.until(lambda: leg.received == SECRET, "the second visitor's words")

    async def test_too_late(self) -> None:
        """Who gets no leg in time is reset, and what was asked for him is good for nobody later."""
        server = await self.v1_server(leg_wait=0.2)
        client = await self.go_client(server, auto=False)
        visitor = await self.connect(client.remote)
        await self.until(lambda: visitor.was_reset, "the end of his patience")
        self.assertEqual(server.hub.outcomes[Outcome.NO_LEG], 1)
        await self.pause(0.1)
        self.assertEqual(server.hub.v1.legs_expected_from("127.0.0.1"), 0)  # type: ignore[union-attr]
        self.assertIn("no visitor", await self.refused(await client.leg()))

    async def test_legs_beside_strangers(self) -> None:
        """Legs that were asked for come in beside the limit of one address: they turn nobody out."""
        server = await self.v1_server(limits={"unauthenticated_per_address": 2})
        client = await self.go_client(server, auto=False)
        for _ in range(3):
            await self.connect(client.remote)
        await self.asked(client, 3)
        strangers = [await self.wire(server.address.port) for _ in range(3)]
        for _ in range(2):
            self.assertEqual((await client.leg()).heard[0]["status"], "ok")
        self.assertEqual([stranger.ended for stranger in strangers], [None] * 3)


class EndTests(ServerTestCase):
    """Whose end is whose."""

    async def pair(self, **config: Any) -> tuple[Any, GoClient, Peer, Wire]:
        """A visitor on a leg."""
        server = await self.v1_server(**config)
        client = await self.go_client(server, auto=False)
        visitor = await self.connect(client.remote)
        await self.asked(client)
        return server, client, visitor, await client.leg()

    async def test_reset_of_visitor(self) -> None:
        """A visitor who resets resets the leg."""
        _, _, visitor, leg = await self.pair()
        visitor.transport.abortConnection()
        await self.until(lambda: leg.was_reset, "the reset")
        await self.said("ended: reset_by_visitor")

    async def test_reset_of_leg(self) -> None:
        """A leg that is reset resets its visitor."""
        _, _, visitor, leg = await self.pair()
        leg.transport.abortConnection()
        await self.until(lambda: visitor.was_reset, "the reset")
        await self.said("ended: leg_lost")

    async def test_clean_end(self) -> None:
        """A leg that ends while its client lives ends its visitor in order."""
        _, client, visitor, leg = await self.pair()
        leg.transport.write(b"all of it")
        leg.transport.loseConnection()
        await self.until(lambda: visitor.ended, "the end")
        self.assertFalse(visitor.was_reset)
        self.assertEqual(visitor.received, b"all of it")
        self.assertIsNone(client.control.ended)

    async def test_streams_outlive_the_session(self) -> None:
        """When the server drops a silent client, what streams goes on, and ends in order."""
        server, _, visitor, leg = await self.pair()
        (session,) = server.hub.v1._present
        session._control.abort("dropped by the test")
        await self.said("dropped by the test")
        leg.transport.write(b"still here")
        leg.transport.loseConnection()
        await self.until(lambda: visitor.ended, "the end")
        self.assertFalse(visitor.was_reset)
        self.assertEqual(visitor.received, b"still here")
        await self.until(lambda: not server.hub.v1.left, "nothing is left of the session")

    async def test_unacknowledged(self) -> None:
        """A leg on which nothing is acknowledged any more is given up, and its visitor reset."""
        _, _, visitor, _ = await self.pair()
        self.patch(pathwatch, "UNACKNOWLEDGED_LIMIT", 0.1)
        self.patch(joint, "path_state", lambda sock: PathState(3, 10_000, False))
        await self.until(lambda: visitor.was_reset, "the reset")
        await self.said("ended: leg_lost")

    async def test_killed(self) -> None:
        """A client that is killed cuts its visitors with a reset, whichever of its connections the kernel ends first:
        nobody takes half an answer for a whole one."""
        server = await self.v1_server()
        for order in ("leg first", "control first"):
            remote = self.free_port()
            words = [sys.executable, "-c", DOOMED, str(server.address.port), str(remote), V1_TOKEN, order]
            process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            assert process.stdout is not None and process.stdin is not None
            os.set_blocking(process.stdout.fileno(), False)
            said = process.stdout
            await self.until(lambda s=said: b"open" in (s.read() or b""), "its port is open")
            visitor = await self.connect(remote)
            await self.until(lambda v=visitor: v.received == b"half of it", "half of it")
            process.send_signal(signal.SIGKILL)
            await self.until(lambda v=visitor: v.ended, "the end")
            process.wait()
            process.stdout.close()
            process.stdin.close()
            self.assertTrue(visitor.was_reset, order)

    async def test_killed_a_little_apart(self) -> None:
        """Where the end of the leg arrives a moment before that of the control connection, the visitor is reset too."""
        _, client, visitor, leg = await self.pair()
        leg.transport.write(b"half of it")
        await self.until(lambda: visitor.received == b"half of it", "half of it")
        reactor.callLater(0.02, client.control.transport.loseConnection)
        leg.transport.loseConnection()
        await self.until(lambda: visitor.ended, "the end")
        self.assertTrue(visitor.was_reset)

    async def test_drained(self) -> None:
        """When the server stops, visitors have their time, and then are cut; nothing is left."""
        server, client, visitor, _ = await self.pair(drain_timeout=0.3)
        begun = reactor.seconds()
        await self.stop(server)
        self.assertGreaterEqual(reactor.seconds() - begun, 0.3)
        await self.until(lambda: visitor.was_reset and client.control.ended, "both ends")
        self.assertEqual(server.hub.outcomes[Outcome.DRAINED], 1)
        self.assertTrue(self.nobody_listens(client.remote))



class MeasureTests(ServerTestCase):
    """Neither visitors nor faults of ours make a session do more than it should."""

    async def test_visitors_who_leave(self) -> None:
        """However many visitors come and go, no more legs are asked for at a time than visitors may wait; and those who
        wait in the end have theirs."""
        self.patch(pathwatch, "INTERVAL", 0.02)  # who looks for visitors who have left
        server = await self.v1_server(limits={"pending": 5}, leg_wait=300)
        client = await self.go_client(server, auto=False)
        for number in range(12):
            visitor = await self.connect(client.remote)
            visitor.transport.abortConnection()
            await self.said("visitor_left", number + 1)
        self.assertEqual(len(client.control.of("open_data_channel")), 5)
        visitors = [await self.connect(client.remote) for _ in range(3)]
        await self.until(lambda: server.hub.live == 3, "three who wait")
        legs = [await client.leg() for _ in range(3)]
        self.assertEqual([leg.heard[0]["status"] for leg in legs], ["ok"] * 3)
        for number, visitor in enumerate(visitors):
            visitor.transport.write(b"%d" % number)
        await self.until(lambda: [leg.received for leg in legs] == [b"0", b"1", b"2"], "each on a leg")

    async def test_fault_of_ours(self) -> None:
        """A fault while a port is opened is logged, and does not keep the port from the next attempt."""
        server = await self.v1_server()
        port = self.free_port()

        def broken(*_: object) -> None:
            raise RuntimeError("planted by the test")

        self.patch(Published, "_opened", broken)
        client = GoClient(self, server.address.port, port)
        await client.register()
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
        await self.until(lambda: not server.hub.v1.left, "nothing is left")
        self.patch(Published, "_opened", PUBLISHED_OPENED)
        self.assertEqual(await GoClient(self, server.address.port, port).register(), OK)

    async def test_orderly_leave(self) -> None:
        """A client that says offline_port and closes its control connection leaves in order: what streams then ends as
        its leg ends."""
        server = await self.v1_server()
        client = await self.go_client(server, auto=False)
        visitor = await self.connect(client.remote)
        await self.asked(client)
        leg = await client.leg()
        client.control.say(type="offline_port", port=client.remote)
        client.control.transport.loseConnection()
        await self.said("lost (")
        leg.transport.write(b"all of it")
        leg.transport.loseConnection()
        await self.until(lambda: visitor.ended, "the end")
        self.assertEqual((visitor.received, visitor.was_reset), (b"all of it", False))

    async def test_served_while_it_stops(self) -> None:
        """Who waits when the server is told to stop still gets his leg, and finishes."""
        server = await self.v1_server(drain_timeout=10.0)
        target, _ = await self.target()
        client = await self.go_client(server, target, auto=False)
        visitor = await self.connect(client.remote)
        visitor.transport.write(b"last words")
        await self.asked(client)
        self.background(self.stop(server))
        await self.until(lambda: self.nobody_listens(client.remote), "its port is closed")
        leg = await client.leg()
        await self.until(lambda: leg.received == b"last words", "his words")
        leg.transport.write(b"and the answer")
        leg.transport.loseConnection()
        await self.until(lambda: visitor.ended, "the end")
        self.assertEqual((visitor.received, visitor.was_reset), (b"and the answer", False))
        visitor.hang_up()
        await self.said("server stopped")
