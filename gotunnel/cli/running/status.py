"""`gotunnel status`: the state of the roles that run here, once or repeatedly."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass
from typing import Any

import click

from gotunnel.cli.running.asking import Process, Unasked, Where, found
from gotunnel.cli.saying import errors_of_asking
from gotunnel.i18n.errors import error_text
from gotunnel.i18n.language import ENGLISH, of_environment
from gotunnel.tap.exits import FAILED

__all__ = ["Wish", "show_ready", "show_status"]

PROGRAM = "gotunnel"
WIDTH = 200
"""Columns if no terminal says how many it has."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What to show; `watch` is the seconds between two looks."""

    streams: bool = False
    events: bool = False
    as_json: bool = False
    watch: float | None = None


def show_status(where: Where, wish: Wish) -> None:
    """Print the state; with `watch`, until Ctrl-C. Raises SystemExit."""
    with errors_of_asking(PROGRAM):
        if wish.watch is None:
            statuses = _all(where, wish)
            if wish.as_json:
                click.echo(json.dumps(statuses, indent=1))
            else:
                _print(statuses)
        elif wish.as_json:
            _watch_json(where, wish, wish.watch)
        else:
            _watch(where, wish, wish.watch)


def show_ready(where: Where, client: str | None) -> None:
    """Print what is wrong, and exit with 1 unless every process is ready. For health checks."""
    from gotunnel.cli.running.tables import said_of

    well = True
    with errors_of_asking(PROGRAM):
        processes = found(where)
        servers = [] if client is None or len(processes) == 1 else list(filter(_is_server, processes))
        for process in processes:
            # A client only answers about itself. It is asked nevertheless, and refuses, if there is no server.
            whose = {} if client is None or (servers and process not in servers) else {"client": client}
            answer = process.get("/readyz", **whose)
            well = well and bool(answer.get("ready"))
            for finding in answer.get("findings", []):
                if not finding["ok"]:
                    click.echo(said_of(finding, of_environment()), err=True)
    if not well:
        raise SystemExit(FAILED)


def _is_server(process: Process) -> bool:
    return bool(process.get("/v1/status")["role"]["role"] == "server")


def _all(where: Where, wish: Wish) -> list[dict[str, Any]]:
    # JSON has names of states and sentences untranslated, for programs.
    return [_status(process, wish) for process in found(where, lang=ENGLISH.name if wish.as_json else None)]


def _status(process: Process, wish: Wish) -> dict[str, Any]:
    status = {"socket": process.path, **process.get("/v1/status")}
    if wish.streams:
        status |= process.get("/v1/streams")
    if wish.events:
        status |= process.get("/v1/events")
    return status


def _print(statuses: list[dict[str, Any]]) -> None:
    from rich.console import Console

    from gotunnel.cli.running.tables import picture

    console = Console(highlight=False, width=None if sys.stdout.isatty() else WIDTH)
    for number, status in enumerate(statuses):
        if number:
            console.print()
        console.print(picture(status, said=of_environment()))


def _watch_json(where: Where, wish: Wish, seconds: float) -> None:
    try:
        while True:
            click.echo(json.dumps(_all(where, wish)))
            time.sleep(seconds)
    except KeyboardInterrupt:
        return


def _watch(where: Where, wish: Wish, seconds: float) -> None:
    from rich.console import Console, Group, RenderableType
    from rich.live import Live
    from rich.text import Text

    from gotunnel.cli.running.tables import picture

    console, said = Console(highlight=False, width=None if sys.stdout.isatty() else WIDTH), of_environment()
    before: dict[str, tuple[float, int, int]] = {}

    def look() -> RenderableType:
        pictures: list[RenderableType] = []
        try:
            statuses = _all(where, wish)
        except Unasked as unasked:
            return Text(error_text(unasked, said), "red")  # it may come back
        for status in statuses:
            counters, now = status["counters"], time.monotonic()
            then, up, down = before.get(status["socket"], (now, counters["up"], counters["down"]))
            before[status["socket"]] = now, counters["up"], counters["down"]
            past = max(now - then, 0.001)
            rates = max(0.0, (counters["up"] - up) / past), max(0.0, (counters["down"] - down) / past)
            pictures += [picture(status, rates=rates, said=said), Text()]
        return Group(*pictures)

    found(where)  # report at once if there is nothing to watch
    try:
        while not console.is_terminal:  # print one picture after another
            console.print(look())
            time.sleep(seconds)
        with Live(look(), console=console, screen=True, auto_refresh=False) as live:
            while True:
                time.sleep(seconds)
                live.update(look(), refresh=True)
    except KeyboardInterrupt:
        return
