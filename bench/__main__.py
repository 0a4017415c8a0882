"""The command: `python -m bench`, or `make bench`."""

from __future__ import annotations

import argparse
import os
import shlex
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from bench.figures import BASELINE
from bench.machine import OtherLoad, machine, now
from bench.ours import ours
from bench.peers import PEERS
from bench.picture import picture
from bench.process import ROOT, Processes
from bench.report import Report, versions_of
from bench.run import MEASURES, Run
from bench.scale import FULL, QUICK, TINY, fit
from bench.subject import Subject
from bench.table import limits, tables

__all__ = ["main"]

_BEGAN = time.monotonic()

_BUSY = 15.0
"""Percent of the machine that others may use before a run warns."""


def main(words: Sequence[str] | None = None) -> int:
    """Run; return the exit code: 0, or 1 when a subject failed, 2 for a wrong command line."""
    subjects = [PEERS[0], *ours(), *PEERS[1:]]
    parser = _options(subjects)
    options = parser.parse_args(words)
    if options.list:
        _list(subjects)
        return 0
    for path in (options.json, options.svg):
        problem = _unwritable(path)
        if problem:
            parser.error(f"{path}: {problem}")  # now, and not when everything has been measured
    measures = [name for name in options.only if name in MEASURES] or list(MEASURES)
    chosen = {name for name in options.only if name not in MEASURES}
    subjects = [
        each for each in subjects
        if each.name == BASELINE or (each.name in chosen if chosen else not each.on_request)
    ]  # fmt: skip
    scale, remark = fit({"full": FULL, "quick": QUICK, "tiny": TINY}[options.scale])
    if options.rounds is not None:
        scale = replace(scale, rounds=options.rounds)
    command = shlex.join(["python", "-m", "bench", *(sys.argv[1:] if words is None else words)])
    report = Report(command, now(), options.scale, machine(), remarks=[remark] if remark else [])
    signal.signal(signal.SIGTERM, _interrupt)
    began, others = time.monotonic(), OtherLoad()
    try:
        with tempfile.TemporaryDirectory(prefix="gotunnel-bench.") as folder, Processes(Path(folder)) as processes:
            Run(report, scale, measures, processes, _progress).run(subjects)
    except KeyboardInterrupt:
        sys.stderr.write("\nended early, nothing written\n")
        return 130
    report.seconds, report.others = time.monotonic() - began, others.percent()
    if report.others > _BUSY:
        busy = f"others used {report.others:.0f} % of the machine meanwhile"
        report.remarks.append(f"{busy}: measure again when it is quiet")
    _show(report)
    for path, text in ((options.json, report.to_json()), (options.svg, picture(report))):
        path.write_text(text)
        sys.stdout.write(f"written: {path}\n")
    failed = {line.partition(":")[0] for line in report.remarks} & {each.name for each in subjects}
    return 1 if failed else 0


def _options(subjects: Sequence[Subject]) -> argparse.ArgumentParser:
    names = [*MEASURES, *(each.name for each in subjects)]
    parser = argparse.ArgumentParser("python -m bench", description="Measure what tunnels cost, in one run.")
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", dest="scale", action="store_const", const="quick", help="less than two minutes")
    size.add_argument("--tiny", dest="scale", action="store_const", const="tiny", help="does it run at all?")
    parser.set_defaults(scale="full")
    parser.add_argument(
        "--only", nargs="+", default=[], metavar="NAME", choices=names,
        help=f"measures, subjects or both ({BASELINE} always runs, for the ratios)",
    )  # fmt: skip
    parser.add_argument("--rounds", type=_positive, metavar="N", help="rounds of the measures side by side")
    results = ROOT / "bench" / "results"
    parser.add_argument("--json", type=Path, default=results / "latest.json", metavar="PATH")
    parser.add_argument("--svg", type=Path, default=results / "latest.svg", metavar="PATH")
    parser.add_argument("--list", action="store_true", help="print the names of measures and subjects")
    return parser


def _unwritable(path: Path) -> str:
    """Make the folder of a result; return why it cannot be written there, or an empty text."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        return f"its folder cannot be made: {error.strerror}"
    if path.is_dir():
        return "it is a folder"
    return "" if os.access(path if path.exists() else path.parent, os.W_OK) else "it is not writable"


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return number


def _list(subjects: Sequence[Subject]) -> None:
    sys.stdout.write("measures: " + " ".join(MEASURES) + "\nsubjects:\n")
    for subject in subjects:
        missing = subject.missing()
        sys.stdout.write(f"  {subject.name:<15} {subject.label}{f' ({missing})' if missing else ''}\n")


def _show(report: Report) -> None:
    lines = [
        f"{report.date}, {report.seconds:.0f} s, {report.command}",
        ", ".join(report.machine.values()) + f"; others used {report.others:.0f} %",
        ", ".join(versions_of(report)),
        *(f"not measured: {name} ({why})" for name, why in report.missing.items()),
    ]
    sys.stdout.write("\n".join(lines) + "\n\n" + tables(report) + "\n" + limits(report) + "\n")
    for remark in report.remarks:
        sys.stdout.write(f"! {remark}\n")


def _progress(line: str) -> None:
    sys.stderr.write(f"{time.monotonic() - _BEGAN:4.0f} s  {line}\n")


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
