"""One mapping of a Go client: its control connection, the legs requested from it, and the visitors on them.

The public port and waiting visitors, which outlive a session, belong to its peer.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred

from gotunnel.core.outcome import Outcome
from gotunnel.core.ratelimit import RateLimit
from gotunnel.core.stream import StreamEnd
from gotunnel.errors import RemoteProtocolError, Sentence, printable
from gotunnel.logs import Logger
from gotunnel.net.sockets import path_state
from gotunnel.net.transports import hand_over, unsent_bytes
from gotunnel.net.v1control import V1Control
from gotunnel.net.visitor import Visitor
from gotunnel.server.v1.peer import V1Peer
from gotunnel.wire.legstate import End
from gotunnel.wire.messages import Error
from gotunnel.wire.v1 import (
    SILENCE,
    Answer,
    OfflinePort,
    OnlinePort,
    OpenDataChannel,
    Ping,
    Pong,
    Register,
    V1Message,
)

if TYPE_CHECKING:
    from gotunnel.net.joint import Joint
    from gotunnel.server.v1.peers import V1Peers

__all__ = ["V1Leg", "V1Session"]

MESSAGE_SECONDS = 5
"""A client may send `limits.messages` per second, in bursts of up to this many seconds' worth."""
STATES = 64
"""The number of state changes that may be pending."""
LOOK = 0.05
"""Seconds between checks whether a byte was acknowledged."""


