"""What a run found: the samples, and what follows from them: medians, ratios, verdicts. Measures nothing."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any

from bench.figures import BASELINE, FIGURES, LIMITS

__all__ = ["Report", "Tested", "Verdict", "versions_of"]

FORMAT = 1

JUDGED = ("plain", "tls")


@dataclass(frozen=True)
class Tested:
    """A subject that was measured."""

    name: str
    label: str
    version: str = ""
    notes: str = ""


@dataclass(frozen=True)
class Verdict:
    """Whether gotunnel reached a limit; None where it was not measured."""

    figure: str
    subject: str
    limit: float
    ratio: bool
    value: float | None

    @property
    def met(self) -> bool | None:
        """Say whether the value is within the limit, as far as it is printed (two digits)."""
        return None if self.value is None else round(self.value, 2) <= self.limit


@dataclass
class Report:
    """One run."""

    command: str
    date: str
    scale: str
    machine: dict[str, str]
    tested: list[Tested] = field(default_factory=list)
    samples: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    """By figure, then by subject; one in each round, in the order of the rounds."""
    missing: dict[str, str] = field(default_factory=dict)
    """Subjects that could not be measured, and why."""
    remarks: list[str] = field(default_factory=list)
    seconds: float = 0.0
    others: float = 0.0
    """Percent of the machine that other processes used meanwhile."""

    def add(self, subject: str, sample: dict[str, float]) -> None:
        """Add what one measure of one round found."""
        for name, value in sample.items():
            self.samples.setdefault(name, {}).setdefault(subject, []).append(value)

    def of(self, figure: str, subject: str) -> list[float]:
        """Return all samples of a figure, in the order of the rounds."""
        return self.samples.get(figure, {}).get(subject, [])

    def middle(self, figure: str, subject: str) -> float | None:
        """Return the median."""
        found = self.of(figure, subject)
        return median(found) if found else None

    def best(self, figure: str, subject: str) -> float | None:
        """Return the least, or the most where more is better: what a moment without disturbance shows."""
        found = self.of(figure, subject)
        if not found:
            return None
        return max(found) if FIGURES[figure].more_is_better else min(found)

    def ratio(self, figure: str, subject: str) -> float | None:
        """Return the median of the ratios to the baseline, each within one round: both saw the same machine then."""
        ours, theirs = self.of(figure, subject), self.of(figure, BASELINE)
        if not ours or not theirs:
            return None
        if len(ours) != len(theirs):  # a sample failed, so that the rounds do not correspond
            return median(ours) / median(theirs) if median(theirs) else None
        ratios = [mine / base for mine, base in zip(ours, theirs, strict=True) if base]
        return median(ratios) if ratios else None

    def verdicts(self) -> list[Verdict]:
        """Compare gotunnel with its limits. Limits whose figure this run did not take are left out."""
        found = []
        for limit in LIMITS:
            if not any(self.of(limit.figure, subject) for subject in JUDGED):
                continue
            for subject, allowed in (("plain", limit.plain), ("tls", limit.tls)):
                value = (self.ratio if limit.ratio else self.middle)(limit.figure, subject)
                found.append(Verdict(limit.figure, subject, allowed, limit.ratio, value))
        return found

    def to_json(self) -> str:
        """Return everything, the medians and ratios included, for other programs."""
        value = asdict(self)
        value["format"] = FORMAT
        value["figures"] = {
            name: {
                "title": FIGURES[name].title,
                "unit": FIGURES[name].unit,
                "subjects": {
                    subject: {
                        "median": self.middle(name, subject),
                        "best": self.best(name, subject),
                        "ratio": self.ratio(name, subject),
                    }
                    for subject in subjects
                },
            }
            for name, subjects in self.samples.items()
        }
        value["verdicts"] = [{**asdict(verdict), "met": verdict.met} for verdict in self.verdicts()]
        return json.dumps(_rounded(value), indent=1, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Report:
        """Read what `to_json` wrote. Raises ValueError."""
        value = json.loads(text)
        if value.get("format") != FORMAT:
            raise ValueError(f"format {value.get('format')} is not {FORMAT}")
        kept = {name: value[name] for name in cls.__dataclass_fields__}
        kept["tested"] = [Tested(**each) for each in kept["tested"]]
        return cls(**kept)

    def subjects_with(self, figures: Iterable[str]) -> list[Tested]:
        """Return the subjects that have a sample of any of these figures."""
        names = list(figures)
        return [each for each in self.tested if any(self.of(name, each.name) for name in names)]


def versions_of(report: Report) -> list[str]:
    """Return the name and version of each program, once: gotunnel is measured in more than one way."""
    names = (f"{each.label.partition(',')[0]} {each.version}".strip() for each in report.tested)
    return list(dict.fromkeys(names))


def _rounded(value: Any) -> Any:
    """Keep five significant digits: more is noise, and makes a committed file hard to compare."""
    if isinstance(value, float):
        return float(f"{value:.5g}")
    if isinstance(value, dict):
        return {key: _rounded(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_rounded(each) for each in value]
    return value
