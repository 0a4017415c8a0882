"""One session of a client with its server: brings the legs that the server needs, and reports its end. `registering`
publishes the mappings; the link connects and reconnects."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred

from gotunnel.client.bringing import Bringing, LegRoom
from gotunnel.client.forwardlegs import ForwardLegs
from gotunnel.client.forwardnews import ForwardNews
from gotunnel.client.forwards import Forwards
from gotunnel.client.legs import ClientLegs
from gotunnel.client.nodes import OwnNodes
from gotunnel.client.published import Published
from gotunnel.client.registering import Registering
from gotunnel.core.usage import Usage
from gotunnel.errors import RemoteProtocolError, Sentence
from gotunnel.interfaces import IRelay
from gotunnel.logs import Logger
from gotunnel.net.control import ControlConnection
from gotunnel.net.dialer import ServerPath
from gotunnel.net.greeting import SessionKey
from gotunnel.wire.greeting import FORWARD, GROUPS, PLAIN_LEGS, UDP
from gotunnel.wire.handshake import Established
from gotunnel.wire.messages import (
    Drain,
    DrainOk,
    Error,
    MappingState,
    Message,
    NeedLegs,
    RegisterResp,
)

__all__ = ["ClientSession"]

LEAST_HEARTBEAT = 0.1
"""Seconds. Whatever a server asks for, pings must not become a busy loop."""


class ClientSession(Registering):
    """Begins when both ends have proved themselves. `ended` fires with the reason when the control connection is lost.
    Running streams, and this object with them, outlive that."""

    log = Logger()

    def __init__(
        self,
        clock: Any,
        relay: IRelay,
        path: ServerPath,
        published: Published,
        forwards: Forwards,
        nodes: OwnNodes,
        established: Established,
        pace: tuple[float | None, float],
        dial_timeout: float,
        idle_legs: int,
        changed: Callable[[], None],
        usage: Usage,
        room: LegRoom | None = None,
    ) -> None:
        self.ended: Deferred[str] = Deferred()
        self.began = clock.seconds()
        self._forwards = forwards
        self.retry_after: float | None = None
        """Seconds that the server asked us to stay away, in the error that ended the session."""
        self._server_stops: float | None = None  # when, if it has announced that
        self.connected = True
        self._changed = changed
        self._draining = False
        self._agreed = False
        auth_ok = established.auth_ok
        heartbeat, silence = pace
        offered = max(LEAST_HEARTBEAT, auth_ok.heartbeat)
        wished = offered if heartbeat is None else heartbeat
        timeout = max(2 * LEAST_HEARTBEAT, auth_ok.heartbeat_timeout)
        self.control = ControlConnection(
            clock, wished if wished < timeout else offered, min(timeout, silence), self._message, self._lost
        )
        super().__init__(clock, published, nodes, established.challenge.caps, self.control.send)
        key = SessionKey(established.sid, established.ks)
        self.bringing = Bringing(clock, relay, path, key, auth_ok.limits.legs, auth_ok.leg_sni, changed, room)
        self.legs = ClientLegs(
            clock, relay, self.bringing, key, published, nodes, dial_timeout, self.control.send, changed,
            usage,
        )  # fmt: skip
        self.forward_legs = ForwardLegs(
            clock, self.bringing, key, forwards, auth_ok.limits.legs, idle_legs, changed, usage,
            server=path.label, plain_legs=path.encrypted and PLAIN_LEGS in self._caps,
        )  # fmt: skip
        self._forward_news = ForwardNews(forwards, self.forward_legs, clock)

    def begin(self) -> None:
        """Register everything, now that the control connection is ours."""
        can_forward = FORWARD in self._caps
        self._published.begin(can_forward=can_forward, can_group=GROUPS in self._caps, can_udp=UDP in self._caps)
        if self._nodes.announced:
            self.announce()
        self.register()
        if self._forwards:
            self.forwards_changed()

    def forwards_changed(self) -> None:
        """Start to serve forwards if there are any now. Does nothing if this session opens no more."""
        if self.forward_legs.draining or self.forward_legs.over:
            return
        if FORWARD in self._caps:
            self._forwards.openers.begin(self.forward_legs)
        elif self._forwards:
            why = "the server's version does not support forwards; upgrade it"
            self._forwards.openers.unserved(self.forward_legs, why)

    def keep_ready(self, count: int) -> None:
        """Keep `count` idle forward legs from now on."""
        self.forward_legs.keep_ready(count)
        if self._forwards and FORWARD in self._caps:
            self.forward_legs.feed()

    def drain(self, seconds: float) -> None:
        """Ask the server to open nothing more. Its visitors have `seconds` to finish."""
        self._draining = True
        self._ask_no_more()
        self.bringing.stop()
        self._open_no_more()
        self.control.send(Drain(int(seconds * 1000)))

    @property
    def server_stops_in(self) -> float | None:
        """Seconds that the visitors of a server that has announced its stop still have; None if it has not."""
        return None if self._server_stops is None else max(0.0, self._server_stops - self._clock.seconds())

    @property
    def draining(self) -> bool:
        """Whether this client is about to leave, so that nothing more may be registered."""
        return self._draining

    @property
    def drained(self) -> bool:
        """Whether no OPEN can arrive any more. The server closes idle legs before it agrees to a drain; after that, a
        leg that is still idle for us has an OPEN on its way."""
        return not self.connected or (self._agreed and not self.bringing.busy and self.legs.all_busy)

    @property
    def finished(self) -> bool:
        """Whether no visitor is left, nor the last bytes of one. A server that has agreed to a drain closes each leg
        after it has passed these on."""
        return not self.streams and not (self.connected and self._agreed and self.legs.legs)

    @property
    def gone(self) -> bool:
        """Whether neither the control connection nor a leg is left."""
        idle = not self.legs.legs and not self.forward_legs.legs_held
        return not self.connected and not self.bringing.busy and idle

    @property
    def streams(self) -> int:
        """Visitors on this session's legs."""
        return len(self.legs.streams) + len(self.forward_legs.streams)

    @property
    def streams_by_mapping(self) -> Counter[str]:
        """How many visitors each mapping has."""
        return Counter(stream.mapping for stream in self.legs.streams.values() if stream.mapping is not None)

    @property
    def streams_by_forward(self) -> Counter[str]:
        """How many visitors each forward has."""
        return Counter(visitor.mapping for visitor in self.forward_legs.streams.values())

    def reset_streams(self) -> None:
        """Reset all streams that still run."""
        self.legs.reset_streams()
        self.forward_legs.reset_streams()

    def drop_legs(self) -> None:
        """Close all legs that are left, idle or not."""
        self.legs.drop_legs()
        self.forward_legs.drop_legs()

    def close(self, reason: str) -> None:
        """Close the control connection."""
        self.control.close(None, reason)

    def _message(self, message: Message) -> None:
        if isinstance(message, NeedLegs):
            self.legs.bring(message.plain, message.count)
        elif isinstance(message, RegisterResp):
            self._registered(message)
        elif isinstance(message, Drain):
            seconds, told = message.deadline_ms / 1000, self._server_stops is not None
            self._server_stops = self._clock.seconds() + seconds
            if not told:  # a server that repeats it must not fill our log
                self.log.info("the server is about to stop; visitors have {seconds:g} s to finish", seconds=seconds)
            self._open_no_more()
            self.control.send(DrainOk())
        elif isinstance(message, MappingState) and message.client is not None:
            self._forward_news.told(message)
        elif isinstance(message, MappingState):
            self._shut(message.name, message.reason if message.state == "down" else None)
        elif isinstance(message, Error):
            self.retry_after = message.retry_after
        elif isinstance(message, DrainOk) and self._draining:
            self._agreed = True
            self._changed()
        else:
            raise RemoteProtocolError(Sentence(
                "a server does not send {name} here", name=type(message).__name__
            ))

    def _open_no_more(self) -> None:
        self._forwards.openers.lost(self.forward_legs)
        self.forward_legs.open_no_more()

    def _lost(self, reason: str) -> None:
        self.connected = False
        self._ask_no_more()
        self.bringing.stop()
        self.legs.end_legs()
        self._forwards.openers.lost(self.forward_legs)
        self.forward_legs.end_legs()
        self.ended.callback(reason)
        self._changed()
