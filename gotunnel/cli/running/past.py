"""`gotunnel usage`: the traffic of the past, from the processes that run here, or from the files that they have
left."""

from __future__ import annotations

import csv
import json
import os
import re
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import click

from gotunnel.cli.running.asking import FOLDERS, NOTHING, Unasked, Where, found
from gotunnel.cli.saying import say
from gotunnel.config.load import load
from gotunnel.config.spans import read_span
from gotunnel.errors import GotunnelError, Sentence
from gotunnel.i18n.errors import error_text
from gotunnel.i18n.language import ENGLISH, of_environment
from gotunnel.tap.exits import FAILED, one_line_errors
from gotunnel.tap.role import state_path

__all__ = ["STEPS", "Asked", "show_usage", "time_of"]

PROGRAM = "gotunnel"
WIDTH = 200
"""Columns if no terminal says how many it has."""
STEPS = {"minute": 60, "hour": 3600, "day": 86_400}
_FILE = re.compile(r"usage-(server|client)(?:-(.+))?\.db")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True, slots=True)
class Asked:
    """What to show: `query` for the API, and the form of the output."""

    query: Mapping[str, str] = field(default_factory=dict)
    as_json: bool = False
    as_csv: bool = False


def time_of(text: str, now: float) -> str:
    """Return a time as the API takes it; a date is in this machine's time zone. Raises click.BadParameter."""
    if read_span(text) is not None or re.fullmatch(r"[0-9]{9,12}(\.[0-9]{1,9})?", text):
        return text
    try:
        return f"{max(0.0, datetime.fromisoformat(text).timestamp()):.0f}"
    except (ValueError, OverflowError, OSError):
        raise click.BadParameter(
            f"{text!r} is neither a length of time before now (24h, 7d) nor a date (2026-11-29, 2026-11-29T14:00)"
        ) from None


def show_usage(where: Where, asked: Asked) -> None:
    """Print the traffic. Raises SystemExit."""
    with one_line_errors(PROGRAM):
        answers = list(_answers(where, asked))
    if asked.as_json:
        click.echo(json.dumps(answers, indent=1))
    elif asked.as_csv:
        _write_csv(answers)
    else:
        _print(answers)
    if any(answer["more"] for answer in answers):
        say("there is more than is shown: ask for a shorter time, or for one --client", before=f"{PROGRAM}: ", err=True)
        raise SystemExit(FAILED)


def _answers(where: Where, asked: Asked) -> Iterator[dict[str, Any]]:
    try:
        # JSON and CSV are in English, for programs.
        processes = found(where, lang=ENGLISH.name if asked.as_json or asked.as_csv else None)
    except Unasked as unasked:
        if str(unasked) != NOTHING or where.socket is not None:
            raise
        files = list(_files(where))
        if not files:
            raise Unasked(Sentence("{nothing}; and no usage-*.db is there", nothing=NOTHING)) from None
        for file in files:
            yield _from_file(file, asked)
        return
    refused: list[Unasked] = []
    for process in processes:
        try:
            yield process.get("/v1/usage", **asked.query)
        except Unasked as unasked:  # a process without a history must not hide the others
            refused.append(unasked)
    if len(refused) == len(processes):
        raise refused[0]
    for each in refused:
        click.echo(f"{PROGRAM}: {error_text(each, of_environment())}", err=True)


def _files(where: Where, env: Mapping[str, str] = os.environ) -> Iterator[Path]:
    """The history files of processes that do not run, or are not asked."""
    state = state_path(where.state, env)
    folders = [state] if where.state is not None else [state, *map(Path, FOLDERS)]
    if where.config is not None:
        file = load(where.config, clients_elsewhere=True)
        for role, section in (("server", file.server), ("client", file.client)):
            if section is not None and where.role in (None, role):
                name = None if file.client is None or role == "server" else file.client.name
                paths = (section.usage.path(folder, role, name) for folder in folders)
                yield from (path for path in dict.fromkeys(paths) if path.exists())
        return
    for folder in dict.fromkeys(folders):
        for path in sorted(folder.glob("usage-*.db")):
            known = _FILE.fullmatch(path.name)
            if known is not None and where.role in (None, known[1]):
                yield path


def _from_file(path: Path, asked: Asked) -> dict[str, Any]:
    # Imported here, because most commands do not need SQLite.
    from gotunnel.history.question import answer, question
    from gotunnel.history.store import connect, told

    known, now = _FILE.fullmatch(path.name), time.time()
    head = {"role": known[1] if known else "", "name": (known[2] or "") if known else "", "file": str(path)}
    try:
        with closing(connect(str(path), write=False)) as connection, told():
            return {**head, **answer(connection, question(asked.query, now), now)}
    except GotunnelError as failed:
        raise Unasked(Sentence("{path}: {failed}", path=path, failed=failed)) from None


def _print(answers: list[dict[str, Any]]) -> None:
    from rich.console import Console

    from gotunnel.cli.running.pasttable import picture

    console = Console(highlight=False, width=None if sys.stdout.isatty() else WIDTH)
    for number, each in enumerate(answers):
        if number:
            console.print()
        console.print(picture(each, of_environment()))


def _write_csv(answers: list[dict[str, Any]]) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    fields = ("time", "client", "mapping", "up", "down", "streams", "failures", "peak")
    writer.writerow(("role", *fields))
    for each in answers:
        for row in each["usage"]:
            told = {**row, "time": _moment(row["time"])} if "time" in row else row
            writer.writerow((each["role"], *(_cell(told.get(name, "")) for name in fields)))


def _moment(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, timezone.utc):%Y-%m-%dT%H:%M:%SZ}"


def _cell(value: object) -> object:
    """Return a cell that a spreadsheet does not take for a formula: a peer may have chosen the name."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value