class V1Session:
    """A session begins when its `register` is answered with ok, and ends with its control connection.

    Streams continue after that.
    """

    log = Logger()

    def __init__(self, peers: V1Peers, peer: V1Peer, request: Register, host: str, address: str) -> None:
        self.peer = peer
        self.identity = (request.name, request.remote_port)
        self.mapping = f"port {request.remote_port}"
        self.local_port = request.local_port
        self.host = host
        self.address = address
        self.most_legs = peer.rights.max_legs
        self.began: float = peers.hub.clock.seconds()
        self.draining = False  # version 1 has no drain message
        # A limit, or visitors that connect and leave at once would make us send requests without end.
        self._most_asked = peer.rights.max_pending
        self._peers = peers
        self._clock: Any = peers.hub.clock
        self._port = request.remote_port
        self.refused = ""
        """Why it may not begin: it was closed while its port was being opened."""
        self._control: V1Control | None = None
        self._over = False
        self._streams: dict[Joint, Visitor] = {}
        self._asked: deque[float] = deque()  # when each outstanding leg was requested
        self._states: deque[bool] = deque()
        self._setting = False
        self._offline = False

    # The control connection.

    def begin(self, transport: Any) -> None:
        """Take over the connection, after `ok` has been sent."""
        messages = self._peers.hub.config.limits.messages
        limit = RateLimit(messages, MESSAGE_SECONDS * messages, self._clock.seconds())
        self._control = V1Control(self._clock, self._message, self._lost, limit=limit, silence=SILENCE)
        hub = self._peers.hub
        hub.tell_of(
            self.peer.name, "connected", "client {client} connected from {address}{how}", address=self.address, how=""
        )
        hub.say_of(
            self.peer.name, "in clear",
            "the token of client {client} and all traffic of its visitors cross the network in clear, as version 1 "
            "works; move it to version 2, and then set server.v1.enabled: false",
        )  # fmt: skip
        hand_over(transport, self._control, b"")
        self._ask_for_all()

    def dropped(self) -> None:
        """The session does not begin: it was refused after all, or its connection has closed."""
        self._over = True
        self._peers.session_lost(self)
        self._peers.session_gone(self)

    def tell_shut(self, mapping: str, reason: str | None) -> None:
        """Do nothing: version 1 has no such message."""

    def close(self, error: Error | None, reason: str) -> None:
        """End the session from our side, with `error` as the last message."""
        if self._control is not None:
            self._control.close(reason, None if error is None else Answer("fail", error.reason))
        else:
            self.refused = reason

    def give_way(self) -> None:
        """Make way for another connection of this client, because the old one does not respond."""
        if self._control is not None:
            self._control.abort("its client did not answer, and came back on another connection")
        self._end()

    def answers(self, seconds: float) -> Deferred[bool]:
        """Find out within `seconds` whether the peer is still there.

        Version 1 has no message for this. So we send a pong, which clients ignore, and check whether the peer's kernel
        acknowledges it.
        """
        answer: Deferred[bool] = Deferred()
        control = self._control
        if control is None:
            answer.callback(True)  # it has just sent its register
            return answer
        control.send(Pong(0))
        deadline = self._clock.seconds() + seconds

        def look() -> None:
            if control.lost or control.left or self._over:
                answer.callback(False)
                return
            path = path_state(control.transport.getHandle())
            unread = bool(unsent_bytes(control.transport)) or (path is not None and path.unacknowledged > 0)
            late = self._clock.seconds() >= deadline
            if unread and not late:
                self._clock.callLater(LOOK, look)
            else:
                answer.callback(not unread)

        # Not at once: the end of the old connection may be processed later in this same turn of the reactor.
        self._clock.callLater(LOOK, look)
        return answer

    def _message(self, message: V1Message) -> None:
        if isinstance(message, Ping):
            assert self._control is not None
            self._control.send(Pong(message.time))
        elif isinstance(message, (OfflinePort, OnlinePort)):
            self._state(message)
        else:
            raise RemoteProtocolError(Sentence(
                "a client does not send {name} here", name=type(message).__name__
            ))

    def _state(self, message: OfflinePort | OnlinePort) -> None:
        if message.port != self._port:
            raise RemoteProtocolError(Sentence("port {port} is not this client's", port=message.port))
        self._offline = isinstance(message, OfflinePort)
        self._states.append(not self._offline)
        if len(self._states) > STATES:
            raise RemoteProtocolError("too many changes of state at once")
        if not self._setting:
            self._setting = True
            Deferred.fromCoroutine(self._set_states()).addErrback(
                lambda failure: self.log.failure("a change of client {client} failed", failure, client=self.peer.name)
            )

    async def _set_states(self) -> None:
        try:
            while self._states and not self._over:
                up = self._states.popleft()
                await self.peer.published.set_state(self.mapping, up, "its client says so", self)
        finally:
            self._setting = False

    def _lost(self, reason: str) -> None:
        self._peers.hub.tell_of(
            self.peer.name, "lost", "client {client} lost ({address}): {reason}",
            address=self.address, reason=printable(reason),
        )  # fmt: skip
        self._end()

    def _end(self) -> None:
        if self._over:
            return
        self._over = True
        self._asked.clear()
        self._states.clear()
        self._peers.session_lost(self)
        self._gone_if_idle()

    def _gone_if_idle(self) -> None:
        if self._over and not self._streams:
            self._peers.session_gone(self)

    # For an operator.

    @property
    def served(self) -> tuple[tuple[Joint, Visitor], ...]:
        """The visitors being served, each with the object that relays its bytes."""
        return tuple(self._streams.items())

    @property
    def control(self) -> V1Control | None:
        """The control connection, or None before the session begins."""
        return self._control

    # Visitors and legs.

    def serve(self, visitor: Visitor) -> bool:
        """Return False: there are no idle legs in version 1, so a visitor always waits."""
        return False

    def feed(self) -> None:
        """Request a leg for one more waiting visitor. Before the session begins, `begin` does this for all."""
        if self._control is not None and self.legs_expected < self._most_asked:
            self._ask()

    @property
    def legs_expected(self) -> int:
        """The number of legs requested that have neither arrived nor expired."""
        patience = self._clock.seconds() - self._peers.hub.config.leg_wait
        while self._asked and self._asked[0] < patience:
            self._asked.popleft()
        return len(self._asked)

    def wants_leg(self) -> bool:
        """Whether a leg may arrive now: one was requested, and a visitor waits for it."""
        room = len(self._streams) < self.most_legs
        return room and not self._over and self.legs_expected > 0 and len(self.peer.waiting[False]) > 0

    def leg_arrived(self, transport: Any) -> None:
        """Give this leg to the visitor that has waited longest. The caller has checked `wants_leg`."""
        self._asked.popleft()
        visitor = self.peer.waiting[False].next()
        assert visitor is not None
        relay = self._peers.relay
        leg: Any = relay.adopt(transport)
        local: Any = visitor.local
        joint = relay.join(local, leg, End.OPENER, self._killed, lambda end: self._ended(joint, end))
        self._streams[joint] = visitor
        joint.begin(b"")
        self._ask_for_all()

    def reset_streams(self, outcome: Outcome) -> None:
        """Reset all streams."""
        for joint in tuple(self._streams):
            joint.reset(outcome)

    def _ask_for_all(self) -> None:
        """Request the legs that are missing: for visitors that came before, or that were above the limit."""
        while self.legs_expected < min(len(self.peer.waiting[False]), self._most_asked):
            self._ask()

    def _ask(self) -> None:
        assert self._control is not None
        self._asked.append(self._clock.seconds())
        self._control.send(OpenDataChannel(self.local_port))

    def _killed(self) -> bool:
        # After offline_port a client leaves cleanly: ours does so when its target is down, and its streams continue.
        return self._control is not None and self._control.left and not self._offline

    def _ended(self, joint: Joint, end: StreamEnd) -> None:
        self.peer.ended(self._streams.pop(joint), end.outcome, end)
        self._gone_if_idle()


class V1Leg:
    """A leg that was accepted and takes over its connection with `begin`."""

    def __init__(self, session: V1Session) -> None:
        self._session = session

    def begin(self, transport: Any) -> None:
        """Take over the connection, after `ok` has been sent."""
        self._session.leg_arrived(transport)

    def dropped(self) -> None:
        """Do nothing: the connection has closed, and its visitor keeps waiting for another leg."""
