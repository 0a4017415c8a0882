"""A page of `--help` in a language other than English: what click would show, with columns that are aligned for
double-width characters. Imported on demand."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator

import click

from gotunnel.errors import Sentence
from gotunnel.i18n.columns import cells, table, wrapped

__all__ = ["page", "paragraphs", "usage_words"]

Said = Callable[[str], str]

TERM = 30
"""Columns for an option beside its description, as in click; a longer option gets a line of its own."""
BESIDE = 20
"""Minimum columns for the arguments beside the command's name, as in click."""

_EXTRA = re.compile(r"\[(.+)\]", re.DOTALL)
_DEFAULT = re.compile("default: (.+)", re.DOTALL)


def page(command: click.Command, ctx: click.Context, said: Said) -> str:
    """Return the page, with each text passed through `said`."""
    width = ctx.make_formatter().width
    lines = list(_usage(command, ctx, said, width))
    for paragraph in paragraphs(command):
        lines += ["", *(f"  {line}" for line in wrapped(said(paragraph), width - 2))]
    options = list(_options(command, ctx, said))
    if options:
        lines += ["", said(Sentence("Options:")), *table(options, width, TERM)]
    commands = list(_commands(command, ctx, said))
    if commands:
        lines += ["", said(Sentence("Commands:")), *table(commands, width, TERM)]
    return "\n".join(lines)


def usage_words(command: click.Command, ctx: click.Context, said: Said) -> list[str]:
    """Return the words after the command's name. Placeholders of ours, like FILE, are not translated, because
    descriptions and errors name them."""
    whole = {command.options_metavar, getattr(command, "subcommand_metavar", None)}
    return [said(piece) if piece in whole else piece for piece in command.collect_usage_pieces(ctx)]


def _usage(command: click.Command, ctx: click.Context, said: Said, width: int) -> Iterator[str]:
    name = said(Sentence("Usage: {usage}", usage=ctx.command_path))
    lines = wrapped(" ".join(usage_words(command, ctx, said)), max(width - cells(name) - 1, BESIDE))
    if width - cells(name) - 1 < BESIDE:
        yield name
        yield from (f"    {line}" for line in lines)
    else:
        yield f"{name} {lines[0]}"
        yield from (f"{' ' * (cells(name) + 1)}{line}" for line in lines[1:])


def paragraphs(command: click.Command) -> list[str]:
    """Return the paragraphs of a command's own description, in the form in which they are translated."""
    text = inspect.cleandoc(command.help or "")
    return [" ".join(paragraph.split()) for paragraph in text.split("\n\n") if paragraph]


def _options(command: click.Command, ctx: click.Context, said: Said) -> Iterator[tuple[str, str]]:
    for param in command.get_params(ctx):
        record = param.get_help_record(ctx) if isinstance(param, click.Option) else None
        if record is not None:
            words = getattr(param, "help", None) or ""
            extra = record[1].removeprefix(words).strip()
            yield record[0], f"{said(words) if words else ''} {_EXTRA.sub(lambda found: _extra(found, said), extra)}"


def _extra(found: re.Match[str], said: Said) -> str:
    """Return click's additions to a description: the default, a range, and whether the option is required."""
    parts = []
    for part in found[1].split("; "):
        default = _DEFAULT.fullmatch(part)
        parts.append(said(part if default is None else Sentence("default: {value}", value=default[1])))
    return f"[{'；'.join(parts)}]"


def _commands(command: click.Command, ctx: click.Context, said: Said) -> Iterator[tuple[str, str]]:
    if isinstance(command, click.Group):
        for name in command.list_commands(ctx):
            found = command.get_command(ctx, name)
            if found is not None and not found.hidden:
                # Whole sentences: Chinese ones are shorter than English ones, and need no "..." at their ends.
                first = next(iter(paragraphs(found)), None)
                yield name, "" if first is None else said(first).partition("。")[0]
