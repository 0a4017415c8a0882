"""One authenticated session of a client: its control connection, its legs, and the visitors on them. What outlives it
(public ports, waiting visitors) belongs to its peer."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from zope.interface import implementer

from gotunnel.core.legpool import LegPool
from gotunnel.core.stream import StreamEnd
from gotunnel.errors import RemoteProtocolError, printable
from gotunnel.interfaces import ILeg, ILegOwner
from gotunnel.logs import Logger
from gotunnel.net.control import ControlConnection
from gotunnel.server.peer import Peer
from gotunnel.server.visitor import Visitor
from gotunnel.wire.frames import LIMIT_AFTER_AUTH
from gotunnel.wire.handshake import open_mac
from gotunnel.wire.legbodies import OpenBody
from gotunnel.wire.legstate import State
from gotunnel.wire.messages import (
    Drain,
    DrainOk,
    Error,
    LegsFailed,
    MappingState,
    Message,
    NeedLegs,
    Register,
    RegisterResp,
    Unregister,
    encode,
)
from gotunnel.wire.replay import SeqWindow

if TYPE_CHECKING:
    from gotunnel.server.hub import Hub

__all__ = ["ServerSession"]

PROBE_AFTER = 10.0
"""Seconds without a frame after which a leg is tried before it gets a visitor (protocol, section 5)."""
UNHURRIED = 0.05
"""Seconds until the pools are looked at when nobody waits."""
REQUESTS = 64
"""Requests that may wait for their answer; a client that sends more without reading is cut."""
STATES = 4096
"""Changes of state that may wait. They have no answer to read first: all targets of a client can go at once."""
LEGS_PER_REQUEST = 4096
"""The most that one need_legs can say."""


@implementer(ILegOwner)
class ServerSession:
    """Begins with `auth_ok`. It ends with its control connection or when a successor takes over; streams that run then
    live on, and this object with them."""

    log = Logger()

    def __init__(self, hub: Hub, peer: Peer, sid: bytes, ks: bytes, host: str, address: str) -> None:
        self.peer = peer
        self.sid = sid
        self.host = host
        self.address = address
        self.seqs = SeqWindow()
        self.draining = False
        self.over = False
        self.streams: dict[ILeg, Visitor] = {}
        self.control: ControlConnection
        self._ks = ks
        self._hub = hub
        self._clock = hub.clock
        self._most_legs = peer.rights.max_legs  # of both pools together
        self._pools: dict[bool, LegPool[ILeg]] = {False: LegPool(), True: LegPool(start=0)}
        self._probing: dict[bool, set[ILeg]] = {False: set(), True: set()}
        self._timer: IDelayedCall | None = None
        self._legs: set[ILeg] = set()
        self._lost = False
        self._asked_to_drain = False
        self._requests: deque[Message] = deque()
        self._states = 0  # how many of them are changes of state
        self._answering = False

    @property
    def ks(self) -> bytes:
        """The key that legs of this session prove."""
        return self._ks

    def __repr__(self) -> str:
        return f"<session {self.sid.hex()[:8]} of {self.peer.name}>"

    # The control connection.

    def message(self, message: Message) -> None:
        """A message has arrived. Raises RemoteProtocolError for one that a client does not send."""
        act = _MESSAGES.get(type(message))
        if act is None:
            raise RemoteProtocolError(f"a client does not send {type(message).__name__} here")
        act(self, message)

    def lost(self, reason: str) -> None:
        """The control connection is gone."""
        if not self.over:
            self.log.info(
                "client {client} lost ({address}): {reason}",
                client=self.peer.name, address=self.address, reason=printable(reason),
            )  # fmt: skip
        self._lost = True
        self._hub.session_lost(self)
        self._end()
        self.peer.lost(self)
        self._check_gone()

    def rival(self, address: str) -> None:
        """Another running client came with the same name and was refused."""
        self.log.warn(
            "another running client calls itself {client}, from {address}, and was refused; this one is connected from "
            "{current}: give each client a name of its own",
            client=self.peer.name, address=address, current=self.address,
        )  # fmt: skip

    def replaced(self) -> None:
        """A successor has taken over: this one goes, and takes nothing with it."""
        self._end()
        self.control.close(Error("going_away", "another session of this client has taken over"), "replaced")

    def close(self, error: Error | None, reason: str) -> None:
        """End the session from our side."""
        self.control.close(error, reason)

    def ask_to_drain(self, seconds: float) -> None:
        """Tell the client that this server is about to stop."""
        self._asked_to_drain = True
        self.control.send(Drain(int(seconds * 1000)))
        self._open_no_more()

    def reset_streams(self) -> None:
        """Cut what still streams."""
        for leg in tuple(self.streams):
            leg.reset("going_away")

    def drop_legs(self) -> None:
        """Close all legs that are left, whatever they do."""
        for leg in tuple(self._legs):
            leg.close()

    # Legs and visitors.

    def room_for_leg(self, plain: bool) -> bool:
        """Whether one more leg is within the limits."""
        return not self.over and sum(pool.idle + pool.busy for pool in self._pools.values()) < self._most_legs

    @property
    def legs_expected(self) -> int:
        """Legs that this session was asked for and that are not there yet."""
        return 0 if self.over else sum(pool.requested for pool in self._pools.values())

    def leg_arrived(self, leg: ILeg) -> None:
        """A leg has proved itself."""
        self._legs.add(leg)
        self._pools[leg.plain].arrived(self._clock.seconds())
        self.leg_idle(leg)

    def serve(self, visitor: Visitor) -> bool:
        """Give a visitor a leg; False when there is none that is known to live, and then he waits."""
        if self.draining or self.over:
            return False
        leg = self._fresh_leg(visitor.plain)
        if leg is None:
            return False
        self._open(leg, visitor)
        self._feed_soon(urgent=not self._pools[visitor.plain].idle)
        return True

    def feed(self) -> None:
        """Give legs to those who wait, ask for more, close what is not needed. Called after every change."""
        if self.over or self.draining:
            return
        now = self._clock.seconds()
        for plain, pool in self._pools.items():
            waiting = self.peer.waiting[plain]
            while len(waiting) > len(self._probing[plain]):
                leg = self._fresh_leg(plain)
                if leg is None:
                    break
                self._open_next(leg)
            if plain and not self._hub.plain_legs:
                continue
            other = self._pools[not plain]
            pool.limit = max(0, self._most_legs - other.idle - other.busy - other.requested)
            count = pool.wanted(now, max(0, len(waiting) - len(self._probing[plain])))
            while count:
                self.control.send(NeedLegs(plain, min(count, LEGS_PER_REQUEST)))
                count -= min(count, LEGS_PER_REQUEST)
            for leg in pool.surplus(now):
                leg.close()
        self._plan(now)

    # ILegOwner.

    def leg_open(self, leg: ILeg, body: bytes) -> None:
        """Never happens at an opener: its machine takes an OPEN for a breach."""

    def leg_abandoned(self, leg: ILeg) -> None:
        """Never happens at an opener."""

    def leg_answered(self, leg: ILeg) -> None:
        """The target answered."""

    def leg_probed(self, leg: ILeg) -> None:
        """It lives: whoever waits first gets it."""
        self._probing[leg.plain].discard(leg)
        self._open_next(leg)
        self.feed()

    def leg_ended(self, leg: ILeg, end: StreamEnd) -> None:
        """A visitor's time is over."""
        visitor = self.streams.pop(leg)
        if not self.streams:
            self._hub.streaming.discard(self)
        self.peer.ended(visitor, end.outcome, end)

    def leg_idle(self, leg: ILeg) -> None:
        """The leg is free for the next visitor, or not needed any more."""
        if self.over or self.draining or not self._pools[leg.plain].put(leg, self._clock.seconds()):
            leg.close()
            return
        self._feed_soon(urgent=bool(self.peer.waiting[leg.plain]))

    def leg_lost(self, leg: ILeg, reason: str) -> None:
        """The leg is gone."""
        self._pools[leg.plain].discard(leg)
        self._probing[leg.plain].discard(leg)
        self._legs.discard(leg)
        self.log.debug("a leg of client {client} is gone: {reason}", client=self.peer.name, reason=printable(reason))
        self.feed()
        self._check_gone()

    # Parts of the above.

    def _fresh_leg(self, plain: bool) -> ILeg | None:
        """Take an idle leg that was heard of lately. An older one is tried first, and serves when it has answered."""
        pool = self._pools[plain]
        leg = pool.take(self._clock.seconds())
        while leg is not None and leg.state is State.CLOSED:
            pool.discard(leg)  # its connection has broken, and `leg_lost` is on its way
            leg = pool.take(self._clock.seconds())
        if leg is None or self._clock.seconds() - leg.last_received < PROBE_AFTER:
            return leg
        self._probing[plain].add(leg)
        leg.probe()
        return None

    def _open_next(self, leg: ILeg) -> None:
        visitor = None if self.over or self.draining else self.peer.waiting[leg.plain].next()
        if visitor is None:
            self.leg_idle(leg)
        else:
            self._open(leg, visitor)

    def _open(self, leg: ILeg, visitor: Visitor) -> None:
        self.streams[leg] = visitor
        self._hub.streaming.add(self)
        visitor.local.on_gone = _nothing
        n, mac = None, None
        if leg.plain:
            n = leg.opens + 1
            mac = open_mac(
                self._ks, self.sid, leg.tag, "reverse", n, "mapping", visitor.mapping, visitor.conn,
                visitor.local.address,
            )  # fmt: skip
        body = OpenBody(visitor.conn, visitor.local.address, mapping=visitor.mapping, n=n, mac=mac)
        leg.open(visitor.local, body.encode())

    def _feed_soon(self, *, urgent: bool) -> None:
        """Feed now, or within UNHURRIED seconds: with legs to spare nobody waits for it, and to weigh the pool anew at each
        coming and going would cost more than to serve a visitor."""
        if urgent:
            self.feed()
        else:
            self._wake_in(UNHURRIED)

    def _plan(self, now: float) -> None:
        times = [t for t in (pool.next_check(now) for pool in self._pools.values()) if t is not None]
        if times:
            self._wake_in(min(times))

    def _wake_in(self, seconds: float) -> None:
        """Feed again no later than that; to wake too early costs little."""
        due = self._clock.seconds() + seconds
        if self._timer is not None and self._timer.getTime() <= due:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._clock.callLater(seconds, self._tick)

    def _check_gone(self) -> None:
        if self._lost and not self._legs:
            self._hub.session_gone(self)

    def _tick(self) -> None:
        self._timer = None
        self.feed()

    def _end(self) -> None:
        self.over = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._requests.clear()
        probing = [leg for legs in self._probing.values() for leg in legs]
        for leg in [leg for pool in self._pools.values() for leg in pool.close()] + probing:
            leg.close()

    # Messages.

    def _on_request(self, request: Message) -> None:
        self._requests.append(request)
        self._states += isinstance(request, MappingState)
        if self._states > STATES or len(self._requests) - self._states > REQUESTS:
            raise RemoteProtocolError("too many requests without waiting for answers", "limit")
        if not self._answering:
            self._answering = True
            Deferred.fromCoroutine(self._answer_all()).addErrback(self._failed)

    async def _answer_all(self) -> None:
        """Answer one request after the other, each finished before the next begins."""
        try:
            while self._requests and not self.over:
                request = self._requests.popleft()
                self._states -= isinstance(request, MappingState)
                await _REQUESTS[type(request)](self, request)
        finally:
            self._answering = False

    def _failed(self, failure: Any) -> None:
        self.log.failure("a request of client {client} failed", failure, client=self.peer.name)
        self.close(Error("internal", "the server failed; its log says more"), "internal error")

    async def _register(self, request: Register) -> None:
        results = await self.peer.register(request.mappings, self)
        if self.over:
            return
        answer = RegisterResp(request.id, "ok", tuple(results))
        if len(encode(answer)) > LIMIT_AFTER_AUTH:
            # Many names with long reasons. No client of ours asks for so many at once.
            self.close(Error("limit", "too many mappings in one register frame"), "too many mappings in one register")
            return
        self.control.send(answer)
        if not request.more:
            await self.peer.close_unnamed(self)

    async def _unregister(self, request: Unregister) -> None:
        await self.peer.unregister(request.names, self)
        self.control.send(RegisterResp(request.id, "ok"))

    async def _mapping_state(self, message: MappingState) -> None:
        await self.peer.set_state(message.name, message.state == "up", message.reason, self)

    def _on_legs_failed(self, message: LegsFailed) -> None:
        self.log.warn(
            "client {client} cannot bring {count} legs: {reason}",
            client=self.peer.name, count=message.count, reason=printable(message.reason),
        )  # fmt: skip
        self._pools[message.plain].failed(message.count, self._clock.seconds())
        self.feed()

    def _on_drain(self, message: Drain) -> None:
        """The client is about to stop: open nothing more; visitors wait for its successor."""
        self._hub.session_draining(self)
        self._open_no_more()
        self.control.send(DrainOk())

    def _open_no_more(self) -> None:
        self.draining = True
        for leg in [leg for pool in self._pools.values() for leg in pool.close()]:
            leg.close()

    def _on_drain_ok(self, message: DrainOk) -> None:
        if not self._asked_to_drain:
            raise RemoteProtocolError("drain_ok without a drain")

    def _on_error(self, message: Error) -> None:
        """`lost` will say what it was."""


def _nothing() -> None:
    return None


_REQUESTS: dict[type[Any], Callable[[ServerSession, Any], Awaitable[None]]] = {
    Register: ServerSession._register,
    Unregister: ServerSession._unregister,
    MappingState: ServerSession._mapping_state,
}

_MESSAGES: dict[type[Any], Callable[[ServerSession, Any], None]] = {
    Register: ServerSession._on_request,
    Unregister: ServerSession._on_request,
    MappingState: ServerSession._on_request,
    LegsFailed: ServerSession._on_legs_failed,
    Drain: ServerSession._on_drain,
    DrainOk: ServerSession._on_drain_ok,
    Error: ServerSession._on_error,
}
