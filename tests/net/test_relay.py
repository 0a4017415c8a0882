"""The portable relay against the contract of all relays, over plain and over TLS legs."""

from __future__ import annotations

from twisted.internet import reactor
from twisted.trial.unittest import TestCase

from gotunnel.interfaces import IRelay
from gotunnel.net import pathwatch
from gotunnel.net.relay import PortableRelay
from tests.relay_contract import RelayContract


class PortableRelayTests(RelayContract, TestCase):
    """Plain legs."""

    def make_relay(self) -> IRelay:
        self.patch(pathwatch, "INTERVAL", 0.1)
        return PortableRelay(reactor)


class PortableRelayOverTlsTests(PortableRelayTests):
    """Legs in TLS."""

    tls = True
