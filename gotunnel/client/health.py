"""Probes the targets of a client's mappings, from the client's start to its end, connected or not. `checks` has the
probes; the consequences of a verdict are the owner's."""

from __future__ import annotations

import random as _random
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.python.failure import Failure

from gotunnel.address import Address
from gotunnel.config.model import MappingConfig
from gotunnel.core.health import Health
from gotunnel.errors import GotunnelError, Sentence, printable, said_behind
from gotunnel.interfaces import IHealthCheck
from gotunnel.logs import Logger
from gotunnel.net.answers import answer
from gotunnel.net.reasons import words_of

__all__ = ["Monitor"]

MOST_JITTER = 1.0
"""Seconds over which the second probes are spread, or a tenth of the interval if that is less, so that many targets are
not probed in step for ever."""
LONGEST_REASON = 200
"""Maximum characters of the reason sent to the server."""


class Monitor:
    """Probes each mapping with `health`.

    `check_for(mapping)` returns its check. `changed(mapping, up, reason)` is called for each change of a verdict; until
    the first verdict a target counts as up.
    """

    def __init__(
        self,
        clock: Any,
        mappings: Iterable[MappingConfig],
        check_for: Callable[[MappingConfig], IHealthCheck],
        changed: Callable[[str, bool, str], None],
        random: Callable[[], float] = _random.random,
    ) -> None:
        self._random = random
        self._clock = clock
        self._check_for = check_for
        self._changed = changed
        self._running = False
        self._watches: dict[str, _Watch] = {}
        self._watch(mappings)

    def start(self) -> None:
        """Start to probe."""
        self._running = True
        for watch in self._watches.values():
            watch.start(self._random())

    def change(self, mappings: Iterable[MappingConfig]) -> None:
        """Probe these mappings from now on. Where target and `health` are unchanged, nothing changes. A target that is
        down and gets another probe stays down until that probe passes; a new target counts as up."""
        before, self._watches = self._watches, {}
        mappings = tuple(mappings)
        self._watch(mappings, before)
        for name in before.keys() - {mapping.name for mapping in mappings}:
            before[name].stop()

    def stop(self) -> None:
        """Stop probing, and cancel probes in progress. Does nothing if it is not running."""
        self._running = False
        for watch in self._watches.values():
            watch.stop()

    def _watch(self, mappings: Iterable[MappingConfig], before: Mapping[str, _Watch] | None = None) -> None:
        for mapping in mappings:
            old = None if before is None else before.get(mapping.name)
            if old is not None and old.same_as(mapping):
                self._watches[mapping.name] = old
                continue
            down_since = None if old is None else old.down_since
            if old is not None:
                old.stop()
            if down_since is not None and not (mapping.health and old is not None and old.target == mapping.local):
                down_since = None
                self._changed(mapping.name, True, "it is another target, or is not probed any more")
            if mapping.health is not None:
                new = _Watch(self._clock, mapping, self._check_for(mapping), self._changed, down_since)
                self._watches[mapping.name] = new
                if self._running:
                    new.start(self._random())


class _Watch:
    """The probing of one target: waits for the next probe, or runs one with a time limit."""

    log = Logger()

    def __init__(
        self,
        clock: Any,
        mapping: MappingConfig,
        check: IHealthCheck,
        changed: Callable[[str, bool, str], None],
        down_since: float | None,
    ) -> None:
        assert mapping.health is not None
        self._clock = clock
        self._mapping = mapping
        self._config = mapping.health
        self._check = check
        self._changed = changed
        self._health = Health(self._config.failures, self._config.successes, down_since)
        self._timer: IDelayedCall | None = None
        self._probe: Deferred[None] | None = None
        self._late = False
        self._broken = False  # whether an unexpected error of the check was logged
        self._late_by = 0.0  # seconds by which the second probe is early
        self._stopped = False

    @property
    def target(self) -> Address:
        return self._mapping.local

    @property
    def down_since(self) -> float | None:
        return self._health.down_since

    def same_as(self, mapping: MappingConfig) -> bool:
        mine = self._mapping
        return (mine.local, mine.health, mine.proxy_protocol) == (mapping.local, mapping.health, mapping.proxy_protocol)

    def start(self, fraction: float) -> None:
        # The first probe is made at once: if the target is down, that should be known before its port opens.
        self._late_by = fraction * min(MOST_JITTER, self._config.interval / 10)
        self._timer = self._clock.callLater(0.0, self._begin)

    def stop(self) -> None:
        self._stopped = True
        self._cancel_timer()
        if self._probe is not None:
            self._probe.cancel()

    def _begin(self) -> None:
        started = self._clock.seconds()
        self._late = False
        # Started before the probe: of two timers due at one time the first wins, and ours knows how long it took.
        self._timer = self._clock.callLater(self._config.timeout, self._cut)
        self._probe = probe = answer(self._clock, None, self._check.probe).addCallback(_well)
        probe.addCallbacks(self._passed, self._failed)
        probe.addErrback(lambda failure: self.log.failure("judging the target of a mapping failed", failure))
        probe.addCallback(self._again, started)

    def _cut(self) -> None:
        self._timer = None
        self._late = True
        assert self._probe is not None
        self._probe.cancel()

    def _again(self, _: object, started: float) -> None:
        self._probe = None
        self._cancel_timer()
        if not self._stopped:
            taken = self._clock.seconds() - started
            late, self._late_by = self._late_by, 0.0
            self._timer = self._clock.callLater(max(0.0, self._config.interval - late - taken), self._begin)

    def _passed(self, _: object) -> None:
        self._broken = False
        down = None if self._stopped else self._health.passed(self._clock.seconds())
        if down is not None:
            self.log.info(
                "target {target} of mapping {mapping} is up again after {seconds:.1f} s",
                mapping=self._mapping.name, target=str(self._mapping.local), seconds=down,
            )  # fmt: skip
            self._changed(self._mapping.name, True, Sentence(
                "its target is up again after {down:.1f} s", down=down
            ))

    def _failed(self, failure: Failure) -> None:
        if self._stopped:
            return
        if not self._late and not failure.check(GotunnelError) and not self._broken:
            self._broken = True
            self.log.failure("probing the target of mapping {mapping} failed", failure, mapping=self._mapping.name)
        if not self._health.failed(self._clock.seconds()):
            return
        said = Sentence(
            "no answer within {timeout:g} s", timeout=self._config.timeout
        ) if self._late else words_of(failure.value)
        # The reason goes to the server as well, which must not learn the target's address.
        reason = printable(said_behind(f"{self._mapping.local}: ", said), LONGEST_REASON)
        self.log.warn(
            "target {target} of mapping {mapping} is down: {reason}",
            mapping=self._mapping.name, target=str(self._mapping.local), reason=reason,
        )  # fmt: skip
        self._changed(self._mapping.name, False, reason)

    def _cancel_timer(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()


def _well(found: object) -> None:
    if found is not None:  # the meaning of such a result is not defined
        raise TypeError(f"the probe answered with a {type(found).__name__}")
