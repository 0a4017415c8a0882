"""A tunnel as an object: what a program publishes on one server, and what it reaches through that server."""

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
    """A tunnel to one server. All tunnels of this process with the same server and the same settings share one session.
    The session lasts while something uses it: an open port, a connection, or a `connect` without a `close`.

    `server` is `host:port`; if absent, the variable GOTUNNEL_SERVER names it. Without `token` and `token_file` the
    variable GOTUNNEL_TOKEN holds the token. `timeout` is the seconds that a call may take; 0 means no limit, also while
    the server does not let this client in. `drain` is the seconds that a port's visitors have to finish when it is
    closed. Nothing connects before the first call. Methods return Deferreds; `await` and `async with` work on Twisted
    and on asyncio.
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
        """Raises ConfigError for an invalid server address or time."""
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
        """The reactor that the tunnel runs on. If none was given, it is that of the running loop or the global one."""
        if self._reactor is None:
            self._reactor = reactor_here()
        return self._reactor

    @property
    def _session(self) -> Session:
        # Looked up each time: a session that has ended, and that has no observers, is replaced by a new one.
        return shared(self._settings, self.reactor)

    @property
    def connected(self) -> bool:
        """Whether the server is connected now."""
        return self._session.connected

    @property
    def ports(self) -> tuple[PublicPort, ...]:
        """The ports that this tunnel publishes."""
        return tuple(self._ports)

    def observe(self, observer: Callable[[Event], object]) -> Callable[[], None]:
        """Call `observer` with each Connected, Lost, MappingOpened and MappingClosed from now on. Returns a function
        that stops this."""
        return self._session.observers.add(observer)

    def check(self) -> None:
        """Raise ConfigError if the settings, the token included, cannot be used. Nothing connects."""
        self._settings.config()

    def connect(self) -> Deferred[Tunnel]:
        """Fires when the server has let this client in; the tunnel then stays connected until `close`. Fails with
        AuthRejected, NotConnected or ConfigError, and then nothing stays connected."""
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
        """Publish one of these on the server:

        - a port of this machine, `host:port` or `unix:/path`;
        - a protocol factory or a datagram protocol, for which no port is opened here;
        - an endpoint, which is connected for each visitor.

        `remote` is the server's port, or `ip:port` of it. If absent, it is the number of the port that is exposed, or
        else any free port. `protocol="udp"` says that a port or an address takes datagrams; a DatagramProtocol does not
        need it. The other options are those of a mapping in a client's file. A factory cannot have `proxy_protocol`,
        because its connections know their visitors.

        Fires when the port is open. Fails with PortUnavailable, AuthRejected, NotConnected or ConfigError. If
        cancelled, it leaves nothing behind.
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
        """Connect to a target behind the server: `host:port` or `unix:/path` as the server sees them, or
        `mapping:CLIENT/NAME`. Fires with the protocol when the target has answered. Fails with DialFailed, and like
        `connect`. `keep` is how many seconds the session outlives its last use."""
        return Answer.of(self._dial(target, factory, encrypt, timeout, keep), _hang_up)

    def close(self) -> Deferred[None]:
        """Close the ports of this tunnel, and the session if nothing else uses it. Fires when that has happened; with
        `drain`, when the visitors have ended, too."""
        return Answer.of(self._close())

    async def __aenter__(self) -> Tunnel:
        """See `connect`."""
        await here(self.connect())
        return self

    async def __aexit__(self, *_: object) -> None:
        """See `close`."""
        await here(self.close())

    # The same as coroutines:

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
        try:
            # A copy: a port that closes at once leaves the list.
            await gatherResults([port.stopListening() for port in self.ports])
        finally:
            if self._connected:
                self._connected = False
                await session.release()


def _hang_up(protocol: Any) -> None:
    if protocol.transport is not None:
        protocol.transport.abortConnection()


def _limit(timeout: float) -> float | None:
    return timeout if timeout > 0 else None
