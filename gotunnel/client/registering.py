"""Tells the server of a session about mappings and nodes, handles its answers, and retries."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from twisted.internet.interfaces import IDelayedCall

from gotunnel.client.nodes import OwnNodes
from gotunnel.client.published import NAMES_PER_FRAME, Published
from gotunnel.client.requests import Requests
from gotunnel.client.standing import Standing
from gotunnel.errors import Sentence, printable
from gotunnel.logs import Logger
from gotunnel.net.warnings import Warnings
from gotunnel.wire.greeting import NODES
from gotunnel.wire.messages import (
    MappingRequest,
    MappingResult,
    MappingState,
    Message,
    Nodes,
    Register,
    RegisterResp,
    Unregister,
)

__all__ = ["Registering"]


class Registering:
    """The base of a session that registers mappings and nodes."""

    log = Logger()

    def __init__(
        self, clock: Any, published: Published, nodes: OwnNodes, caps: tuple[str, ...], send: Callable[[Message], None]
    ) -> None:
        self._clock = clock
        self._published = published
        self._nodes = nodes
        self._caps = caps
        self._send = send
        self._requests = Requests(send)
        self._retry: IDelayedCall | None = None
        self._asks_no_more = False
        self._warn = Warnings(self.log, clock).warn  # a server could switch between both states for ever
        self._told_shut: set[str] = set()
        self.taken_nodes: tuple[str, ...] = ()
        """The announced nodes that the server leads to, by its last answer."""
        self.refused_nodes: dict[str, str] = {}
        """The other ones, with its reasons."""

    def announce(self) -> None:
        """Announce the current nodes, even if there are none."""
        if NODES not in self._caps:
            why = Sentence("the server's version does not lead to nodes (client.nodes); upgrade it")
            self.refused_nodes = dict.fromkeys(self._nodes.announced, why)
            if self._nodes.announced:
                self.log.warn("the server's version does not lead to nodes (client.nodes); upgrade it")
            return
        self._requests.ask(partial(Nodes, nodes=self._nodes.announced))

    def register(self, requests: Iterable[MappingRequest] | None = None) -> None:
        """Request these mappings, or all including open ones. A frame without "more" closes the ports that the session
        has never named."""
        for batch, more in self._published.batches(requests):
            # The states of targets that are down follow directly, so that their ports do not stay open.
            self._requests.ask(partial(Register, mappings=batch, more=more), self._published.down(batch))

    def change(self, closed: tuple[str, ...], wanted: tuple[MappingRequest, ...]) -> None:
        """Give up some mappings and request others, after a change of the configuration."""
        for start in range(0, len(closed), NAMES_PER_FRAME):
            self._requests.ask(partial(Unregister, names=closed[start : start + NAMES_PER_FRAME]))
        if wanted:
            self.register(wanted)

    def tell(self, name: str, up: bool, reason: str) -> None:
        """Tell the server that a target is up or down."""
        self._send(MappingState(name, "up" if up else "down", reason))

    def retry(self) -> None:
        """Request refused mappings again after a while. One timer serves them all."""

        def again() -> None:
            self._retry = None
            self.register()

        if self._retry is None and not self._asks_no_more:
            seconds = self._published.pause()
            self._retry = self._clock.callLater(seconds, again)
            if self._published.news:  # retries never end, and repeated refusals are not logged
                self.log.info("asking again for refused mappings in {seconds:.1f} s", seconds=seconds)

    def _ask_no_more(self) -> None:
        """Stop asking for refused mappings: a client that leaves must not open ports."""
        self._asks_no_more = True
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None

    def _registered(self, answer: RegisterResp) -> None:
        asked = self._requests.answered(answer)
        # One result per name is enough: a server could fill a frame, and our log, with many for one name.
        results = tuple({result.name: result for result in answer.results}.values())
        if isinstance(asked, Nodes):
            self._announced(frozenset(asked.nodes), results)
            return
        giving_up = self._requests.giving_up
        if isinstance(asked, Unregister):
            self._published.closed(set(asked.names) - giving_up)
            return
        if answer.status != "ok":
            self.log.error("the server refuses to register: {reason}", reason=printable(answer.reason or ""))
            results = tuple(
                MappingResult(each.name, "fail", None, "refused", answer.reason) for each in asked.mappings
            )
        results = tuple(result for result in results if result.name not in giving_up)
        self._published.answered(results, self._clock.seconds())
        for result in results:
            self._shut(result.name, result.shut)

    def _shut(self, mapping: str, reason: str | None) -> None:
        """Handle the server's report that it lets nobody in to a mapping, whatever its target does, or does again."""
        if not self._published.shut(mapping, reason):
            return
        if reason is not None:
            told = self._warn(
                "shut", "mapping {mapping}: the server turns visitors away: {reason}; gotunnel status there shows "
                        "it",
                mapping=mapping, reason=printable(reason),
            )  # fmt: skip
            if told:
                self._told_shut.add(mapping)
        elif mapping in self._told_shut:
            self._told_shut.discard(mapping)
            if self._published.statuses[mapping].standing is Standing.REFUSED:
                return  # the refusal now keeps visitors out, and has its own line
            self.log.info("mapping {mapping}: the server accepts visitors again", mapping=mapping)

    def _announced(self, asked: frozenset[str], results: tuple[MappingResult, ...]) -> None:
        known = [result for result in results if result.name in asked]
        self.taken_nodes = tuple(result.name for result in known if result.status == "ok")
        self.refused_nodes = {
            result.name: printable(result.reason or result.code or "", 256) for result in known if result.status != "ok"
        }
        for result in results:
            if result.status != "ok":
                self.log.warn(
                    "node {node} refused by the server: {reason}",
                    node=result.name, reason=printable(result.reason or result.code or ""),
                )  # fmt: skip
