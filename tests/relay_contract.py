"""The conformance suite of relays: what every way to move bytes between visitors, legs and targets must do. A test case
mixes RelayContract in and says how its relay is made; sockets, clock and reactor are real."""

from __future__ import annotations

import hashlib
import os
import random
import socket
import time
from collections import deque
from typing import Any

from twisted.internet import reactor
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread
from zope.interface.verify import verifyObject

from gotunnel.core.outcome import Outcome
from gotunnel.interfaces import ILeg, ILegOwner, ILocal, IRelay
from gotunnel.wire.legstate import End

from .relay_begins import RelayBegins
from .relay_faults import RelayFaults
from .relay_flows import RelayFlows
from .relay_held import RelayHeld
from .relay_link import Link, abort, digest_of, echo, holdings, push, read_all, until, was_reset
from .relay_stage import MIB, Case

__all__ = ["RelayContract"]


class RelayContract(RelayBegins, RelayFlows, RelayHeld, RelayFaults):
    """What a relay does with honest ends; faults and dishonest ones are in RelayFaults."""

    async def test_interfaces(self) -> None:
        """Relay, leg, visitor and owner are what they say."""
        lone = await self.lone(End.OPENER)
        lone.leg.probe()
        visitor = lone.visit()
        await until(lambda: lone.owner.waiting, "the visitor waits")
        local = lone.owner.waiting[0]
        for interface, thing in ((IRelay, lone.relay), (ILeg, lone.leg), (ILegOwner, lone.owner), (ILocal, local)):
            verifyObject(interface, thing)
        self.assertEqual((local.host, local.address), ("127.0.0.1", "{}:{}".format(*visitor.getsockname())))
        self.assertEqual(local.destination(), "{}:{}".format(*visitor.getpeername()))
        self.assertEqual((lone.leg.end, lone.leg.plain, lone.leg.opens), (End.OPENER, not self.tls, 0))
        await lone.stop()
        await self.at_base()

    # Bytes.

    async def echo_bulk(self, link: Link) -> None:
        """Fresh random bytes come back as they went, all of them, and both ends count them."""
        await self._echo(link, self.bulk)

    async def echo_some(self, link: Link) -> None:
        """The same, less of it."""
        await self._echo(link, 300_000)

    async def _echo(self, link: Link, size: int) -> None:
        visitor, target = await link.visit()
        content = os.urandom(size)
        back = deferToThread(echo, target)
        got = deferToThread(digest_of, visitor, size)
        await deferToThread(visitor.sendall, content)
        visitor.shutdown(socket.SHUT_WR)
        self.assertEqual(await got, hashlib.sha256(content).digest())
        await back
        self.assertEqual(await deferToThread(read_all, visitor), b"")
        for end in await link.rest():
            self.assertEqual((end.outcome, end.code, end.up, end.down), (Outcome.COMPLETED, None, size, size))

    async def one_byte_at_a_time(self, link: Link) -> None:
        """Each byte passes by itself, both ways, without waiting for company."""
        stream = await link.visit()

        def ping_pong() -> bytes:
            heard = b""
            for value in range(200):
                stream.visitor.sendall(bytes((value,)))
                stream.target.sendall(stream.target.recv(10))
                heard += stream.visitor.recv(10)
            return heard

        self.assertEqual(await deferToThread(ping_pong), bytes(range(200)))
        stream.visitor.close()
        stream.target.close()

    async def half_close(self, link: Link) -> None:
        """Who has said all still hears the answer, either way round, also after a silence."""
        for way in (0, 1):
            near, far = (await link.visit()).ways()[way]
            near.sendall(b"question")
            near.shutdown(socket.SHUT_WR)
            self.assertEqual(await deferToThread(read_all, far), b"question")
            answer = os.urandom(100_000)
            await deferToThread(time.sleep, 0.25)  # looks at both connections happen, and find nothing wrong
            await deferToThread(far.sendall, answer)
            far.shutdown(socket.SHUT_WR)
            self.assertEqual(await deferToThread(read_all, near), answer)
            await self.outcome(link, Outcome.COMPLETED, Outcome.COMPLETED)

    async def answer_and_close(self, link: Link) -> None:
        """Who has said all and reads late gets all of a long answer, though the other side has closed long before."""
        for way in (0, 1):
            near, far = (await link.visit()).ways()[way]
            near.shutdown(socket.SHUT_WR)
            self.assertEqual(await deferToThread(read_all, far), b"")
            answer = os.urandom(2 * MIB)
            answering = deferToThread(far.sendall, answer)
            await deferToThread(time.sleep, 0.15)
            reading = deferToThread(read_all, near)
            await answering
            far.close()
            self.assertEqual(await reading, answer)
            await self.outcome(link, Outcome.COMPLETED, Outcome.COMPLETED)

    async def unsent_at_close(self, link: Link) -> None:
        """A mebibyte that is sent and closed upon arrives at a slow reader, either way round."""
        for way in (0, 1):
            near, far = (await link.visit()).ways()[way]
            content = os.urandom(MIB)
            sending = deferToThread(near.sendall, content)
            reading = deferToThread(read_all, far, 0.002)
            await sending
            near.close()
            self.assertEqual(await reading, content)
            far.close()
            await self.outcome(link, Outcome.COMPLETED, Outcome.COMPLETED)

    async def slow_reader(self, link: Link) -> None:
        """Who does not read stops who sends to him, either way round, and gets every byte when he reads again."""
        for way in (0, 1):
            near, far = (await link.visit()).ways()[way]
            sent = await deferToThread(push, near, 256 * MIB)
            # Three receive buffers of the kernel, of up to 32 MiB each, its send buffers, and little of ours.
            self.assertLess(sent, 128 * MIB)
            near.shutdown(socket.SHUT_WR)
            self.assertEqual(await deferToThread(lambda far=far: len(read_all(far))), sent)
            far.close()
            await self.outcome(link, Outcome.COMPLETED, Outcome.COMPLETED)

    async def target_speaks_first(self, link: Link) -> None:
        """A greeting reaches a visitor who waits for it."""
        visitor, target = await link.visit()
        target.sendall(b"220 ready")
        self.assertEqual(await deferToThread(visitor.recv, 100), b"220 ready")
        visitor.close()
        target.close()

    async def counted_meanwhile(self, link: Link) -> None:
        """While a visitor is served both ends know what he has carried, large pieces too; the opener hears once that
        the first byte for him is here, not before it is, and nothing is left of it for the next visitor."""
        opener, before = link.opener, link.opener.first_bytes
        stream = await link.visit()
        for leg in (opener.leg, link.dialler.leg):
            self.assertEqual(leg.carried, (0, 0))
        await deferToThread(stream.visitor.sendall, b"q" * 1000)
        await deferToThread(digest_of, stream.target, 1000)
        self.assertEqual(opener.first_bytes, before)
        for _ in range(2):
            sending = deferToThread(stream.target.sendall, bytes(MIB))
            await deferToThread(digest_of, stream.visitor, MIB)
            await sending
        self.assertEqual(opener.first_bytes, before + 1)
        for leg in (opener.leg, link.dialler.leg):
            self.assertEqual(leg.carried, (1000, 2 * MIB))
        stream.visitor.close()
        stream.target.close()
        await self.outcome(link, Outcome.COMPLETED, Outcome.COMPLETED)
        self.assertEqual((opener.leg.carried, link.dialler.first_bytes), ((0, 0), 0))

    async def target_closes_at_once(self, link: Link) -> None:
        """A target that closes without a word is a clean end for the visitor, whose own words go nowhere."""
        visitor, target = await link.visit()
        target.close()
        self.assertEqual(await deferToThread(read_all, visitor), b"")
        visitor.close()
        await self.outcome(link, Outcome.COMPLETED, Outcome.COMPLETED)

    # Resets.

    async def reset(self, link: Link) -> None:
        """A reset passes as a reset, either way round."""
        for way, outcome in ((0, Outcome.RESET_BY_VISITOR), (1, Outcome.RESET_BY_TARGET)):
            near, far = (await link.visit()).ways()[way]
            near.sendall(b"so far")
            self.assertEqual(await deferToThread(far.recv, 100), b"so far")
            abort(near)
            self.assertTrue(await deferToThread(was_reset, far))
            await self.outcome(link, outcome, outcome)

    async def reset_after_fin(self, link: Link) -> None:
        """A reset passes also when its direction had ended, and nothing is sent that would meet it."""
        for way, outcome in ((0, Outcome.RESET_BY_VISITOR), (1, Outcome.RESET_BY_TARGET)):
            near, far = (await link.visit()).ways()[way]
            near.shutdown(socket.SHUT_WR)
            self.assertEqual(await deferToThread(far.recv, 100), b"")
            abort(near)
            self.assertTrue(await deferToThread(was_reset, far, after_fin=True))
            await self.outcome(link, outcome, outcome)

    async def reset_while_paused(self, link: Link) -> None:
        """Somebody who is not read any more, since nobody takes his bytes, resets: that is noticed."""
        for way, outcome in ((0, Outcome.RESET_BY_VISITOR), (1, Outcome.RESET_BY_TARGET)):
            near, far = (await link.visit()).ways()[way]
            await deferToThread(push, near, 256 * MIB)
            abort(near)
            self.assertTrue(await deferToThread(was_reset, far))
            await self.outcome(link, outcome, outcome)

    async def owner_resets(self, link: Link) -> None:
        """At the word of either owner both sockets are reset, both ends give the same account of it, and the leg
        lives. A code that says nothing of that stands for whoever is behind the end that said it."""
        others = Outcome.RESET_BY_TARGET, Outcome.RESET_BY_VISITOR
        for code, ours in (("going_away", Outcome.DRAINED), ("kicked", Outcome.STOPPED), ("strange", None)):
            for way, owner in enumerate((link.opener, link.dialler)):
                visitor, target = await link.visit()
                target.sendall(b"x")
                self.assertEqual(await deferToThread(visitor.recv, 1), b"x")
                owner.leg.reset(code)
                for far in (visitor, target):
                    self.assertTrue(await deferToThread(was_reset, far))
                ends = await link.rest()
                self.assertEqual((ends[way].outcome, ends[way].code), (ours or Outcome.STOPPED, code))
                self.assertEqual((ends[1 - way].outcome, ends[1 - way].code), (ours or others[1 - way], code))

    async def refused(self, link: Link) -> None:
        """A target that refuses resets the visitor within a second, also one that has said all already."""
        link.target.close()
        for ends_first in (False, True):
            visitor = link.visit_alone()
            visitor.sendall(b"hello?")
            if ends_first:
                visitor.shutdown(socket.SHUT_WR)
            begin = time.monotonic()
            self.assertTrue(await deferToThread(was_reset, visitor))
            self.assertLess(time.monotonic() - begin, 1.0)
            ends = await link.rest()
            self.assertEqual([(end.outcome, end.code) for end in ends], [(Outcome.REFUSED, "refused")] * 2)
        link.target = socket.create_server(link.target_address)
        link.target.settimeout(20)

    async def early_data(self, link: Link) -> None:
        """What a visitor sends, and that he has ended, waits for a dial that takes its time."""
        content = os.urandom(200_000)
        visitor, target = await link.visit_early(content)
        self.assertEqual(await deferToThread(read_all, target), content)
        target.sendall(b"thanks")
        target.close()
        self.assertEqual(await deferToThread(read_all, visitor), b"thanks")

    # The cases, each twice on one leg, and all of them on one leg.

    async def test_bug_at_an_arrival(self) -> None:
        """A bug of who is told of a visitor is logged and resets him, and nothing is left of him; the next one is
        accepted."""
        await deferLater(reactor, 0)
        self.base = holdings()
        relay: Any = self.make_relay()
        bugs, visitors = [ZeroDivisionError()], deque[Any]()

        def on_visitor(local: ILocal) -> None:
            if bugs:
                raise bugs.pop()
            visitors.append(local)

        port = relay.listen(self.host, 0, on_visitor, 50)
        place = port.getHost().host, port.getHost().port
        with socket.create_connection(place, 5) as first, socket.create_connection(place, 5):
            self.assertTrue(await deferToThread(was_reset, first))
            await until(lambda: visitors, "the next one is accepted")
            self.assertEqual((len(self.flushLoggedErrors(ZeroDivisionError)), relay.locals), (1, 1))
            visitors[0].abort()
            await until(lambda: not relay.locals, "nobody is left")
        await port.stopListening()
        relay.stop()
        await self.at_base()

    async def test_echo(self) -> None:
        """64 MiB come back byte by byte, twice over one leg."""
        await self.run_cases(self.echo_bulk, self.echo_bulk)

    async def test_one_byte_at_a_time(self) -> None:
        """Interactive use."""
        await self.run_cases(self.one_byte_at_a_time, self.one_byte_at_a_time)

    async def test_counted_meanwhile(self) -> None:
        """For an operator who looks."""
        await self.run_cases(self.counted_meanwhile, self.counted_meanwhile)

    async def test_half_close(self) -> None:
        """The two directions of a stream end each for itself."""
        await self.run_cases(self.half_close, self.half_close)

    async def test_answer_and_close(self) -> None:
        """The last bytes are not lost."""
        await self.run_cases(self.answer_and_close, self.answer_and_close)

    async def test_unsent_at_close(self) -> None:
        """A close does not overtake bytes."""
        await self.run_cases(self.unsent_at_close, self.unsent_at_close)

    async def test_slow_reader(self) -> None:
        """Memory is bounded."""
        await self.run_cases(self.slow_reader, self.slow_reader)

    async def test_target_speaks_first(self) -> None:
        """SSH, SMTP and the like."""
        await self.run_cases(self.target_speaks_first, self.target_speaks_first)

    async def test_target_closes_at_once(self) -> None:
        """Load balancers' probes, and services that are full."""
        await self.run_cases(self.target_closes_at_once, self.target_closes_at_once)

    async def test_reset(self) -> None:
        """A reset stays one."""
        await self.run_cases(self.reset, self.reset)

    async def test_reset_after_fin(self) -> None:
        """A reset stays one after FIN too."""
        await self.run_cases(self.reset_after_fin, self.reset_after_fin)

    async def test_reset_while_paused(self) -> None:
        """A reset is not overlooked while bytes wait."""
        await self.run_cases(self.reset_while_paused, self.reset_while_paused)

    async def test_owner_resets(self) -> None:
        """Draining."""
        await self.run_cases(self.owner_resets, self.owner_resets)

    async def test_refused(self) -> None:
        """Nobody listens at the target."""
        await self.run_cases(self.refused, self.refused)

    async def test_early_data(self) -> None:
        """No round trip is lost."""
        await self.run_cases(self.early_data, self.early_data)

    async def test_all_on_one_leg(self) -> None:
        """Whatever a visitor did, the next one finds the leg as new."""
        cases: list[Case] = [
            self.echo_some,
            self.one_byte_at_a_time,
            self.target_speaks_first,
            self.target_closes_at_once,
            self.reset,
            self.reset_after_fin,
            self.owner_resets,
            self.refused,
            self.early_data,
        ]
        order = cases * 3
        random.Random(9).shuffle(order)
        await self.run_cases(*order)
