"""The requests of one session's client: register, unregister, nodes and mapping states.

Each request is finished and answered before the next one begins.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred

from gotunnel.errors import RemoteProtocolError, Sentence
from gotunnel.logs import Logger
from gotunnel.wire.frames import LIMIT_AFTER_AUTH
from gotunnel.wire.messages import (
    Error,
    MappingState,
    Message,
    Nodes,
    Register,
    RegisterResp,
    Unregister,
    encode,
)

if TYPE_CHECKING:
    from gotunnel.server.session import ServerSession

__all__ = ["REQUESTS", "Requests"]

REQUESTS = 64
"""The number of requests that may be pending; a client that sends more without reading answers is disconnected."""
MOST_NODES = 256
"""The number of nodes that one client may announce: all results must fit into one frame."""
STATES = 4096
"""The number of pending state changes. They have no answer to wait for, and all targets can go down at once."""
BRIEF = 0.002
"""Seconds that may be spent on nodes without a pause. After a longer list the next request is delayed by as long as
that took, at most LONGEST_REST, so that at least half of the time is left for others."""
LONGEST_REST = 0.1


class Requests:
    """Owned by a session."""

    log = Logger()

    def __init__(self, session: ServerSession, clock: Any) -> None:
        self._session = session
        self._peer = session.peer
        self._clock = clock
        self._waiting: deque[Message] = deque()
        self._states = 0  # how many of the waiting requests are state changes
        self._answering = False
        self._announced = False

    def clear(self) -> None:
        """Drop all pending requests, because the session has ended."""
        self._waiting.clear()

    def take(self, request: Message) -> None:
        """Queue a request. Raises RemoteProtocolError if too many are pending."""
        self._waiting.append(request)
        self._states += isinstance(request, MappingState)
        if self._states > STATES or len(self._waiting) - self._states > REQUESTS:
            raise RemoteProtocolError("too many requests without waiting for answers", "limit")
        if not self._answering:
            self._answering = True
            Deferred.fromCoroutine(self._answer_all()).addErrback(self._failed)

    async def _answer_all(self) -> None:
        self._peer.published.rested()
        try:
            while self._waiting and not self._session.over:
                request = self._waiting.popleft()
                self._states -= isinstance(request, MappingState)
                await _ACTS[type(request)](self, request)
        finally:
            self._answering = False

    def _failed(self, failure: Any) -> None:
        self.log.failure("a request of client {client} failed", failure, client=self._peer.name)
        self._session.close(Error("internal", "the server failed; its log says more"), "internal error")

    async def _register(self, request: Register) -> None:
        session, published = self._session, self._peer.published
        results = await published.register(request.mappings, session)
        if session.over:
            return
        answer = RegisterResp(request.id, "ok", tuple(map(published.as_it_is, results)))
        if len(encode(answer)) > LIMIT_AFTER_AUTH:
            # Caused by many names with long reasons. Our own client never requests so many at once.
            error = Error("limit", "too many mappings in one register frame")
            session.close(error, "too many mappings in one register")
            return
        session.control.send(answer)
        if not request.more:
            if not self._announced:
                self._peer.announced.announce(())
            await published.close_unnamed(session)

    async def _nodes(self, request: Nodes) -> None:
        """Replace the nodes that this client announces."""
        if len(request.nodes) > MOST_NODES:
            self._session.close(Error("limit", Sentence(
                "more than {most_nodes} nodes", most_nodes=MOST_NODES
            )), "too many nodes in one frame")
            return
        self._announced = True
        began = self._clock.seconds()
        self._session.control.send(RegisterResp(request.id, "ok", self._peer.announced.announce(request.nodes)))
        took = self._clock.seconds() - began
        if took > BRIEF:
            rest: Deferred[None] = Deferred()
            self._clock.callLater(min(took, LONGEST_REST), rest.callback, None)
            await rest

    async def _unregister(self, request: Unregister) -> None:
        await self._peer.published.unregister(request.names, self._session)
        self._session.control.send(RegisterResp(request.id, "ok"))

    async def _mapping_state(self, message: MappingState) -> None:
        await self._peer.published.set_state(message.name, message.state == "up", message.reason, self._session)


_ACTS: dict[type[Any], Callable[[Requests, Any], Awaitable[None]]] = {
    Register: Requests._register,
    Unregister: Requests._unregister,
    Nodes: Requests._nodes,
    MappingState: Requests._mapping_state,
}
