"""What `gotunnel doctor` finds of a target of datagrams that is a name with several addresses."""

from __future__ import annotations

import socket
import sys
from typing import Any
from unittest import skipUnless

from twisted.internet import reactor
from twisted.trial.unittest import TestCase

from gotunnel.address import HostPort
from gotunnel.cli.doctor import datagrams
from gotunnel.cli.doctor.datagrams import check_datagrams
from gotunnel.errors import DialFailed
from gotunnel.net.targetsocket import TargetSocket
from tests.integration.udp import Service
from tests.net.targetflows import FIRST, SECOND, Slow
from tests.ports import free_port


@skipUnless(sys.platform.startswith("linux"), "only Linux has all of 127.0.0.0/8")
class NameTests(TestCase):
    """Its service answers, so that nobody has to wait for a refusal that does not come."""

    timeout = 30

    def setUp(self) -> None:
        self.slow = Slow()
        self.target = HostPort("service.test", free_port(self))

    def serve(self) -> None:
        """Listen at the second address."""
        clock: Any = reactor
        listening = clock.listenUDP(self.target.port, Service(), interface=SECOND)
        self.addCleanup(listening.stopListening)

    async def found(self) -> tuple[str, str]:
        """Examine it; return what is found, and how grave it is."""
        (finding,) = await check_datagrams(self.slow, "mapping dns", self.target, 5.0)
        self.assertEqual(self.slow.clock.getDelayedCalls(), [])
        return finding.status, finding.message

    async def test_addresses(self) -> None:
        """One that refuses is no fault as long as another one does not; it is where all do."""
        self.assertEqual(await self.found(), (
            "problem", f"{self.target}: its system says that nobody listens there (UDP)"
        ))
        self.serve()
        status, said = await self.found()
        self.assertEqual((status, said.partition(";")[0]), ("note", f"nothing refuses datagrams to {self.target}"))
        self.slow.hosts = (SECOND, FIRST)
        self.assertEqual((await self.found())[0], "note")

    async def test_no_way(self) -> None:
        """Nor is one to which there is no way, or which cannot be sent to."""
        self.serve()
        made = TargetSocket

        def there(reactor: Any, host: str, *more: Any) -> TargetSocket:
            if host == FIRST:
                raise DialFailed("unreachable", "no way")
            return made(reactor, host, *more)

        self.patch(datagrams, "TargetSocket", there)
        self.assertEqual((await self.found())[0], "note")
        self.slow.hosts = (FIRST,)
        self.assertEqual(await self.found(), ("problem", "no way"))
        self.slow.hosts = (SECOND,)
        self.patch(socket.socket, "connect", lambda *_: None)
        self.assertEqual((await self.found())[0], "problem")

    async def test_forbidden(self) -> None:
        """Nor is one that a firewall forbids, as it says, while another one can be reached; where there is none, that
        is what is told."""
        self.serve()
        made = TargetSocket
        forbidden = {FIRST}

        def firewalled(reactor: Any, host: str, port: int, arrived: Any, refused: Any, unreached: Any) -> TargetSocket:
            return made(reactor, host, port, arrived, unreached if host in forbidden else refused)

        self.patch(datagrams, "TargetSocket", firewalled)
        self.assertEqual((await self.found())[0], "note")
        self.slow.hosts = (FIRST,)
        self.assertEqual(await self.found(), (
            "problem", f"{self.target}: a router or firewall on the way refuses the packets (UDP)"
        ))
