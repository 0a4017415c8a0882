"""The `gotunnel` command as click runs it, and its errors for a wrong command line or for output that cannot be
written. The commands are in `main`."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import click

from gotunnel.cli.streams import drop_unwritten, fill_gaps, flush_at_end, is_unwritten, tell_full

__all__ = ["Command", "CommandGroup"]


@contextmanager
def _spoken() -> Iterator[None]:
    try:
        yield
    except click.UsageError as error:
        from gotunnel.cli.wrongwords import spoken

        raise spoken(error) from None


def _replace_unknown() -> None:
    """Print `?` for a character that the encoding of standard output lacks, such as a bar of a table in Latin-1. No
    table is worth a traceback."""
    out = sys.stdout
    if isinstance(out, io.TextIOWrapper) and out.errors == "strict":
        out.reconfigure(errors="replace")


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
        fill_gaps()
        _replace_unknown()
        try:
            return super().main(*args, **extra)
        except SystemExit as end:
            flush_at_end("gotunnel", end.code)
            raise
        except BrokenPipeError:
            drop_unwritten()
            sys.exit(1)  # as click does in this case
        except OSError as failed:
            if not is_unwritten(failed):
                raise
            tell_full("gotunnel", failed)
            drop_unwritten()
            sys.exit(1)

    def make_context(self, *args: Any, **extra: Any) -> click.Context:
        """Called by click to parse what precedes the command's name."""
        with _spoken():
            return super().make_context(*args, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        """Called by click to parse the rest and run it."""
        with _spoken():
            return super().invoke(ctx)
