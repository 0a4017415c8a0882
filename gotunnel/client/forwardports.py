"""The listeners of a client: the port of a forward, and the egress socket. Each keeps trying to listen until
stopped."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any, ClassVar

from gotunnel.address import HostPort, UnixPath
from gotunnel.config.model import EgressConfig, ForwardConfig
from gotunnel.core.usage import Carried
from gotunnel.interfaces import ILocal, IRelay
from gotunnel.logs import Logger
from gotunnel.net.egress import EgressPort, EgressRequest
from gotunnel.net.persistent import Persistent
from gotunnel.net.unixlisten import UnixListener

__all__ = ["EgressSocket", "ForwardPort"]


class _Port:
    """A listener with its statistics. A subclass implements `_listen`."""

    kind: ClassVar[str]
    log = Logger()

    def __init__(self, name: str, clock: Any) -> None:
        self.name = name
        self.carried = Carried()
        self.refused = ""
        """Why the server refused the last visitor, and what to do; empty if the visitor reached its target or left."""
        self._port = Persistent(clock, self._listen, self._cannot_listen)

    @property
    def listening(self) -> bool:
        """Whether visitors can connect."""
        return self._port.listening is not None

    @property
    def wanted(self) -> str:
        """The address to listen on."""
        raise NotImplementedError

    @property
    def target(self) -> str | None:
        """The target as text; None if each visitor names its own."""
        return None

    @property
    def leads_to(self) -> object:
        """The target as an object; None if each visitor names its own."""
        return None

    @property
    def encrypt(self) -> bool:
        """Whether visitors should travel inside TLS."""
        return True

    @property
    def failure(self) -> str | None:
        """Why it does not listen; None while it does."""
        return self._port.trouble

    def start(self) -> None:
        """Listen until `stop`, unless it does already. If it cannot, each new reason is logged once."""
        self._port.start()

    async def stop(self) -> None:
        """Stop listening."""
        await self._port.stop()

    def _listen(self) -> Any:
        raise NotImplementedError

    def _cannot_listen(self, reason: str) -> None:
        self.log.error(
            "forward {forward} cannot listen: {reason}; change its listen address, or free it: it is tried "
            "again every few seconds",
            forward=self.name, reason=reason,
        )  # fmt: skip


class ForwardPort(_Port):
    """The TCP port or unix socket of one forward."""

    kind = "forward"

    def __init__(
        self, config: ForwardConfig, reactor: Any, relay: IRelay, arrived: Callable[[ForwardConfig, ILocal], None]
    ) -> None:
        super().__init__(config.name, reactor)
        self._config = config
        self._reactor = reactor
        self._relay = relay
        self._arrived = arrived

    def use(self, config: ForwardConfig) -> bool:
        """Use a new configuration for new visitors. Returns False if it names another place to listen."""
        before = self._config
        if (before.listen, before.socket_mode) != (config.listen, config.socket_mode):
            return False
        if before.dial != config.dial:
            self.refused = ""
        self._config = config
        return True

    @property
    def wanted(self) -> str:
        """See _Port."""
        return str(self.address or self._config.listen)

    @property
    def target(self) -> str | None:
        """See _Port."""
        return str(self._config.dial)

    @property
    def leads_to(self) -> object:
        """See _Port."""
        return self._config.dial

    @property
    def encrypt(self) -> bool:
        """See _Port."""
        return self._config.encrypt

    @property
    def address(self) -> HostPort | UnixPath | None:
        """The address it listens on; None while it cannot."""
        listening = self._port.listening
        return None if listening is None else self._at(listening)

    def _at(self, listening: Any) -> HostPort | UnixPath:
        if isinstance(self._config.listen, UnixPath):
            return self._config.listen
        host = listening.getHost()
        return HostPort(host.host, host.port)

    def _listen(self) -> Any:
        where, config = self._config.listen, self._config
        if isinstance(where, UnixPath):
            gate = self._relay.gate
            listening: Any = UnixListener(self._reactor, where.path, config.socket_mode, self._connected, gate)
        else:
            listening = self._relay.listen(where.host, where.port, self._accepted)
        self.log.info(
            "forward {forward} open: visitors of {address} reach {target} through the server",
            forward=self.name, address=str(self._at(listening)), target=str(config.dial),
        )  # fmt: skip
        return listening

    def _connected(self, sock: socket.socket) -> None:
        try:
            local = self._relay.take(sock, "unix", "")
        except OSError:
            self._relay.gate.stop()  # logs the shortage; the connection is closed
            return
        try:
            self._accepted(local)
        except BaseException:  # a bug: nothing else would ever close this connection
            local.abort()
            raise

    def _accepted(self, local: ILocal) -> None:
        self._arrived(self._config, local)


class EgressSocket(_Port):
    """The egress socket of a client."""

    kind = "egress"

    def __init__(
        self, config: EgressConfig, reactor: Any, relay: IRelay, requested: Callable[[str, EgressRequest], None]
    ) -> None:
        super().__init__(str(config.listen), reactor)
        self._config = config
        self._reactor = reactor
        self._relay = relay
        self._requested = requested

    @property
    def wanted(self) -> str:
        """See _Port."""
        return str(self._config.listen)

    @property
    def address(self) -> UnixPath | None:
        """The path it listens on; None while it cannot."""
        return self._config.listen if self.listening else None

    def _listen(self) -> Any:
        config = self._config
        port = EgressPort(
            self._reactor, config.listen.path, config.socket_mode,
            lambda request: self._requested(self.name, request), self._relay.gate,
        )  # fmt: skip
        self.log.info("egress socket open at {address}", address=str(config.listen))
        return port
