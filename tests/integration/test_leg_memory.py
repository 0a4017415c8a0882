"""What a leg inside TLS keeps of a large transfer: OpenSSL's memory BIOs never give back what they once held."""

from __future__ import annotations

import sys
from typing import Any
from unittest import skipUnless

from .base import IntegrationTestCase, Peer

SIZE = 3 << 20


class _Counting:
    """A session or a BIO, and the most that was written to it at once."""

    def __init__(self, real: Any) -> None:
        self.most = 0
        self._real = real

    def write(self, data: Any) -> int:
        self.most = max(self.most, len(data))
        written: int = self._real.write(data)
        return written

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


class _Sends(Peer):
    """Sends much, once it has heard something."""

    def dataReceived(self, data: bytes) -> None:
        self.transport.write(bytes(SIZE))


@skipUnless(sys.platform.startswith("linux"), "the fast relay needs Linux")
class BioTests(IntegrationTestCase):
    """Both ends of the fast relay."""

    relay = "fast"

    async def test_little_at_once(self) -> None:
        """A download arrives whole, and no BIO is given more at once than a few records."""
        from gotunnel.net.fast.tlsleg import PLAIN_AT_ONCE, SEALED_AT_ONCE

        target, _ = await self.target(_Sends)
        server = await self.server()
        client = await self.open_client(server, self.mapping(target))
        (session,) = server.hub._present
        assert client.link.session is not None
        brought = client.link.session.legs.legs
        await self.until(lambda: len(session._legs) == len(brought) == 2, "two legs, with both ends")
        legs: list[Any] = [*session._legs, *brought]
        for leg in legs:
            leg._incoming, leg._session = _Counting(leg._incoming), _Counting(leg._session)
        visitor = await self.connect(self.port_of(client))
        visitor.transport.write(b"go")
        await self.until(lambda: len(visitor.received) == SIZE or visitor.ended, "all of it")
        self.assertEqual(len(visitor.received), SIZE)
        plain, sealed = (max(counted.most for counted in each) for each in (
            [leg._session for leg in legs], [leg._incoming for leg in legs],
        ))  # fmt: skip
        self.assertTrue(PLAIN_AT_ONCE // 4 < plain <= PLAIN_AT_ONCE, plain)
        self.assertTrue(SEALED_AT_ONCE // 4 < sealed <= SEALED_AT_ONCE, sealed)
