"""The fast relay against the contract of all relays: over plain legs, over TLS of its own and over Twisted's; on
trial's reactor, where each descriptor is one of the reactor's. Its own loop is tried in test_pump."""

from __future__ import annotations

import sys
from unittest import skipUnless

from twisted.internet import reactor
from twisted.trial.unittest import TestCase

from gotunnel.interfaces import IRelay
from gotunnel.net import pathwatch
from tests.relay_contract import RelayContract

LINUX = sys.platform.startswith("linux")


@skipUnless(LINUX, "the fast relay needs Linux")
class FastRelayTests(RelayContract, TestCase):
    """Plain legs: recv and send for what is small, splice for what is large."""

    def make_relay(self) -> IRelay:
        from gotunnel.net.fast.relay import FastRelay

        self.patch(pathwatch, "INTERVAL", 0.1)
        return FastRelay(reactor)


class FastRelayOverOwnTlsTests(FastRelayTests):
    """Legs on the standard library's TLS."""

    tls = own_tls = True


class FastRelayOverTwistedTlsTests(FastRelayTests):
    """Legs of a peer that dialled them without the server name."""

    tls = True
