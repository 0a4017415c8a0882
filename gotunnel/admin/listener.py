"""Where an operator's requests arrive: a unix socket, and optionally an address. A place that cannot be listened on is
reported in one line and tried again; the role starts anyway."""

from __future__ import annotations

import hashlib
import socket
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IAddress, IDelayedCall
from twisted.internet.protocol import Protocol, ServerFactory

from gotunnel.address import HostPort, UnixPath
from gotunnel.admin.events import Events
from gotunnel.admin.face import Acts, Face, Refused, socket_name
from gotunnel.admin.lag import Lag
from gotunnel.config.model import AdminConfig
from gotunnel.errors import PortUnavailable, said_behind, system_words
from gotunnel.logs import Logger
from gotunnel.net.descriptors import Descriptors, Gate
from gotunnel.net.unixlisten import UnixListener

if TYPE_CHECKING:
    from gotunnel.admin.api import Api
    from gotunnel.admin.guard import Guard
    from gotunnel.admin.logins import Logins
    from gotunnel.admin.tries import Tries
    from gotunnel.admin.web import Channel
    from gotunnel.history.recorder import Recorder

__all__ = ["AdminService"]

LISTEN_AGAIN = 5.0
"""Seconds between two attempts to listen: the process that has the socket may be about to end."""
MOST_CONNECTIONS = 64
NO_CEILING = 1 << 30


class _Door(ServerFactory):
    """Makes the channels of one listener."""

    noisy = False

    def __init__(self, admin: AdminService, *, trusted: bool) -> None:
        self._admin = admin
        self._trusted = trusted
        self.channels: dict[Channel, None] = {}

    @cached_property
    def _guard(self) -> Guard:
        return self._admin.guard(self._trusted)

    def buildProtocol(self, addr: IAddress | None) -> Protocol | None:
        """Called by Twisted for each connection. None closes it at once."""
        if len(self.channels) >= MOST_CONNECTIONS and not self._make_room():
            return None
        # Imported on demand, because it takes memory.
        from gotunnel.admin.web import Channel

        admin = self._admin
        channel = Channel(
            admin.api, self._guard, admin.logins, admin.reactor, lambda: self.channels.pop(channel, None)
        )
        channel.factory = self
        self.channels[channel] = None
        return channel

    def _make_room(self) -> bool:
        """Disconnect the oldest connection without a request, so that connections that send nothing do not lock out an
        operator."""
        idle = next((channel for channel in self.channels if not channel.asked), None)
        if idle is not None:
            del self.channels[idle]
            idle.transport.abortConnection()
        return idle is not None

    def log(self, request: Any) -> None:
        """Called by twisted.web for each request. Requests are not logged."""

    def close_all(self) -> None:
        """Close all connections."""
        for channel in tuple(self.channels):
            channel.transport.abortConnection()


def _cookie(role: str, path: str) -> str:
    """Return a name that no other process on this machine has, and that this process has again after a restart."""
    return f"gotunnel-{role}-{hashlib.sha256(f'{socket.gethostname()}:{path}'.encode()).hexdigest()[:8]}"


