"""The paths of the admin API and their answers: values of `core.view`, with lists as iterators so that a long list is
written in pieces. Knows nothing of HTTP except status codes."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred

from gotunnel import __version__
from gotunnel.admin.events import Events
from gotunnel.admin.face import Acts, Face, Refused
from gotunnel.admin.lag import Lag
from gotunnel.core.outcome import Outcome
from gotunnel.core.view import CounterView, DescriptorView, Finding, RoleView
from gotunnel.errors import Sentence, printable
from gotunnel.logs import level
from gotunnel.net.descriptors import nofile, used

if TYPE_CHECKING:
    from gotunnel.history.recorder import Recorder

__all__ = ["Answer", "Api"]

Query = Mapping[str, str]

SLOW = 5.0
"""The largest delay of the event loop, in seconds, with which a process counts as healthy."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer: an object whose values may be iterators. `brief` replaces it for requests that may not see more."""

    content: dict[str, Any]
    status: int = 200
    brief: dict[str, Any] | None = None
    headers: dict[str, str] = field(default_factory=dict)


class Api:
    """All paths of one role. A request that cannot be done raises Refused."""

    def __init__(self, face: Face, acts: Acts, lag: Lag, events: Events, history: Recorder | None = None) -> None:
        self.face = face
        self._history = history
        self.acts = acts
        self.lag = lag
        self._events = events
        self._paths: dict[str, Callable[[Query], Answer | Deferred[Answer]]] = {
            "/v1/": lambda query: self._plain("/v1/", query, self._index),
            "/v1/status": lambda query: self._plain("status", query, self._status),
            "/v1/sessions": lambda query: self._list("sessions", query, face.sessions(), "name"),
            "/v1/mappings": lambda query: self._list("mappings", query, face.mappings(), "client", "state", "name"),
            "/v1/streams": lambda query: self._list("streams", query, face.streams, "client", "mapping", "conn"),
            "/v1/rights": lambda query: self._list("rights", query, face.rights(), "client"),
            "/v1/legs": lambda query: self._plain("legs", query, lambda: Answer({"legs": face.legs()})),
            "/v1/events": lambda query: self._list("events", query, self._events.latest, "level"),
            "/v1/counters": lambda query: self._plain("counters", query, self._counters),
            "/v1/usage": lambda query: Deferred.fromCoroutine(self._usage(query)),
            "/healthz": lambda query: self._plain("/healthz", query, lambda: self._judged("ok", self.alive())),
            "/readyz": self._readyz,
        }

    def get(self, path: str, query: Query) -> Answer | Deferred[Answer]:
        """Answer a question. Raises Refused, or returns a Deferred that fails with it."""
        answer = self._paths.get(path)
        if answer is None:
            if path.removeprefix("/v1/") in self.acts:
                raise Refused("this changes something: POST it", 405)
            raise Refused("there is no such path; GET /v1/ lists them", 404)
        return answer(query)

    def act(self, path: str, wish: dict[str, Any]) -> Any:
        """Perform an act; return an object or a Deferred of one. Raises Refused."""
        name = path.removeprefix("/v1/")
        act = self.acts.get(name) if path.startswith("/v1/") else None
        if act is None:
            known = path in self._paths
            raise Refused("this can only be read: GET it" if known else "there is no such path", 405 if known else 404)
        return act(wish)

    # The views:

    def role(self) -> RoleView:
        """The process."""
        face = self.face
        shares = face.descriptors.shares
        descriptors = DescriptorView(used(), nofile(), shares.reserve, face.descriptors.scarce)
        return RoleView(
            face.role, face.name, __version__, os.getpid(), face.age, face.draining, face.relay, level(), descriptors,
            self.lag.longest,
        )  # fmt: skip

    def counters(self) -> CounterView:
        """The counters since the start."""
        usage = self.face.usage
        up, down = self.face.carried()
        return CounterView(
            usage.opened, usage.live, {outcome.value: usage.outcomes[outcome] for outcome in Outcome}, up, down,
            usage.legs_created, usage.legs_reused, dict(usage.refused),
        )  # fmt: skip

    def alive(self) -> list[Finding]:
        """Return whether the process is healthy; if not, it should be restarted."""
        late = self.lag.longest
        loop = Finding("event loop", late < SLOW, Sentence(
            "late by {late:.3f} s at most within half a minute", late=late
        ))
        return [loop, *self.face.alive()]

    def ready(self, client: str | None = None) -> list[Finding]:
        """Return whether the process can do its work."""
        scarce = self.face.descriptors.scarce
        words = "they are running short: raise LimitNOFILE (systemd) or ulimit -n" if scarce else "enough"
        return [*self.face.ready(client), Finding("descriptors", not scarce, words)]

    # The answers:

    def _index(self) -> Answer:
        return Answer({"version": __version__, "paths": sorted(self._paths), "acts": sorted(self.acts)})

    def _counters(self) -> Answer:
        return Answer({"counters": self.counters()})

    def _readyz(self, query: Query) -> Answer:
        # A client only answers about itself: with `client` its answer could be mistaken for one about another client.
        known = ("client",) if self.face.role == "server" else ()
        wanted = dict(query)
        client = wanted.pop("client", None) if known else None
        return self._plain("/readyz", wanted, lambda: self._judged("ready", self.ready(client)), known)

    def _status(self) -> Answer:
        ready = self.ready()
        return Answer({
            "role": self.role(), "ready": all(each.ok for each in ready), "findings": ready,
            "counters": self.counters(), "pending": self.face.pending, "legs": self.face.legs(),
            "sessions": self.face.sessions(), "mappings": self.face.mappings(), "last_event": self._events.last,
            "history": self._history is not None,
        })  # fmt: skip

    async def _usage(self, query: Query) -> Answer:
        # Imported on demand: it is rarely used, and takes memory.
        from gotunnel.history.question import Misasked, question
        from gotunnel.history.worker import NotKept

        if self._history is None:
            raise Refused("this process keeps no history of traffic", 404)
        try:
            asked = question(query, time.time())
            return Answer(await self._history.ask(asked))
        except Misasked as wrong:
            raise Refused(str(wrong)) from None
        except NotKept as failed:
            raise Refused(str(failed), 503) from None

    def _list(self, name: str, query: Query, found: Iterable[Any], *filters: str) -> Answer:
        unknown = sorted(set(query) - {*filters, "limit"})
        if unknown:
            said = printable(unknown[0], 60)
            raise Refused(Sentence(
                "{name} cannot be chosen by {said}, but by {value}",
                name=name, said=said, value=', '.join((*filters, 'limit')),
            ))
        limit = query.get("limit", "")
        if limit and not (limit.isascii() and limit.isdigit()):
            raise Refused("limit is a whole number")
        chosen = _matching(found, {key: query[key] for key in filters if key in query})
        return Answer({name: islice(chosen, int(limit[:9])) if limit else chosen})

    @staticmethod
    def _plain(name: str, query: Query, answer: Callable[[], Answer], known: Sequence[str] = ()) -> Answer:
        if query:
            said = printable(min(query), 60)
            raise Refused(Sentence(
                "{name} does not know {said}; it takes {known}",
                name=name, said=said, known=' and '.join(known) or 'nothing',
            ))
        return answer()

    @staticmethod
    def _judged(word: str, findings: list[Finding]) -> Answer:
        well = all(each.ok for each in findings)
        verdict = {word: well}
        return Answer({**verdict, "findings": findings}, 200 if well else 503, verdict)


def _matching(found: Iterable[Any], wanted: dict[str, str]) -> Iterator[Any]:
    for each in found:
        if all(str(getattr(value := getattr(each, key), "value", value)) == text for key, text in wanted.items()):
            yield each
