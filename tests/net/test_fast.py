"""The fast relay against the contract of all relays: over plain legs, over TLS of its own and over Twisted's; on
trial's reactor, where each descriptor is one of the reactor's. Its own loop is tried in test_pump."""

from __future__ import annotations

import sys
from unittest import skipUnless

from twisted.internet import reactor
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from gotunnel.core.outcome import Outcome
from gotunnel.interfaces import IRelay
from gotunnel.net import pathwatch
from tests.relay_contract import RelayContract
from tests.relay_link import abort, push, until, was_reset
from tests.relay_stage import MIB

LINUX = sys.platform.startswith("linux")


@skipUnless(LINUX, "the fast relay needs Linux")
class FastRelayTests(RelayContract, TestCase):
    """Plain legs: recv and send for what is small, splice for what is large."""

    def make_relay(self) -> IRelay:
        from gotunnel.net.fast.relay import FastRelay

        self.patch(pathwatch, "INTERVAL", 0.1)
        return FastRelay(reactor)

    async def test_quiet_streams_are_not_looked_at(self) -> None:
        """Where nothing is under way nobody looks; with the next byte, or when nobody takes more, somebody does, and
        notices a reset that the kernel tells nobody."""
        link = await self.link()
        watched = [relay._tools.watch._watched for relay in link.relays]  # type: ignore[attr-defined]
        for way, outcome in ((0, Outcome.RESET_BY_VISITOR), (1, Outcome.RESET_BY_TARGET)):
            stream = await link.visit()
            near, far = stream.ways()[way]
            for _ in range(2):
                near.sendall(b"a word")
                self.assertEqual(await deferToThread(far.recv, 100), b"a word")
                self.assertTrue(watched[way], "the leg that was written to")
                await until(lambda: not any(watched), "the stream is quiet")
            await deferToThread(push, near, 256 * MIB)
            self.assertTrue(all(watched), "neither end can pass on what it has")
            abort(near)
            self.assertTrue(await deferToThread(was_reset, far))
            await self.outcome(link, outcome, outcome)
        await link.stop()
        await self.at_base()


class FastRelayOverOwnTlsTests(FastRelayTests):
    """Legs on the standard library's TLS."""

    tls = own_tls = True


class FastRelayOverTwistedTlsTests(FastRelayTests):
    """Legs of a peer that dialled them without the server name."""

    tls = True