class AdminService(Service):
    """Runs beside the service of a role. `folder` holds the socket if the configuration names none; `acts` can be added
    to later. What answers requests is imported and made at the first request, because most processes are never
    asked."""

    log = Logger()

    def __init__(
        self, config: AdminConfig, face: Face, acts: Acts, reactor: Any, folder: Path, history: Recorder | None = None
    ) -> None:
        self.acts = acts
        self._face = face
        self._history = history
        self._lag = Lag(reactor)
        self._events = Events()
        self._config = config
        self.reactor = reactor
        client = face.name if face.role == "client" else None
        self.path = config.socket.path if config.socket is not None else str(folder / socket_name(face.role, client))
        acts["link"] = self._link
        self._near = _Door(self, trusted=True)
        self._far = _Door(self, trusted=False)
        self._gate = Gate(Descriptors(reactor), "requests of operators")
        self._gate.ceiling = NO_CEILING  # they may use the last descriptor, for then somebody is looking
        self._listening: dict[str, Any] = {}
        self._told: dict[str, str] = {}
        self._again: IDelayedCall | None = None

    @cached_property
    def api(self) -> Api:
        """Answers requests."""
        from gotunnel.admin.api import Api

        return Api(self._face, self.acts, self._lag, self._events, self._history)

    @cached_property
    def logins(self) -> Logins:
        """The browsers that have logged in."""
        from gotunnel.admin.logins import Logins

        return Logins(self.reactor, self._tries, _cookie(self._face.role, self.path))

    @cached_property
    def _tries(self) -> Tries | None:
        if self._config.token is None:
            return None
        from gotunnel.admin.tries import Tries

        return Tries(self.reactor, self._config.token.get_secret_value(), self._face.usage.refused)

    def guard(self, trusted: bool) -> Guard:
        """Return the guard of requests, for processes of this user (`trusted`) or for anybody."""
        from gotunnel.admin.guard import Guard

        return Guard(self.logins, trusted=trusted, tries=self._tries, hosts=self._config.hosts)

    def _link(self, wish: dict[str, Any]) -> dict[str, Any]:
        """Make a code that lets one browser in, and return where it can be used."""
        from gotunnel.admin.logins import LINK

        if wish:
            raise Refused("a link takes no parameters: post {}")
        address = self.address
        return {
            "code": self.logins.link(), "seconds": LINK, "hosts": list(self._config.hosts),
            "addr": None if address is None else str(HostPort(address.host, address.port)),
        }  # fmt: skip

    @property
    def address(self) -> Any:
        """The TCP address where it listens, as Twisted has it; None if it does not."""
        port = self._listening.get("addr")
        return None if port is None else port.getHost()

    @property
    def listening(self) -> bool:
        """Whether it listens everywhere it should."""
        return "socket" in self._listening and ("addr" in self._listening or self._config.addr is None)

    def startService(self) -> None:
        """Listen, and try again where that fails."""
        super().startService()
        self._events.start()
        self._lag.start()
        self._listen()

    def stopService(self) -> Deferred[None]:
        """Stop listening. To be called last: until then it shows how the role stops."""
        super().stopService()
        self._events.stop()
        self._lag.stop()
        if self._again is not None:
            self._again.cancel()
            self._again = None
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        listening, self._listening = self._listening, {}
        for port in listening.values():
            await maybeDeferred(port.stopListening)
        self._near.close_all()
        self._far.close_all()

    def _listen(self) -> None:
        self._again = None
        if "socket" not in self._listening:
            self._try("socket", str(UnixPath(self.path)), self._open_socket)
        if self._config.addr is not None and "addr" not in self._listening:
            self._try("addr", str(self._config.addr), self._open_addr)
        if not self.listening:
            self._again = self.reactor.callLater(LISTEN_AGAIN, self._listen)

    def _try(self, key: str, where: str, listen: Any) -> None:
        try:
            self._listening[key] = listen()
        except (PortUnavailable, CannotListenError) as failed:
            reason = failed.reason if isinstance(failed, PortUnavailable) else system_words(failed.socketError)
            reason = said_behind(f"{where}: ", reason)
            if self._told.get(key) != reason:
                self._told[key] = reason
                self.log.warn(
                    "the state of this process cannot be queried at {where}: {reason}; set admin.{key} to another "
                    "place, or wait: it is tried again every few seconds",
                    where=where, reason=reason, key=key,
                )  # fmt: skip
            return
        if self._told.pop(key, None) is not None:
            self.log.info("the state of this process can be queried at {where}", where=where)
        else:
            self.log.debug("the state of this process can be queried at {where}", where=where)

    def _open_socket(self) -> UnixListener:
        return UnixListener(self.reactor, self.path, 0o600, self._connected, self._gate, backlog=64)

    def _open_addr(self) -> Any:
        assert self._config.addr is not None
        return self.reactor.listenTCP(
            self._config.addr.port, self._far, interface=self._config.addr.host, backlog=64
        )

    def _connected(self, sock: socket.socket) -> None:
        with sock:  # Twisted duplicates the descriptor
            try:
                self.reactor.adoptStreamConnection(sock.fileno(), socket.AF_UNIX, self._near)
            except OSError:
                self._gate.stop()  # which logs it
