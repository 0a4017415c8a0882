"""How commands speak: in the language of the environment. What is for programs (`--json`, CSV) is not said, it is
printed as it is."""

from __future__ import annotations

import click

from gotunnel.i18n.language import of_environment

__all__ = ["say"]


def say(text: str, *, err: bool = False, before: str = "") -> None:
    """Print a text of ours on a line; `before` stands in front of it as it is."""
    click.echo(before + of_environment().sentence(text), err=err)
