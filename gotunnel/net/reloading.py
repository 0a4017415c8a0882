"""What both roles have in common for a change of configuration: one change at a time, all or nothing, and lines that
report the result. Each role applies the changes itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredLock
from twisted.internet.threads import deferToThreadPool

from gotunnel.errors import GotunnelError, lines_of, printable
from gotunnel.logs import Logger, set_level

if TYPE_CHECKING:
    from gotunnel.config.difference import Difference

__all__ = ["Reloadable", "Report"]

LONGEST_LINE = 2000
"""Characters of one line; what a line quotes from a file is limited to less."""


@dataclass(frozen=True, slots=True)
class Report:
    """The result of a reload. If not `applied`, nothing has changed, and the lines are those a start would print."""

    applied: bool
    lines: tuple[str, ...]


class Reloadable(Service):
    """The service of a role. `source` reads the configuration again: it may block, and raises GotunnelError or OSError
    for problems that the operator must fix."""

    log = Logger()

    def __init__(self, config: Any, reactor: Any) -> None:
        self._reactor = reactor
        self._settings = config
        self.source: Callable[[], Any] | None = None
        self.watchers: list[Callable[[bool], None]] = []
        """Called with True when a reload from the file begins, and with False when it is over."""
        self.speak: Callable[[str], None] = lambda _: None
        """Called with the language of the log when that has changed."""
        self.settled: list[Callable[[Any], None]] = []
        """Called with the configuration in force after each reload."""
        self._turn = DeferredLock()
        self._asked: list[Deferred[Report]] = []

    @property
    def draining(self) -> bool:
        """Whether new visitors are no longer served."""
        raise NotImplementedError

    @property
    def drain_timeout(self) -> float:
        """Seconds that visitors have to finish when the role stops."""
        return float(self._settings.drain_timeout)

    def reload(self, config: Any) -> Deferred[Report]:
        """Apply this configuration, as far as a running process can; what needs a restart is named. Fires with the
        Report. Fails with GotunnelError if it cannot be used, and then nothing has changed."""
        return Deferred.fromCoroutine(self._reload(lambda: config))

    def reload_from_file(self) -> Deferred[Report]:
        """Read the configuration file again and apply it. Fires with the Report, which is also logged; an invalid file
        gives a Report, too. Several requests made before it begins are served by one reload."""
        told: Deferred[Report] = Deferred()
        self._asked.append(told)
        if len(self._asked) == 1:
            Deferred.fromCoroutine(self._from_file()).addErrback(
                lambda failure: self.log.failure("reading the configuration again failed", failure)
            )
        return told

    async def _from_file(self) -> None:
        report = Report(False, ("it has failed; the log says more",))
        asked: list[Deferred[Report]] = []
        try:
            report = await self._reload(self._read, lambda: self._begun(asked))
        except (GotunnelError, OSError) as refused:
            report = Report(False, tuple(printable(line, LONGEST_LINE) for line in lines_of(refused)))
        finally:
            for watcher in self.watchers:
                watcher(False)
            self._say(report)
            for told in asked:
                told.callback(report)

    def _begun(self, asked: list[Deferred[Report]]) -> None:
        asked += self._asked
        self._asked = []
        for watcher in self.watchers:
            watcher(True)

    def _read(self) -> Any:
        if self.source is None:
            raise GotunnelError("this process was started without a configuration file")
        return deferToThreadPool(self._reactor, self._reactor.getThreadPool(), self.source)

    async def _reload(self, read: Callable[[], Any], begun: Callable[[], None] = lambda: None) -> Report:
        async with self._turn:
            begun()
            config = read()
            if isinstance(config, Deferred):
                config = await config
            if self.draining:
                raise GotunnelError("this process is draining, or has drained: its configuration stays; restart it")
            before = self._settings
            difference, lines = await self._apply(config)
            self._settings = difference.config
            if difference.config.log_level != before.log_level:
                set_level(difference.config.log_level)
            if difference.config.log_lang != before.log_lang:
                self.speak(difference.config.log_lang)
            for settled in self.settled:
                settled(difference.config)
            for warning in config.warnings:
                if warning not in before.warnings:
                    self.log.warn("{advice}", advice=warning)
            from gotunnel.config.changes import NOTHING  # imported late: `_apply` has loaded it by now

            return Report(True, tuple(lines) or (NOTHING,))

    async def _apply(self, config: Any) -> tuple[Difference[Any], list[str]]:
        """Apply a configuration. Returns what has changed, and lines that say so. Raises GotunnelError, and then
        nothing has changed."""
        raise NotImplementedError

    def _say(self, report: Report) -> None:
        for line in report.lines:
            if report.applied:
                self.log.info("configuration read again: {line}", line=line)
            else:
                self.log.error("configuration rejected, everything stays as it was: {problem}", problem=line)
