"""`gotunnel check`: says in words what a configuration would do, or all that is wrong with it. Opens nothing."""

from __future__ import annotations

import click

from gotunnel.config.explain import explain
from gotunnel.config.load import load
from gotunnel.tap.exits import one_line_errors

__all__ = ["check_file"]


def check_file(path: str) -> None:
    """Print the explanation of the file at `path`, or its problems on standard error and raise SystemExit(2)."""
    with one_line_errors("gotunnel check"):
        file = load(path)
    for line in explain(file):
        click.echo(line)
