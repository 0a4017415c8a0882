"""Connects a client to its server: resolve, connect, TLS, greet. One attempt at a time; retries are decided
elsewhere."""

from __future__ import annotations

from typing import Any

from twisted.internet import error
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IProtocolFactory
from twisted.internet.protocol import Protocol
from twisted.protocols.tls import TLSMemoryBIOFactory

from gotunnel.address import HostPort
from gotunnel.errors import GotunnelError, Sentence
from gotunnel.net.biotls import BioTls
from gotunnel.net.descriptors import OUT_OF_DESCRIPTORS, Descriptors
from gotunnel.net.endpoint import TcpTransport
from gotunnel.net.greeting import Greeted, Greeting
from gotunnel.net.legtls import LegTls
from gotunnel.net.quiet import OneProtocol
from gotunnel.net.reasons import words_of
from gotunnel.net.tls import ClientCreator
from gotunnel.net.trust import server_name_of

__all__ = ["ServerPath", "Unreachable"]


class Unreachable(GotunnelError):
    """The server cannot be reached; the text says why."""


class ServerPath:
    """The path from this client to one server.

    `tls` is None if the network provides secrecy. `legs` is set if legs use a TLS library of their own (`net.biotls`).
    `ip` is the one address to connect to; without it the name is resolved anew each time, and any address will do.
    `transport` is an ITransportProvider; None means TCP.
    """

    def __init__(
        self,
        reactor: Any,
        address: HostPort,
        tls: ClientCreator | None,
        legs: LegTls | None = None,
        descriptors: Descriptors | None = None,
        ip: str | None = None,
        transport: Any = None,
    ) -> None:
        self.server = address
        """The server as the configuration names it."""
        self.address = address if ip is None else HostPort(ip, address.port)
        self.label = str(address) if ip is None else f"{address} ({ip})"
        """The server's name in logs."""
        self._gate = None if descriptors is None else descriptors.visitors
        self._reactor = reactor
        self._transport = TcpTransport(reactor) if transport is None else transport
        self._tls = tls
        self._legs = legs

    def use(self, tls: ClientCreator, legs: LegTls | None) -> None:
        """Use these for new connections: certificate files have changed."""
        self._tls, self._legs = tls, legs

    @property
    def by_certificate(self) -> bool:
        """Whether the server must prove itself by its certificate before anything else."""
        return self._tls is not None and not self._tls.trusts_anybody

    @property
    def encrypted(self) -> bool:
        """Whether connections use TLS by default."""
        return self._tls is not None

    async def greet(self, greeting: Greeting, timeout: float) -> Greeted:
        """Connect and carry out `greeting`, that of a control connection.

        `timeout` (seconds) limits the connect only; the greeting has its own. Raises Unreachable, AuthRejected or
        RemoteProtocolError. Cancelling closes the connection and raises CancelledError, or Unreachable while the name
        is being resolved.
        """
        return await self._greet(greeting, greeting, timeout, self._tls)

    async def greet_leg(self, greeting: Greeting, timeout: float, *, plain: bool, sni: str | None) -> Greeted:
        """The same for a leg. `plain` keeps it outside TLS. `sni` is the server name that routes it; the name that the
        certificate must have comes from the client's own file. Legs may not use the reserve of descriptors, which is
        for control connections."""
        if self._gate is not None and not self._gate.has_room():
            self._gate.say()
            raise Unreachable("this client is out of file descriptors")
        if plain or self._tls is None:
            return await self._greet(greeting, greeting, timeout, None)
        sni = None if sni is None else server_name_of(sni)  # the server chose it, and it may be invalid
        if self._legs is None:
            return await self._greet(greeting, greeting, timeout, self._tls.routed(sni))
        legs = self._legs
        wrapped = BioTls(
            legs.context, greeting, server_side=False, server_name=sni or legs.sni, verify=legs.verify,
            chain_problem=legs.chain_problem,
        )  # fmt: skip
        return await self._greet(wrapped, greeting, timeout, None)

    async def _greet(
        self, first: Protocol, greeting: Greeting, timeout: float, tls: ClientCreator | None
    ) -> Greeted:
        factory: IProtocolFactory = OneProtocol(lambda: first)
        if tls is not None:
            # Like Twisted's `wrapClientTLS`, whose small writes would wait for the global reactor.
            factory = TLSMemoryBIOFactory(tls, True, factory, clock=self._reactor)
            factory.noisy = False
        endpoint = self._transport.endpoint(self.server, self.address, timeout)
        connecting: Deferred[Any] = endpoint.connect(factory)
        try:
            await connecting
        except (CancelledError, error.ConnectingCancelledError):
            raise CancelledError from None
        except Exception as failed:  # noqa: BLE001 - whatever the error, there is no connection
            raise Unreachable(Sentence(
                "cannot reach {label}: {failed}", label=self.label, failed=_said(failed)
            )) from None
        return await greeting.done


def _said(failed: Exception) -> str:
    if isinstance(failed, error.ConnectError) and failed.osError in OUT_OF_DESCRIPTORS:
        return "this client is out of file descriptors"
    return words_of(failed)
