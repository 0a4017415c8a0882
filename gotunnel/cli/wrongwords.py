"""Errors of a command line in a language other than English: complete, with click's words and ours. Imported on
demand."""

from __future__ import annotations

from typing import IO, Any

import click

from gotunnel.cli.helppage import usage_words
from gotunnel.errors import Sentence
from gotunnel.i18n.language import ENGLISH, Language, of_environment

__all__ = ["spoken"]


def spoken(error: click.UsageError) -> click.UsageError:
    """Return the error to show in the language of the environment. In English, and for an error that shows a page of
    help instead of words, that is click's own."""
    language = of_environment()
    if language is ENGLISH or type(error).show is not click.UsageError.show:
        return error
    return _Spoken(error, language)


class _Spoken(click.UsageError):
    def __init__(self, error: click.UsageError, language: Language) -> None:
        super().__init__(language.sentence(error.format_message()), error.ctx)
        self._said = language.sentence

    def show(self, file: IO[Any] | None = None) -> None:
        """Called by click instead of its own method."""
        said = self._said
        if self.ctx is not None:
            usage = " ".join([self.ctx.command_path, *usage_words(self.ctx.command, self.ctx, said)])
            click.echo(said(Sentence("Usage: {usage}", usage=usage)), file, err=True)
            command = f"{self.ctx.command_path} {self.ctx.help_option_names[0]}"
            click.echo(said(Sentence("Try '{command}' for help.", command=command)) + "\n", file, err=True)
        click.echo(said(Sentence("Error: {said}", said=self.message)), file, err=True)
