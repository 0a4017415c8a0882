"""The observer `usage`: a history of one role's traffic, from an observer's events, in a file of its own. The history
of `usage` in a configuration uses the same recorder, but a role's own counters, so it costs no additional call per
visitor."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from zope.interface import implementer

from gotunnel.config.observeroptions import UsageObserverOptions
from gotunnel.config.usage import UsageConfig
from gotunnel.core.accounts import MOST, MOST_OF_CLIENT, Account, Running
from gotunnel.core.observed import Ended, Stream
from gotunnel.core.outcome import Outcome
from gotunnel.core.stream import StreamEnd
from gotunnel.core.usage import Usage
from gotunnel.history.recorder import Recorder
from gotunnel.interfaces import IStreamObserver

__all__ = ["CLIENT", "UsageObserver"]

CLIENT = "client"
"""A client's name in its file, because an observer does not learn it."""


@dataclass(slots=True)
class _Here:
    account: Account
    carried: tuple[int, int] = (0, 0)


@implementer(IStreamObserver)
class UsageObserver:
    """Adds up what each mapping of each client carries, and writes that every few seconds, outside the reactor. A file
    that cannot be written is logged, and tried again."""

    def __init__(self, reactor: Any, options: UsageObserverOptions, role: str) -> None:
        self.role = role
        self.name = CLIENT
        self.usage = Usage(MOST_OF_CLIENT if role == "server" else MOST)
        self._reactor = reactor
        self._here: dict[Stream, _Here] = {}
        config = UsageConfig(file=options.file, keep=options.keep)
        self._recorder = Recorder(config, self, reactor, Path())
        self._recorder.startService()

    def running(self) -> Iterator[Running]:
        """See Counted."""
        for here in tuple(self._here.values()):
            yield here.account, here.carried

    def opened(self, stream: Stream) -> None:
        """See IStreamObserver."""
        self._here[stream] = _Here(self.usage.began(stream.client, stream.mapping))

    def bytes(self, stream: Stream, up: int, down: int) -> None:
        """See IStreamObserver."""
        self._here[stream].carried = (up, down)

    def closed(self, stream: Stream, ended: Ended) -> None:
        """See IStreamObserver."""
        outcome = Outcome(ended.outcome)
        end = StreamEnd(outcome, ended.code or None, ended.up, ended.down)
        self.usage.ended(self._here.pop(stream).account, outcome, end)

    def stop(self) -> None:
        """See IStreamObserver. What is new is still written; if the process ends now, it waits a moment for that."""
        ended: Deferred[None] = self._recorder.stopService()
        if not ended.called:
            self._reactor.addSystemEventTrigger("during", "shutdown", lambda: ended)
