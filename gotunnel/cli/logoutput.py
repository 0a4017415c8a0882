"""The form of events on standard error: lines for an operator, or JSON for a collector. Chooses nothing, except which
of Twisted's own messages to leave out."""

from __future__ import annotations

import os
from functools import lru_cache
from time import gmtime, strftime
from typing import TextIO

from twisted.logger import (
    ILogObserver,
    LogEvent,
    LogLevel,
    eventAsJSON,
    formatEvent,
    globalLogBeginner,
)
from twisted.python.failure import Failure
from zope.interface import provider

from gotunnel.cli.logstyle import Style, plain, priorities, style_of
from gotunnel.cli.steadystream import SteadyStream
from gotunnel.errors import printable
from gotunnel.i18n.codes import code_of, load_codes
from gotunnel.i18n.events import log_language, text_of
from gotunnel.i18n.hints import WITH_HINT, hint_of, load_hints

__all__ = ["FORMATS", "begin_logging", "json_lines", "line_of", "text_lines"]

FORMATS = ("text", "json")

OURS = "gotunnel"
"""The prefix of the namespaces of our own events."""

LONGEST_MESSAGE = 4096
"""The largest number of characters of one event's text, without its traceback."""


def begin_logging(stream: TextIO | None, log_format: str) -> None:
    """Send this process's events to `stream` in one of FORMATS, without ever waiting for a reader. None means that
    standard error was closed when the process began. Called once, before the reactor runs."""
    if stream is None:
        stream = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - as long as the process lives
    load_codes()
    load_hints()  # now, because the first warning may be that no file can be opened any more
    style, steady = style_of(stream), SteadyStream(stream)
    if log_format == "json":
        observer = json_lines(steady, priorities if style is priorities else plain)
    else:
        observer = text_lines(steady, style)
    globalLogBeginner.beginLoggingTo([observer], redirectStandardIO=False)


def text_lines(stream: TextIO | SteadyStream, style: Style = plain) -> ILogObserver:
    """Return an observer that writes one line per event, in the language of the log; only the traceback of a bug takes
    more."""

    @provider(ILogObserver)
    def observe(event: LogEvent) -> None:
        if not _is_chatter(event):
            stream.write(style(line_of(event), event.get("log_level", LogLevel.info)))
            stream.flush()

    return observe


def json_lines(stream: TextIO | SteadyStream, style: Style = plain) -> ILogObserver:
    """Return an observer that writes one JSON object per line, with the fields of twisted.logger and ours:

    - `event`: the number of the line in the list of codes;
    - `message`: the event as English text;
    - `hint`: what to do about it;
    - `error` and `traceback`: of a failure, because twisted.logger's JSON lacks them.
    """

    @provider(ILogObserver)
    def observe(event: LogEvent) -> None:
        if not _is_chatter(event):
            kept = {key: value for key, value in event.items() if key not in ("log_logger", "log_source")}
            failure = _failure_of(event)
            if failure is not None:
                kept["error"] = printable(failure.getErrorMessage(), LONGEST_MESSAGE)
                kept["traceback"] = failure.getTraceback()
            code = code_of(event.get("log_format") or "")
            if code is not None:
                kept["event"] = code
                # A line with a hint of its own has it in this field already.
                kept.update({"hint": hint} if (hint := _hint(event)) else {})
            line = eventAsJSON({**kept, "message": formatEvent(event)})
            stream.write(style(f"{line}\n", event.get("log_level", LogLevel.info)))
            stream.flush()

    return observe


def line_of(event: LogEvent) -> str:
    """Return an event as `2026-11-23T03:00:00.123+00:00 [info] text`, with the line break and the time in UTC. A
    warning or error of ours has its number in the list of codes after the level: `[warn][1001]`.

    No control character of a value reaches the terminal, so that no peer can forge a line or move the cursor.
    """
    stamp: float = event["log_time"]
    second = int(stamp)
    when = f"{_utc(second)}.{int((stamp - second) * 1000):03d}+00:00"
    level = event.get("log_level", LogLevel.info)
    head = f"{when} [{level.name}]"
    ours = event.get("log_namespace", "").startswith(OURS)
    if ours:
        if level is not LogLevel.info and level is not LogLevel.debug:
            code = code_of(event["log_format"])
            head = head if code is None else f"{head}[{code}]"
        try:
            text = text_of(event)
        except (KeyError, ValueError, AttributeError, IndexError, TypeError):
            text = formatEvent(event)  # which says what is wrong with the event
        said = log_language()
        hint = _hint(event, said.name)
        if hint:
            text = said.format(WITH_HINT).format(said=text, hint=hint)
    else:
        text = formatEvent(event)
    failure = None if ours and "log_failure" not in event else _failure_of(event)
    if failure is None:
        if not text.isprintable() or len(text) > LONGEST_MESSAGE:
            text = printable(text, LONGEST_MESSAGE)
        return f"{head} {text}\n"
    text = text.partition("\n")[0]
    trace = failure.getTraceback().splitlines()
    lines = [
        f"{head} {printable(text, LONGEST_MESSAGE)}",
        *(f"    {printable(part, LONGEST_MESSAGE)}" for part in trace),
    ]
    return "".join(f"{line}\n" for line in lines)


def _hint(event: LogEvent, language: str = "en") -> str:
    """Return what to do about a warning, error or bug whose own text does not say it."""
    level = event.get("log_level", LogLevel.info)
    return "" if level is LogLevel.info or level is LogLevel.debug else hint_of(event, language)


@lru_cache(maxsize=1)
def _utc(second: int) -> str:
    """Return Unix seconds as date and time. Cached, because lines come in bunches."""
    return strftime("%Y-%m-%dT%H:%M:%S", gmtime(second))


def _failure_of(event: LogEvent) -> Failure | None:
    # twisted.python.log, which Twisted uses for errors in protocols, has it under `failure`, and in the text already.
    failure = event.get("log_failure", event.get("failure"))
    return failure if isinstance(failure, Failure) else None


def _is_chatter(event: LogEvent) -> bool:
    """Return whether this is one of Twisted's own status messages ("Starting factory …", "Main loop terminated."),
    which help no operator."""
    namespace: str = event.get("log_namespace", "")
    if namespace.startswith(OURS) or not namespace.startswith(("twisted.", "log_legacy")):
        return False
    level: bool = event.get("log_level", LogLevel.info) < LogLevel.warn
    return level
