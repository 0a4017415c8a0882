"""One run: all tunnels up side by side, every measure in every round in a shuffled order, then each tunnel alone."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Collection, Sequence
from functools import partial

from bench.crowd import crowd, started
from bench.measures import SIDE_BY_SIDE, first_byte
from bench.process import BenchError, LoadProcess, Processes
from bench.report import Report, Tested
from bench.scale import Scale
from bench.subject import Subject, Tunnel, start

__all__ = ["MEASURES", "Run"]

MEASURES = (*SIDE_BY_SIDE, "first-byte", "start", "crowd")
"""What `--only` may name."""

_GIVE_UP = 2
"""A subject that failed so often is left out from then on: each failure may have cost a time-out."""


class Run:
    """Fills a report."""

    def __init__(
        self,
        report: Report,
        scale: Scale,
        measures: Collection[str],
        processes: Processes,
        say: Callable[[str], None],
    ) -> None:
        self._report = report
        self._scale = scale
        self._measures = measures
        self._processes = processes
        self._say = say
        self._failures: dict[str, int] = {}
        self._target = processes.talk("target")
        self._load = LoadProcess(processes)

    def run(self, subjects: Sequence[Subject]) -> None:
        """Measure everything that was asked for."""
        present = []
        for subject in subjects:
            missing = subject.missing()
            if missing is None:
                present.append(subject)
                self._report.tested.append(Tested(subject.name, subject.label, subject.version(), subject.notes))
            else:
                self._report.missing[subject.name] = missing
        if set(self._measures) & {*SIDE_BY_SIDE, "first-byte"}:
            self._side_by_side(present)
        if set(self._measures) & {"start", "crowd"}:
            self._alone(present)

    def _side_by_side(self, subjects: Sequence[Subject]) -> None:
        tunnels = [tunnel for tunnel in (self._start(subject) for subject in subjects) if tunnel is not None]
        for number in range(1, self._scale.rounds + 1):
            for name, measure in SIDE_BY_SIDE.items():
                if name not in self._measures:
                    continue
                self._say(f"round {number} of {self._scale.rounds}: {name}")
                for tunnel in self._shuffled(tunnels):
                    self._take(tunnel.subject, partial(measure, tunnel, self._load, self._scale))
        if "first-byte" in self._measures:
            for number in range(1, self._scale.idle_rounds + 1):
                self._say(f"idle for {self._scale.idle_seconds:g} s, {number} of {self._scale.idle_rounds}")
                time.sleep(self._scale.idle_seconds)
                for tunnel in self._shuffled(tunnels):
                    self._take(tunnel.subject, partial(first_byte, tunnel, self._load))
        for tunnel in tunnels:
            tunnel.stop()

    def _alone(self, subjects: Sequence[Subject]) -> None:
        times = self._scale.starts if "start" in self._measures else 1
        for number in range(1, times + 1):
            for subject in random.sample(subjects, len(subjects)):
                if self._failures.get(subject.name, 0) >= _GIVE_UP:
                    continue
                with_crowd = number == 1 and "crowd" in self._measures
                self._say(f"{subject.name}: start{' and crowd' if with_crowd else ''}, {number} of {times}")
                tunnel = self._start(subject)
                if tunnel is None:
                    continue
                try:
                    if with_crowd:
                        self._take(subject, partial(crowd, tunnel, self._load, self._scale))
                finally:
                    tunnel.stop()

    def _start(self, subject: Subject) -> Tunnel | None:
        try:
            tunnel = start(subject, self._processes, self._service())
        except BenchError as error:
            self._failed(subject, error)
            return None
        if "start" in self._measures:
            self._report.add(subject.name, started(tunnel))
        return tunnel

    def _service(self) -> int:
        """Return a port of the service that no tunnel has led to yet: see `bench.target`."""
        given, taken = self._target.stdin, self._target.stdout
        assert given is not None and taken is not None
        port = int(taken.readline())
        given.write("\n")  # the next one
        given.flush()
        return port

    def _shuffled(self, tunnels: Sequence[Tunnel]) -> list[Tunnel]:
        mixed = random.sample(tunnels, len(tunnels))
        return [each for each in mixed if self._failures.get(each.subject.name, 0) < _GIVE_UP]

    def _take(self, subject: Subject, measure: Callable[[], dict[str, float]]) -> None:
        try:
            self._report.add(subject.name, measure())
        except BenchError as error:
            self._failed(subject, error)

    def _failed(self, subject: Subject, error: BenchError) -> None:
        self._failures[subject.name] = self._failures.get(subject.name, 0) + 1
        line = f"{subject.name}: {error}"
        self._report.remarks.append(line)
        self._say(line)
