"""Where a server takes clients beside its own port: plugins that carry the connections in another protocol."""

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
    """One of them. Listens from `start` to `stop`, and goes on trying where that fails. Raises GotunnelError."""

    log = Logger()

    def __init__(self, reactor: Any, config: ServerConfig, named: ListenerConfig, descriptors: Descriptors) -> None:
        self.name = named.plugin
        self._patience = config.handshake_timeout
        self._made = made("listener", named, reactor, descriptors)
        self._clock = reactor
        self._port: Persistent | None = None
        self.has_socket = False
        """Whether it was given one of systemd."""

    @property
    def address(self) -> HostPort:
        """Where it listens, or is to."""
        found: HostPort = self._made.address
        return found

    @property
    def failure(self) -> str | None:
        """Why it does not listen; None while it does."""
        return "it does not listen" if self._port is None else self._port.trouble

    def take(self, handed: Handed) -> None:
        """Listen on this one, and open none. Raises ActivationError."""
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
        """Let clients come to the reception."""
        self._port = Persistent(self._clock, lambda: self._listen(reception), self._cannot_listen)
        self._port.start()

    async def stop(self) -> None:
        """Accept nobody any more."""
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
