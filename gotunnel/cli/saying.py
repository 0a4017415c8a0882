"""How commands speak: in the language of the environment. Output for programs (`--json`, CSV) is printed as it is."""

from __future__ import annotations

import click

from gotunnel.i18n.language import of_environment

__all__ = ["say"]


def say(text: str, *, err: bool = False, before: str = "") -> None:
    """Print a text of ours as a line; `before` is put in front of it unchanged."""
    click.echo(before + of_environment().sentence(text), err=err)
