"""Finds what `--help` says: the texts of all commands and options, ours and those of click and of Twisted, from the
commands themselves as they are."""

from __future__ import annotations

from collections.abc import Iterator

import click

from gotunnel.cli.helppage import paragraphs
from gotunnel.cli.main import main
from gotunnel.cli.roles import client_options, server_options

__all__ = ["contexts", "help_texts"]


def contexts(command: click.Command = main, parent: click.Context | None = None) -> Iterator[click.Context]:
    """Yield a context for `gotunnel` and for each of its commands, at all depths."""
    context = click.Context(command, parent, command.name if parent else "gotunnel", **command.context_settings)
    yield context
    if isinstance(command, click.Group):
        for each in command.commands.values():
            yield from contexts(each, context)


def help_texts() -> Iterator[str]:
    """Yield the texts, a paragraph each."""
    yield "required"
    for context in contexts():
        command = context.command
        yield command.options_metavar or ""
        yield getattr(command, "subcommand_metavar", None) or ""
        yield from paragraphs(command)
        for param in command.get_params(context):
            if isinstance(param, click.Option) and not param.hidden:
                yield param.help or ""
    for options in (server_options(), client_options()):
        yield options.longdesc
        yield from map(str.strip, options.docs.values())
