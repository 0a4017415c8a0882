"""The server as a Twisted service: binds the control port, creates the parts and connects them. No other logic."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IListeningPort

from gotunnel.address import HostPort
from gotunnel.config.identityfile import FileIdentity
from gotunnel.config.model import ServerConfig
from gotunnel.interfaces import IRelay
from gotunnel.logs import Logger
from gotunnel.net.choice import choose_relay
from gotunnel.net.descriptors import Descriptors
from gotunnel.net.listening import listen_failure
from gotunnel.net.pathwatch import leg_times
from gotunnel.net.plugged import tried
from gotunnel.net.port import GatedPort
from gotunnel.net.reloading import Reloadable
from gotunnel.net.systemd import Handed
from gotunnel.server.activation import shared_out
from gotunnel.server.clientsfile import ClientsFile
from gotunnel.server.credentials import clients_path
from gotunnel.server.draining import ServerDraining
from gotunnel.server.hub import Hub
from gotunnel.server.identity import Identity
from gotunnel.server.listeners import Listener
from gotunnel.server.plugins import plugins_prepared, plugins_stopped
from gotunnel.server.reception import Reception

if TYPE_CHECKING:
    from gotunnel.config.difference import Difference
    from gotunnel.server.egress import Egress
    from gotunnel.server.v1.peers import V1Peers

__all__ = ["ServerService", "bind_control", "make_server"]

BACKLOG = 1024
ACCEPTS_AT_ONCE = 16
"""The number of connections accepted per event. It is below the per-address limit on unauthenticated connections, so
that in a flood the data of earlier connections is read before they are displaced."""


def bind_control(config: ServerConfig) -> socket.socket:
    """Bind the control port and listen on it. Raises PortUnavailable with a text for operators.

    This happens before the reactor runs and before a daemon detaches, so that a port in use is reported to whoever
    started the program.
    """
    host, port = config.addr.host, config.addr.port
    listening = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(BACKLOG)
        listening.setblocking(False)
    except OSError as failed:
        listening.close()
        raise listen_failure(host, port, failed) from None
    return listening


class ServerService(Reloadable):
    """Owns the hub, the reception and the relay. It lives as long as the process (or a test)."""

    log = Logger()

    def __init__(
        self,
        config: ServerConfig,
        reactor: Any,
        relay: IRelay,
        identity: Identity | None,
        listening: socket.socket,
        state_dir: Path,
        descriptors: Descriptors,
        listeners: Sequence[Listener] = (),
    ) -> None:
        super().__init__(config, reactor)
        self.began = reactor.seconds()
        self._state_dir = state_dir
        self._listening = listening
        self._port: IListeningPort | None = None
        host, port = listening.getsockname()[:2]
        self.address = HostPort(host, port)
        self._relay = relay
        relay.time_legs(leg_times(config.profile))
        self._identity = identity
        tls = None if identity is None else identity.tls
        self._listeners = listeners
        ports = [each.address.port for each in self._listeners]
        self.hub = Hub(config, reactor, self._relay, tls, port, shares=descriptors.shares, other_ports=ports)
        self._descriptors = descriptors
        self._retired: list[Egress | V1Peers] = []  # taken out of use by a change, but may still have visitors
        if config.v1.enabled:
            self.hub.v1 = self._v1()
        if identity is not None:
            identity.changed = self.hub.use_tls
        self._clients_file = self._clients_at(config)
        self._clients_changed(self._clients_file.read())
        self.hub.change_clients = self._clients_file.change
        self.descriptors = descriptors
        self.hub.sparing = lambda: descriptors.scarce
        descriptors.on_scarce = self.hub.spare
        self._reception = Reception(self.hub)
        self._draining = ServerDraining(self.hub, self._close_egress, self._close_door)
        self._egress = self._egress_of(config)
        plugins_prepared(self.hub, config, reactor)()

    def _v1(self) -> V1Peers:
        # Imported only if version 1 is accepted, to save memory.
        from gotunnel.net.raw import RawRelay
        from gotunnel.server.v1.peers import V1Peers

        relay = RawRelay(self._reactor, descriptors=self._descriptors)
        return V1Peers(self.hub, self.hub.config.v1, relay, self.hub.reserved)

    def _clients_at(self, config: ServerConfig) -> ClientsFile:
        path = clients_path(config, self._state_dir)
        return ClientsFile(path, self._reactor, self._clients_changed, self.hub.expire)

    def startService(self) -> None:
        """Start accepting clients."""
        super().startService()
        self._port = GatedPort(
            self.address.port, self._reception, BACKLOG, self.address.host, self._reactor, self._descriptors.clients,
            ACCEPTS_AT_ONCE, self._listening,
        )  # fmt: skip
        self._port.startListening()
        for each in self._listeners:
            each.start(self._reception)
        self._clients_file.start()
        if self._egress is not None:
            self._egress.start()
        self._warn()
        self.log.info(
            "server listening for clients on {address} ({tls})",
            address=str(self.address), tls="TLS" if self.hub.tls is not None else "without TLS",
        )  # fmt: skip
        if self._identity is not None:
            self._identity.start()

    def _warn(self) -> None:
        wanted, most = self.hub.config.limits.streams, self._descriptors.shares.streams
        if wanted is not None and wanted > most:
            self.log.warn(
                "server.limits.streams is {wanted}, but the file descriptors of this process are enough for {most} "
                "only; raise LimitNOFILE (systemd) or ulimit -n",
                wanted=wanted, most=most,
            )  # fmt: skip
        config = self.hub.config
        if config.token is None and not config.authenticators and not len(self.hub.identities):
            self.log.warn(
                "no client can connect yet: there is no token, and {path} has no clients; add one with gotunnel client",
                path=str(self._clients_file.path),
            )  # fmt: skip
        elif config.clients_file is not None and not self._clients_file.exists:
            self.log.warn(
                "the clients file {path} does not exist: until it does, its clients have no token of their own",
                path=str(self._clients_file.path),
            )

    def _clients_changed(self, clients: tuple[FileIdentity, ...]) -> None:
        self.hub.identities_changed(self.hub.credentials.table(clients, self._clients_file.path))

    async def _apply(self, config: ServerConfig) -> tuple[Difference[ServerConfig], list[str]]:
        # Imported only for a change of the configuration, to save memory.
        from gotunnel.config.difference import difference
        from gotunnel.server.changing import ServerChange

        hub, identity = self.hub, self._identity
        found = difference("server", hub.config, config)
        clients_file = self._clients_at(found.config)
        change = ServerChange(
            hub, self._reception, found, clients_file.read(), clients_file.path,
            None if identity is None else lambda: identity.prepared(found.config.tls),
        )  # fmt: skip
        tried("listener", hub.config.listeners, config.listeners, self._reactor, self._descriptors)
        use_plugins = plugins_prepared(hub, found.config, self._reactor)
        use_plugins()  # before the rest, so that guests of a removed authenticator are disconnected
        lines = change.apply()
        self._relay.time_legs(leg_times(found.config.profile))
        if clients_file.path != self._clients_file.path:  # else keep the old object: a change may be in progress
            self._clients_file.stop()
            self._clients_file = clients_file
            hub.change_clients = clients_file.change
            if self.running:
                clients_file.start()
        if found:
            self._warn()
        await self._change_v1(found.config)
        if found.touches("server.egress"):
            await self._change_egress(found.config)
        return found, lines

    async def _change_v1(self, config: ServerConfig) -> None:
        v1 = self.hub.v1
        if v1 is None and config.v1.enabled:
            self.hub.v1 = self._v1()
        elif v1 is not None and not config.v1.enabled:
            self.hub.v1 = None
            self._retired.append(v1)
            await v1.close()

    async def _change_egress(self, config: ServerConfig) -> None:
        before, self._egress = self._egress, None
        if before is not None:
            self._retired.append(before)
            await before.stop()
        self._egress = self._egress_of(config)
        if self._egress is not None and not self.draining:
            self._egress.start()

    @property
    def listeners(self) -> Sequence[Listener]:
        """The additional listeners for clients."""
        return self._listeners

    @property
    def egress(self) -> Egress | None:
        """The egress socket, or None."""
        return self._egress

    def _egress_of(self, config: ServerConfig) -> Egress | None:
        if config.egress is None:
            return None
        from gotunnel.server.egress import Egress  # loaded only if configured

        return Egress(self.hub, config.egress, self._reactor)

    @property
    def accepting(self) -> bool:
        """Whether clients can connect: the control port is open, and descriptors are available for them."""
        return self._port is not None and not self._descriptors.clients.short

    @property
    def relay(self) -> IRelay:
        """The relay in use."""
        return self._relay

    @property
    def draining(self) -> bool:
        """Whether draining has begun, so that no new visitors are admitted."""
        return self._draining.begun

    def drain(self, seconds: float) -> Deferred[int]:
        """Disconnect visitors and clients gracefully:

        1. Public ports close, and waiting visitors are served.
        2. The control port closes. Clients are informed, and connect elsewhere or wait for a successor, which may start
           at once.
        3. Visitors have up to `seconds` to finish; then they are reset.

        Returns a Deferred that fires with the number of visitors reset, when all connections have closed. The process
        keeps running without serving. A further call can only shorten the time.
        """
        return self._draining.begin(seconds)

    def stopService(self) -> Deferred[None]:
        """Drain and stop; the Deferred fires when all visitors have finished or been reset."""
        super().stopService()
        if self._identity is not None:
            self._identity.stop()
        return Deferred.fromCoroutine(self._stop())

    async def _close_door(self) -> None:
        port, self._port = self._port, None
        if port is not None:
            await maybeDeferred(port.stopListening)
        for each in self._listeners:
            await each.stop()
        self._reception.close_all()

    async def _close_egress(self) -> None:
        if self._egress is not None:
            await self._egress.stop()

    async def _stop(self) -> None:
        await self.drain(self.hub.config.drain_timeout)
        self._listening.close()
        await self._clients_file.stop()
        self._relay.stop()
        plugins_stopped(self.hub)
        for each in (self._egress, self.hub.v1, *self._retired):
            if each is not None:
                each.release()
        self.hub.crowd_lines.stop()
        self.log.info("server stopped")


def make_server(
    config: ServerConfig, reactor: Any, state_dir: Path, listening: socket.socket | None = None,
    handed: Sequence[Handed] = (),
) -> ServerService:  # fmt: skip
    """Build a server.

    `listening` is the result of `bind_control`. Without it, the control port is one of the sockets in `handed`, which
    systemd passed, or is bound here. Raises ConfigError, TlsFilesError, PortUnavailable or ActivationError.
    """
    descriptors = Descriptors(reactor)
    listeners = [Listener(reactor, config, each, descriptors) for each in config.listeners]
    if handed:
        listening = shared_out(handed, config.addr, listeners)
    relay = choose_relay(config.relay, reactor, descriptors=descriptors)
    identity = None if config.tls.mode == "off" else Identity(config.tls, state_dir, reactor, legs=relay.own_tls)
    if listening is None:
        listening = bind_control(config)
    return ServerService(config, reactor, relay, identity, listening, state_dir, descriptors, listeners)
