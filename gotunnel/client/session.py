"""One session of a client with its server: registers the mappings, brings the legs that the server needs, and says when
it is over. To connect, and to connect again, is the link's business."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall

from gotunnel.client.bringing import Bringing, LegRoom
from gotunnel.client.forwardlegs import ForwardLegs
from gotunnel.client.forwardnews import ForwardNews
from gotunnel.client.forwards import Forwards
from gotunnel.client.legs import ClientLegs
from gotunnel.client.nodes import OwnNodes
from gotunnel.client.published import NAMES_PER_FRAME, Published, Standing
from gotunnel.client.requests import Requests
from gotunnel.core.usage import Usage
from gotunnel.errors import RemoteProtocolError, Sentence, printable
from gotunnel.interfaces import IRelay
from gotunnel.logs import Logger
from gotunnel.net.control import ControlConnection
from gotunnel.net.dialer import ServerPath
from gotunnel.net.greeting import SessionKey
from gotunnel.net.warnings import Warnings
from gotunnel.wire.greeting import FORWARD, GROUPS, NODES, PLAIN_LEGS, UDP
from gotunnel.wire.handshake import Established
from gotunnel.wire.messages import (
    Drain,
    DrainOk,
    Error,
    MappingRequest,
    MappingResult,
    MappingState,
    Message,
    NeedLegs,
    Nodes,
    Register,
    RegisterResp,
    Unregister,
)

__all__ = ["ClientSession"]

LEAST_HEARTBEAT = 0.1
"""Seconds. Whatever a server asks for, pings must not become a busy loop."""


class ClientSession:
    """Begins when both ends are proved. `ended` fires with the reason when the control connection is gone; streams that
    run then live on, and this object with them."""

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
        self._clock = clock
        self._published = published
        self._forwards = forwards
        self._nodes = nodes
        self._caps = established.challenge.caps
        self.retry_after: float | None = None
        """Seconds that the server asked us to stay away, in the error that ended the session."""
        self.server_stops_in: float | None = None
        """Seconds that the server gave its visitors when it said that it stops."""
        self.connected = True
        self._changed = changed
        self._draining = False
        self._agreed = False
        self._retry: IDelayedCall | None = None
        auth_ok = established.auth_ok
        heartbeat, silence = pace
        offered = max(LEAST_HEARTBEAT, auth_ok.heartbeat)
        wished = offered if heartbeat is None else heartbeat
        timeout = max(2 * LEAST_HEARTBEAT, auth_ok.heartbeat_timeout)
        self.control = ControlConnection(
            clock, wished if wished < timeout else offered, min(timeout, silence), self._message, self._lost
        )
        self._requests = Requests(self.control.send)
        self._warn = Warnings(self.log, clock).warn  # a server could say one thing and the other for ever
        self._told_shut: set[str] = set()
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
        """The control connection is ours: say what is to be published."""
        can_forward = FORWARD in self._caps
        self._published.begin(can_forward=can_forward, can_group=GROUPS in self._caps, can_udp=UDP in self._caps)
        self._announce()
        self.register()
        if self._forwards:
            self.forwards_changed()

    def _announce(self) -> None:
        """Say which nodes this client leads to."""
        if self._nodes.announced:
            self.announce()

    def announce(self) -> None:
        """Say which they are now, even if there are none."""
        if NODES not in self._caps:
            if self._nodes.announced:
                self.log.warn("the server is of a version that leads to no nodes (client.nodes); upgrade it")
            return
        self._requests.ask(partial(Nodes, nodes=self._nodes.announced))

    def register(self, requests: Iterable[MappingRequest] | None = None) -> None:
        """Ask for these mappings, or for all, those too that are open: a frame without "more" closes what the session
        has never named."""
        for batch, more in self._published.batches(requests):
            # Right behind it what is down, so that the port does not stay open.
            self._requests.ask(partial(Register, mappings=batch, more=more), self._published.down(batch))

    def change(self, closed: tuple[str, ...], wanted: tuple[MappingRequest, ...]) -> None:
        """The file has changed: give these mappings up, and ask for those."""
        for start in range(0, len(closed), NAMES_PER_FRAME):
            self._requests.ask(partial(Unregister, names=closed[start : start + NAMES_PER_FRAME]))
        if wanted:
            self.register(wanted)

    def forwards_changed(self) -> None:
        """There are forwards now, or none any more."""
        if FORWARD in self._caps:
            self._forwards.openers.begin(self.forward_legs)
        elif self._forwards:
            why = "the server is of a version that knows no forwards; upgrade it"
            self._forwards.openers.unserved(self.forward_legs, why)

    def keep_ready(self, count: int) -> None:
        """Keep so many idle forward legs from now on."""
        self.forward_legs.keep_ready(count)
        if self._forwards and FORWARD in self._caps:
            self.forward_legs.feed()

    def tell(self, name: str, up: bool, reason: str) -> None:
        """Tell the server that a target is there again, or is not."""
        self.control.send(MappingState(name, "up" if up else "down", reason))

    def retry(self) -> None:
        """Ask for refused mappings again after a while; one timer serves them all."""

        def again() -> None:
            self._retry = None
            self.register()

        if self._retry is None:
            seconds = self._published.pause()
            self._retry = self._clock.callLater(seconds, again)
            if self._published.news:  # it asks for ever, and the log has said so
                self.log.info("asking again for refused mappings in {seconds:.1f} s", seconds=seconds)

    def drain(self, seconds: float) -> None:
        """Ask the server to open nothing more."""
        self._draining = True
        self.bringing.stop()
        self._open_no_more()
        self.control.send(Drain(int(seconds * 1000)))

    @property
    def drained(self) -> bool:
        """Whether no OPEN can come any more. The server closes idle legs before it agrees; a leg that is there and idle
        for us after that has one on its way."""
        return not self.connected or (self._agreed and not self.bringing.busy and self.legs.all_busy)

    @property
    def finished(self) -> bool:
        """Whether no visitor is left, nor the last bytes of one: a server that has agreed to a drain closes each leg
        when it has passed them on."""
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
        """Cut what still streams."""
        self.legs.reset_streams()
        self.forward_legs.reset_streams()

    def drop_legs(self) -> None:
        """Close all legs that are left, whatever they do."""
        self.legs.drop_legs()
        self.forward_legs.drop_legs()

    def close(self, reason: str) -> None:
        """End it from our side."""
        self.control.close(None, reason)

    def _message(self, message: Message) -> None:
        if isinstance(message, NeedLegs):
            self.legs.bring(message.plain, message.count)
        elif isinstance(message, RegisterResp):
            self._registered(message)
        elif isinstance(message, Drain):
            seconds, told = message.deadline_ms / 1000, self.server_stops_in is not None
            self.server_stops_in = seconds
            if not told:  # a server that says it for ever must not fill our log
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

    def _registered(self, answer: RegisterResp) -> None:
        asked = self._requests.answered(answer)
        # One word on each name is enough: a server could fill a frame, and our log, with many on one.
        results = tuple({result.name: result for result in answer.results}.values())
        if isinstance(asked, Nodes):
            self._announced(results)
            return
        if isinstance(asked, Unregister):
            self._published.closed(asked.names)
            return
        if answer.status != "ok":
            self.log.error("the server refuses to register: {reason}", reason=printable(answer.reason or ""))
            results = tuple(
                MappingResult(each.name, "fail", None, "refused", answer.reason) for each in asked.mappings
            )
        self._published.answered(results, self._clock.seconds())
        for result in results:
            self._shut(result.name, result.shut)

    def _shut(self, mapping: str, reason: str | None) -> None:
        """The server lets nobody in to a mapping, whatever its target does, or lets visitors in again."""
        if not self._published.shut(mapping, reason):
            return
        if reason is not None:
            told = self._warn(
                "shut", "mapping {mapping}: the server lets nobody in: {reason}; gotunnel status there shows it",
                mapping=mapping, reason=printable(reason),
            )  # fmt: skip
            if told:
                self._told_shut.add(mapping)
        elif mapping in self._told_shut:
            self._told_shut.discard(mapping)
            if self._published.statuses[mapping].standing is Standing.REFUSED:
                return  # what keeps visitors out now has its own line
            self.log.info("mapping {mapping}: the server lets visitors in again", mapping=mapping)

    def _announced(self, results: tuple[MappingResult, ...]) -> None:
        for result in results:
            if result.status != "ok":
                self.log.warn(
                    "node {node} refused by the server: {reason}",
                    node=result.name, reason=printable(result.reason or result.code or ""),
                )  # fmt: skip

    def _open_no_more(self) -> None:
        self._forwards.openers.lost(self.forward_legs)
        self.forward_legs.open_no_more()

    def _lost(self, reason: str) -> None:
        self.connected = False
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
        self.bringing.stop()
        self.legs.end_legs()
        self._forwards.openers.lost(self.forward_legs)
        self.forward_legs.end_legs()
        self.ended.callback(reason)
        self._changed()
