"""One mapping registered at a Go server: its control connection. `serving` brings the legs that the server requests,
and the link decides when to register again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from twisted.internet.defer import Deferred

from gotunnel.address import HostPort
from gotunnel.client.v1.serving import V1Serving
from gotunnel.config.model import MappingConfig
from gotunnel.core.stream import StreamEnd
from gotunnel.core.usage import Usage
from gotunnel.errors import RemoteProtocolError, Sentence
from gotunnel.net.dialer import ServerPath
from gotunnel.net.greeting import Greeted
from gotunnel.net.raw import RawRelay
from gotunnel.net.transports import hand_over
from gotunnel.net.v1control import V1Control
from gotunnel.wire import v1

__all__ = ["V1ClientSession", "registration"]


def registration(name: str, token: str, mapping: MappingConfig) -> v1.Register:
    """Return the first frame for a mapping. The server only returns the local port as a number; if the target has none,
    as on a unix socket, the remote port is used."""
    local = mapping.local.port if isinstance(mapping.local, HostPort) else mapping.remote_port
    return v1.Register(local, mapping.remote_port, "tcp", token, name)


class V1ClientSession(V1Serving):
    """Begins when `register` is answered with ok. `ended` fires with the reason when the control connection is lost.
    Running streams, and this object with them, outlive that."""

    def __init__(
        self,
        clock: Any,
        relay: RawRelay,
        path: ServerPath,
        mapping: MappingConfig,
        register: v1.Register,
        dial_timeout: float,
        heartbeat: float,
        conns: Iterator[int],
        changed: Callable[[], None],
        usage: Usage,
        carried: Callable[[str, StreamEnd | None], None],
    ) -> None:
        super().__init__(clock, relay, path, mapping, register, dial_timeout, conns, changed, usage, carried)
        self.began = clock.seconds()
        self.ended: Deferred[str] = Deferred()
        self._control = V1Control(clock, self._message, self._lost, heartbeat=heartbeat)

    def begin(self, greeted: Greeted) -> None:
        """Take over the control connection."""
        hand_over(greeted.transport, self._control, greeted.leftover)

    @property
    def gone(self) -> bool:
        """Whether neither the control connection nor a stream is left."""
        return self._control.lost and not self.streams

    @property
    def control(self) -> V1Control:
        """The control connection."""
        return self._control

    def offline(self) -> None:
        """Ask the server to let no more visitors in."""
        self._control.send(v1.OfflinePort(self._register.remote_port))

    def close(self, reason: str) -> None:
        """Close the control connection; streams go on."""
        self._control.close(reason)

    def _message(self, message: v1.V1Message) -> None:
        if isinstance(message, v1.OpenDataChannel):
            self._open(message)
        elif not isinstance(message, v1.Pong):
            raise RemoteProtocolError(Sentence(
                "a server does not send {name} here", name=type(message).__name__
            ))

    def _lost(self, reason: str) -> None:
        self.ended.callback(reason)
        self._changed()

    def _killed(self) -> bool:
        return self._control.left
