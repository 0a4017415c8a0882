"""A tunnel as an object: what a program publishes on one server, and what it reaches through it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.interfaces import IProtocol, IProtocolFactory, IStreamClientEndpoint
from twisted.internet.protocol import DatagramProtocol

from gotunnel.address import InProcess
from gotunnel.api.answers import Answer
from gotunnel.api.datagrams import DatagramListener
from gotunnel.api.dialling import dial
from gotunnel.api.events import Event
from gotunnel.api.listening import EndpointListener, FactoryListener
from gotunnel.api.mappings import forward_config, mapping_config, mapping_section, of_datagrams
from gotunnel.api.port import PublicPort, open_port
from gotunnel.api.reactors import here, reactor_here
from gotunnel.api.session import Session, shared
from gotunnel.api.settings import KNOWN_ANYWAY, Settings, checked_seconds, gathered, refused_option
from gotunnel.errors import NotConnected

__all__ = ["Tunnel"]


class Tunnel:
    """Everything of this process with the same server and the same settings is one session, which is there while
    somebody uses it: an open port, a connection, or `connect` without `close`.

    `server` is `host:port`, or that of the variable GOTUNNEL_SERVER; `token` and `token_file` that of GOTUNNEL_TOKEN.
    `timeout` is the seconds that a call may take (0: as long as it does, also while the server does not let this client
    in), `drain` those that visitors of a port have to finish when it is closed. Nothing connects before the first call.
    Methods return Deferreds; below asyncio `await` and `async with` do what they do on Twisted.
    """

    def __init__(
        self,
        server: str | None = None,
        *,
        name: str | None = None,
        token: str | None = None,
        token_file: str | None = None,
        pin: str | None = None,
        ca: str | None = None,
        cert: str | None = None,
        key: str | None = None,
        server_name: str | None = None,
        tls: bool = True,
        relay: str = "auto",
        profile: str = "default",
        timeout: float = 30.0,
        drain: float = 0.0,
        reactor: Any = None,
    ) -> None:
        """Raises ConfigError for a server that is none, and for times that are none."""
        given = {
            "name": name, "token": token, "token_file": token_file, "pin": pin, "ca": ca, "cert": cert, "key": key,
            "server_name": server_name, "tls": tls, "relay": relay, "profile": profile,
        }  # fmt: skip
        made: list[Any] = gathered(
            lambda: Settings.of(server, **given),
            lambda: checked_seconds("timeout", timeout),
            lambda: checked_seconds("drain", drain),
        )
        self._settings: Settings = made[0]
        self._timeout, self._drain = float(made[1]), float(made[2])
        self._reactor = reactor
        self._ports: list[PublicPort] = []
        self._connected = False
        self._closes = 0

    def __repr__(self) -> str:
        return f"<Tunnel to {self._settings.server}>"

    @property
    def reactor(self) -> Any:
        """The reactor that it runs on: that of this thread if none was named."""
        if self._reactor is None:
            self._reactor = reactor_here()
        return self._reactor

    @property
    def _session(self) -> Session:
        # Looked up each time: one that has ended, and that nobody observes, is another one when it begins again.
        return shared(self._settings, self.reactor)

    @property
    def connected(self) -> bool:
        """Whether the server is there now."""
        return self._session.connected

    @property
    def ports(self) -> tuple[PublicPort, ...]:
        """What this tunnel publishes."""
        return tuple(self._ports)

    def observe(self, observer: Callable[[Event], object]) -> Callable[[], None]:
        """Call `observer` with each Connected, Lost, MappingOpened and MappingClosed from now on. Returns what ends
        that."""
        return self._session.observers.add(observer)

    def check(self) -> None:
        """Raise ConfigError for settings that cannot be used, the token among them. Nothing connects."""
        self._settings.config()

    def connect(self) -> Deferred[Tunnel]:
        """Fires when the server has let this client in, which stays then until `close`. Fails with AuthRejected,
        NotConnected or ConfigError, and then has ended."""
        return Answer.of(self._connect(), None if self._connected else Tunnel.close)

    def expose(
        self,
        what: int | str | IProtocolFactory | IStreamClientEndpoint | DatagramProtocol,
        remote: int | str | None = None,
        *,
        mapping: str | None = None,
        protocol: str | None = None,
        idle: float | None = None,
        encrypt: bool = True,
        health: Any = None,
        clients: Sequence[str] = (),
        public: bool = True,
        group: str | None = None,
        proxy_protocol: str = "off",
        timeout: float | None = None,
        drain: float | None = None,
    ) -> Deferred[PublicPort]:
        """Publish something on the server: a port here, `host:port` or `unix:/path`; a protocol factory or a protocol
        of datagrams, for which no port is opened here; or an endpoint, which is connected for each visitor.

        `remote` is the server's port, or `ip:port` of it; the same as a port that is exposed, else any free one.
        `protocol="udp"` says that a port or an address takes datagrams; a DatagramProtocol need not say so. The
        rest is what a mapping of a client's file can have; only a factory, whose connections know their visitors, can
        have no `proxy_protocol`. Fires when the port is open; fails with PortUnavailable,
        AuthRejected, NotConnected or ConfigError, and cancelled it leaves nothing.
        """
        given = {
            "mapping": mapping, "protocol": protocol, "idle": idle, "encrypt": encrypt, "health": health,
            "clients": tuple(clients) or None, "public": public, "group": group, "proxy_protocol": proxy_protocol,
        }  # fmt: skip
        return Answer.of(self._expose(what, remote, given, timeout, drain), PublicPort.stopListening)

    def dial(
        self,
        target: str,
        factory: IProtocolFactory,
        *,
        encrypt: bool = True,
        timeout: float | None = None,
        keep: float = 0.0,
    ) -> Deferred[IProtocol]:
        """Connect to what stands behind the server: `host:port` or `unix:/path` as the server sees them, or
        `mapping:CLIENT/NAME`. Fires with the protocol when the target has answered; fails with DialFailed, and as
        `connect` does. `keep` is for how many seconds the session outlives its last use."""
        return Answer.of(self._dial(target, factory, encrypt, timeout, keep), _hang_up)

    def close(self) -> Deferred[None]:
        """Close what this tunnel has published, and give the session up if nobody else uses it. Fires when that has
        happened, with a time to drain when the visitors are gone."""
        return Answer.of(self._close())

    async def __aenter__(self) -> Tunnel:
        """Connect."""
        await here(self.connect())
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close."""
        await here(self.close())

    # The same as coroutines.

    async def _connect(self) -> Tunnel:
        if self._connected:
            return self
        session, closes = self._session, self._closes
        session.hold()
        try:
            await session.run()
            await session.connection(_limit(self._timeout))
        except Exception:
            await session.release()
            raise
        if self._connected or closes != self._closes:
            await session.release()
            if closes != self._closes:
                raise NotConnected("the tunnel is closed")
        self._connected = True
        return self

    async def _expose(
        self,
        what: Any,
        remote: int | str | None,
        given: dict[str, Any],
        timeout: float | None,
        drain: float | None,
    ) -> PublicPort:
        seconds, left = gathered(
            lambda: self._patience(timeout),
            lambda: self._drain if drain is None else checked_seconds("drain", drain),
        )
        session = self._session
        listener: FactoryListener | EndpointListener | DatagramListener | None = None
        if IProtocolFactory.providedBy(what):
            if given["proxy_protocol"] != "off":
                raise refused_option("proxy_protocol", *KNOWN_ANYWAY)
            listener = FactoryListener(what, session)
        elif IStreamClientEndpoint.providedBy(what):
            listener = EndpointListener(what, session)
        elif isinstance(what, DatagramProtocol):
            listener, given = DatagramListener(what, session), of_datagrams(given)
        datagrams = isinstance(listener, DatagramListener)
        local = what if listener is None else InProcess(listener.arrive, listener.look, datagrams)
        config = mapping_config(mapping_section(local, remote, given, session.mappings))
        if listener is not None:
            listener.name = config.name
        closes = self._closes
        port = await open_port(session, config, listener, _limit(seconds), left)
        if closes != self._closes:
            await port.stopListening()
            raise NotConnected("the tunnel is closed")
        self._ports.append(port)
        port._closed = self._ports.remove
        return port

    async def _dial(
        self, target: str, factory: IProtocolFactory, encrypt: bool, timeout: float | None, keep: float
    ) -> IProtocol:
        seconds, kept = gathered(lambda: self._patience(timeout), lambda: checked_seconds("keep", keep))
        return await dial(self._session, factory, forward_config(target, encrypt), _limit(seconds), kept)

    def _patience(self, timeout: float | None) -> float:
        return self._timeout if timeout is None else checked_seconds("timeout", timeout)

    async def _close(self) -> None:
        session = self._session
        self._closes += 1
        await gatherResults([port.stopListening() for port in self._ports])
        if self._connected:
            self._connected = False
            await session.release()


def _hang_up(protocol: Any) -> None:
    if protocol.transport is not None:
        protocol.transport.abortConnection()


def _limit(timeout: float) -> float | None:
    return timeout if timeout > 0 else None
