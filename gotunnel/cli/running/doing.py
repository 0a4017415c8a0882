"""`gotunnel kick`, `mapping`, `log-level`, `reload` and `drain`: one action on one running role."""

from __future__ import annotations

import time
from typing import Any

import click

from gotunnel.cli.running.asking import Process, Unasked, Where, found
from gotunnel.cli.running.words import visitors_of
from gotunnel.cli.saying import errors_of_asking, say
from gotunnel.errors import Sentence, printable

__all__ = ["drain", "kick", "reload", "set_level", "switch"]

PROGRAM = "gotunnel"
LOOK = 0.5
"""Seconds between two requests for the state of a drain."""
LONGEST_LINE = 2000
"""Characters of one line of a report."""
MARGIN = 15.0
"""Seconds that a drain may take in addition to its time."""


def the_one(where: Where) -> Process:
    """Return the process that is meant. Raises Unasked; raises click.UsageError if several processes match."""
    processes = found(where)
    if len(processes) > 1:
        listed = ", ".join(process.path for process in processes)
        raise click.UsageError(Sentence(
            "several run here; choose one with --role or --socket: {listed}", listed=listed
        ))
    return processes[0]


def kick(where: Where, name: str | None, stream: str | None) -> None:
    """End a session, or the stream of one visitor. Raises SystemExit."""
    with errors_of_asking(PROGRAM):
        process = the_one(where)
        if stream is not None:
            process.post("/v1/kick", stream=stream)
            say(Sentence("stream {stream} is reset", stream=printable(stream)))
            return
        role = process.get("/v1/status")["role"]["role"]
        if role == "server":
            if name is None:
                raise click.UsageError("name a client, or the --stream of one visitor")
            cut = process.post("/v1/kick", client=name)["cut"]
            say(Sentence(
                "client {name} is disconnected, with {visitors}; to keep it out: gotunnel client revoke {name}",
                name=name, visitors=visitors_of(cut),
            ))  # fmt: skip
            return
        cut = process.post("/v1/kick", **({} if name is None else {"server": name}))["cut"]
        say(Sentence(
            "disconnected from {name}, with {visitors}; it comes back by itself",
            name=name or Sentence("the server"), visitors=visitors_of(cut),
        ))  # fmt: skip


def switch(where: Where, name: str, client: str | None, *, on: bool) -> None:
    """Switch a mapping on or off. Raises SystemExit."""
    with errors_of_asking(PROGRAM):
        answer = the_one(where).post("/v1/mapping", name=name, on=on, **({} if client is None else {"client": client}))
    mapping, owner = printable(answer["mapping"]), printable(answer["client"])
    if on:
        say(Sentence("mapping {mapping} of client {client} is on", mapping=mapping, client=owner))
    else:
        say(Sentence(
            "mapping {mapping} of client {client} is off: no new visitor is accepted until `gotunnel mapping on`, "
            "or a restart of that process",
            mapping=mapping, client=owner,
        ))  # fmt: skip


def set_level(where: Where, level: str | None) -> None:
    """Print the log level of each process, or set it. Raises SystemExit."""
    with errors_of_asking(PROGRAM):
        for process in found(where):
            answer = process.post("/v1/log-level", **({} if level is None else {"level": level}))
            was = Sentence(" (was {before})", before=answer["before"]) if level else ""
            say(Sentence("{path}: {level}{was}", path=process.path, level=answer["level"], was=was))


def reload(where: Where) -> None:
    """Let one role read its file again, and print the result. Raises SystemExit: 1 if nothing has changed because the
    file cannot be used."""
    with errors_of_asking(PROGRAM):
        answer = the_one(where).post("/v1/reload")
        for line in answer["lines"]:
            say(printable(line, LONGEST_LINE), err=not answer["applied"])
        if not answer["applied"]:
            raise Unasked("the configuration was rejected, everything stays as it was")


def drain(where: Where, seconds: float) -> None:
    """Drain a role, and wait for the end. The exit code is 0 if all visitors finished by themselves, else 1. If a drain
    is under way or over, wait for that one. Raises SystemExit."""
    with errors_of_asking(PROGRAM):
        process = the_one(where)
        answer = process.post("/v1/drain", seconds=seconds)
        left, live = min(seconds, answer["left"]), visitors_of(answer["live"])
        if not answer["joined"]:
            begun = Sentence("draining: {visitors} here, {seconds:g} s to finish", visitors=live, seconds=seconds)
        elif answer["over"]:
            begun = Sentence("this process was drained before, with this result:")
        else:
            begun = Sentence(
                "a drain is already in progress: {visitors} here, at most {seconds:.0f} s to finish; waiting for it",
                visitors=live, seconds=left,
            )  # fmt: skip
        say(begun, err=True)
        cut = _wait(process, answer, left)
        if cut:
            raise Unasked(Sentence("visitors were disconnected because their time was over: {cut}", cut=cut))
    say("drained: no visitor was disconnected; the process serves nobody now and can be stopped")


def _wait(process: Process, answer: dict[str, Any], seconds: float) -> int:
    end = time.monotonic() + seconds + MARGIN
    while not answer["over"]:
        if answer["failed"] or time.monotonic() > end:
            raise Unasked("the drain does not end; the log of the process says why")
        time.sleep(LOOK)
        try:
            answer = process.post("/v1/drain")
        except Unasked as gone:
            what = Sentence(
                "it ended before its drain was over; its log says whether visitors were disconnected ({gone})",
                gone=gone,
            )
            raise Unasked(what) from None
    return int(answer["cut"])
