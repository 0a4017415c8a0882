"""The part of the relay contract about an end that has no manners inside TLS, below the frames."""

from __future__ import annotations

import _ssl
import ctypes
import select
import socket
from pathlib import Path
from typing import Any
from unittest import SkipTest

from twisted.internet import reactor
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread

from gotunnel.net import legbase
from gotunnel.net.biotls import BioTls
from gotunnel.net.transports import raw_socket
from gotunnel.wire.legs import data_header
from gotunnel.wire.legstate import End, State

from .relay_breaches import OPEN
from .relay_link import Lone, Owner, connected_pair, holdings, until
from .relay_stage import RelayStage

__all__ = ["RelayTls"]

UPDATE_REQUESTED = 1  # SSL_KEY_UPDATE_REQUESTED: the other end is to change its keys, too


class KeyUpdates:
    """Makes a session of `ssl` ask for new keys, for which the module has no words."""

    def __init__(self, session: Any) -> None:
        library = ctypes.CDLL(_ssl.__file__)
        try:
            self._ask, self._go_on = library.SSL_key_update, library.SSL_do_handshake
        except AttributeError:
            raise SkipTest("this Python shows nobody the OpenSSL that it has inside") from None
        # The pointer stands behind the head of the object and one pointer to another.
        place = id(session._sslobj) + object.__basicsize__ + ctypes.sizeof(ctypes.c_void_p)
        self._session = ctypes.c_void_p.from_address(place)

    def ask(self, count: int) -> None:
        """Ask so many times."""
        for _ in range(count):
            if self._ask(self._session, UPDATE_REQUESTED) != 1 or self._go_on(self._session) != 1:
                raise AssertionError("OpenSSL does not ask")


class RelayTls(RelayStage):
    """What a relay does with such an end; for legs inside TLS."""

    async def test_behind_the_leftover(self) -> None:
        """A record that came with the handshake's last one may not be decrypted yet when the leg is made. What is in it
        keeps its place behind the OPEN, whose target takes a while."""
        ours, theirs = await self.pair(alone=True)
        theirs.write(data_header(5) + b"hello")
        if isinstance(ours, BioTls):  # Twisted's TLS decrypts what comes by itself
            ours.transport.stopReading()
            sock = raw_socket(ours.transport)
            await until(lambda: select.select([sock], [], [], 0)[0], "the record is there")
            ours.incoming.write(sock.recv(65536))
        lone = Lone(self.make_relay(), (ours, theirs), End.DIALLER, False, OPEN)
        lone.owner.hold = True
        await until(lambda: lone.owner.bodies, "the OPEN is there")
        self.assertEqual((lone.leg.state, lone.owner.lost), (State.DIALLING, []))
        lone.owner.hold = False
        lone.owner.dial()
        target = await lone.accept()
        self.assertEqual(await deferToThread(target.recv, 8), b"hello")
        await lone.stop()
        await self.at_base()

    async def test_wants_keys_and_never_reads(self) -> None:
        """TLS answers each wish for new keys by itself: an end that has many and never reads does not fill our memory,
        and is found out on an idle leg, which nobody looks at otherwise."""
        self.patch(legbase, "MOST_QUEUED", 150_000)
        await deferLater(reactor, 0)  # trial starts the reactor when a test waits for the first time
        self.base = holdings()
        state = Path(self.mktemp())
        state.mkdir()
        ours, peer = await connected_pair(state, (self.own_tls, True))
        for transport, option in ((ours, socket.SO_SNDBUF), (peer, socket.SO_RCVBUF)):
            sock = raw_socket(transport.transport if isinstance(transport, BioTls) else transport)
            sock.setsockopt(socket.SOL_SOCKET, option, 4096)
        relay = self.make_relay()
        owner = Owner(relay)
        owner.leg = relay.leg(ours, b"", End.OPENER, owner, False)
        peer.transport.pauseProducing()
        wishes, most = KeyUpdates(peer.session), 0
        for _ in range(300):
            wishes.ask(100)
            peer.transport.write(peer.outgoing.read())
            await deferLater(reactor, 0.002)
            if owner.lost:
                break
            most = max(most, owner.leg._unsent())
        self.assertEqual(owner.lost, ["protocol error: it wants answers of TLS and reads none"])
        self.assertGreater(most, 150_000, "it was not before its time")
        peer.transport.abortConnection()
        relay.stop()
        await self.at_base()
