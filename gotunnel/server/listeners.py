"""Additional listeners for clients: plugins that carry the connections in another protocol."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gotunnel.address import HostPort
from gotunnel.config.model import ServerConfig
from gotunnel.config.plugged import ListenerConfig
from gotunnel.errors import Sentence
from gotunnel.interfaces import ISocketTaker
from gotunnel.logs import Logger
from gotunnel.net.descriptors import Descriptors
from gotunnel.net.persistent import LISTEN_AGAIN, Persistent
from gotunnel.net.plugged import made
from gotunnel.net.systemd import ActivationError, Handed

if TYPE_CHECKING:
    from gotunnel.server.reception import Reception

__all__ = ["Listener"]


class Listener:
    """One listener. It listens from `start` to `stop`, and keeps retrying if that fails. Raises GotunnelError."""

    log = Logger()

    def __init__(self, reactor: Any, config: ServerConfig, named: ListenerConfig, descriptors: Descriptors) -> None:
        self.name = named.plugin
        self._patience = config.handshake_timeout
        self._made = made("listener", named, reactor, descriptors)
        self._clock = reactor
        self._port: Persistent | None = None
        self.has_socket = False
        """Whether it received a socket from systemd."""

    @property
    def address(self) -> HostPort:
        """The address it listens on, or will."""
        found: HostPort = self._made.address
        return found

    @property
    def failure(self) -> str | None:
        """Why it is not listening, or None."""
        return "it does not listen" if self._port is None else self._port.trouble

    def take(self, handed: Handed) -> None:
        """Listen on this socket instead of opening one. Raises ActivationError."""
        if not ISocketTaker.providedBy(self._made):
            raise ActivationError(
                Sentence(
                    "the listener {plugin} cannot listen on a socket of systemd ({address}): remove its .socket unit",
                    plugin=self.name, address=handed.address,
                )
            )
        self._made.take(handed.socket)
        self.has_socket = True

    def start(self, reception: Reception) -> None:
        """Start passing connections to the reception."""
        self._port = Persistent(self._clock, lambda: self._listen(reception), self._cannot_listen)
        self._port.start()

    async def stop(self) -> None:
        """Stop accepting connections."""
        if self._port is not None:
            await self._port.stop()

    def _listen(self, reception: Reception) -> Any:
        port = self._made.listen(reception, self._patience)
        self.log.info(
            "server listening for clients on {address} ({plugin})", address=str(self.address), plugin=self.name
        )
        return port

    def _cannot_listen(self, reason: str) -> None:
        self.log.error(
            "the listener {plugin} cannot listen: {reason}; change its listen address, or free it: it is tried again "
            "every {seconds:g} s",
            plugin=self.name, reason=reason, seconds=LISTEN_AGAIN,
        )  # fmt: skip
