"""The `gotunnel` command as click runs it, and its errors for a wrong command line or for output that cannot be
written. The commands are in `main`."""

from __future__ import annotations

import errno
import io
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import click

__all__ = ["Command", "CommandGroup"]

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
"""Errors that are reported when output cannot be written. A pipe that nobody reads any more is not reported."""


@contextmanager
def _spoken() -> Iterator[None]:
    try:
        yield
    except click.UsageError as error:
        from gotunnel.cli.wrongwords import spoken

        raise spoken(error) from None


def _fill_gaps() -> None:
    """Give a process that was started without a standard stream (`<&-`, `>&-`) an empty one. In this order, each gets
    the number that is missing, so that no file or connection gets it."""
    if sys.stdin is None:
        sys.stdin = open(os.devnull)  # noqa: SIM115 - as long as the process lives
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115


def _replace_unknown() -> None:
    """Print `?` for a character that the encoding of standard output lacks, such as a bar of a table in Latin-1. No
    table is worth a traceback."""
    out = sys.stdout
    if isinstance(out, io.TextIOWrapper) and out.errors == "strict":
        out.reconfigure(errors="replace")


def _flush(quietly: bool) -> None:
    """Write what was printed. Otherwise Python would try at its very end, and on failure print a traceback and exit
    with 120. `quietly`: an error was reported already, and the exit code stays. Raises OSError."""
    try:
        sys.stdout.flush()
    except OSError:
        if not quietly:
            raise
        _drop_unwritten()


def _drop_unwritten() -> None:
    """Discard what standard output does not accept."""
    os.dup2(os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC), 1)


def _help(command: click.Command, ctx: click.Context, english: Callable[[click.Context], str]) -> str:
    from gotunnel.i18n.language import ENGLISH, of_environment

    language = of_environment()
    if language is ENGLISH:
        return english(ctx)
    from gotunnel.cli.helppage import page

    return page(command, ctx, language.sentence)


class Command(click.Command):
    """A command whose help is in the language of the environment; in English it is click's own."""

    def get_help(self, ctx: click.Context) -> str:
        """Called by click for `--help`."""
        return _help(self, ctx, super().get_help)


class CommandGroup(click.Group):
    """A group with such help. It also reports a wrong command line in the language of the environment, and a standard
    output that cannot be written: `gotunnel token > token` on a full disk."""

    command_class = Command
    group_class = type

    def get_help(self, ctx: click.Context) -> str:
        """Called by click for `--help`, and if no command is named."""
        return _help(self, ctx, super().get_help)

    def main(self, *args: Any, **extra: Any) -> Any:
        """Called to run the command."""
        _fill_gaps()
        _replace_unknown()
        try:
            try:
                return super().main(*args, **extra)
            except SystemExit as end:
                _flush(quietly=bool(end.code))
                raise
        except OSError as failed:
            if isinstance(failed, BrokenPipeError):
                _drop_unwritten()
                sys.exit(1)  # as click does in this case
            if failed.errno not in NO_ROOM or failed.filename is not None:
                raise
            from gotunnel.errors import Sentence
            from gotunnel.i18n.language import of_environment

            problem = Sentence(
                "standard output cannot be written: {reason}; make room where it goes",
                reason=(failed.strerror or "error").lower(),
            )
            click.echo(f"gotunnel: {of_environment().sentence(problem)}", err=True)
            _drop_unwritten()
            sys.exit(1)

    def make_context(self, *args: Any, **extra: Any) -> click.Context:
        """Called by click to parse what precedes the command's name."""
        with _spoken():
            return super().make_context(*args, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        """Called by click to parse the rest and run it."""
        with _spoken():
            return super().invoke(ctx)
