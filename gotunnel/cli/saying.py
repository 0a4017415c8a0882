"""How commands speak: in the language of the environment. Output for programs (`--json`, CSV) is printed as it is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import click

from gotunnel.cli.streams import is_unwritten
from gotunnel.i18n.language import of_environment
from gotunnel.tap.exits import one_line_errors

__all__ = ["errors_of_asking", "say"]


def say(text: str, *, err: bool = False, before: str = "") -> None:
    """Print a text of ours as a line; `before` is put in front of it unchanged."""
    click.echo(before + of_environment().sentence(text), err=err)


@contextmanager
def errors_of_asking(program: str) -> Iterator[None]:
    """Like `one_line_errors`, for a command that also prints here. An output that cannot be written raises OSError, as
    it does elsewhere: CommandGroup knows what to say about it."""
    unwritten: OSError | None = None
    with one_line_errors(program):
        try:
            yield
        except OSError as failed:
            if not is_unwritten(failed):
                raise
            unwritten = failed
    if unwritten is not None:
        raise unwritten
