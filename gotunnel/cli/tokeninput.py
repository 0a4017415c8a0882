"""Where a user's token comes from if no file names it: standard input, a prompt or the environment; never the command
line. Does not check the token."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import IO

import click

from gotunnel.errors import ConfigError, Problem, Sentence
from gotunnel.i18n.language import of_environment

__all__ = ["VARIABLE", "given_token", "refuse_on_command_line"]

VARIABLE = "GOTUNNEL_TOKEN"
MOST = 4096
"""The largest number of characters; no token is that long."""


def given_token(program: str, env: Mapping[str, str] = os.environ, stdin: IO[str] | None = None) -> str:
    """Return the token, which may still be unsuitable. Standard input that is not a terminal is read to its end; if it
    is empty, the environment counts. At a terminal, the environment counts, or else the user is asked.

    Raises ConfigError if there is no token, or two different ones.
    """
    stdin = sys.stdin if stdin is None else stdin
    named = env.get(VARIABLE, "").strip()
    if stdin.isatty():
        asked = of_environment().sentence(Sentence("Token"))
        return named or str(click.prompt(asked, hide_input=True, err=True)).strip()
    try:
        piped = stdin.read(MOST + 1).strip()
    except UnicodeDecodeError:
        raise _problem(program, "standard input is not text", "pipe one token into it and nothing else") from None
    if len(piped) > MOST:
        raise _problem(program, "standard input is too long", "pipe one token into it and nothing else")
    if piped and named and piped != named:
        what = f"standard input and {VARIABLE} name two different tokens"
        raise _problem(program, what, f"unset {VARIABLE}, or redirect standard input from /dev/null")
    if not piped and not named:
        cure = f"pipe it into standard input, set the variable {VARIABLE}, or start it at a terminal and be asked"
        raise _problem(program, "there is no token", cure)
    return piped or named


def refuse_on_command_line(*_: object) -> None:
    """Raise click's UsageError with the reason, quoting nothing."""
    raise click.UsageError(
        "a token never goes on the command line, where every user of this machine could read it in the list of "
        f"processes; pipe it into standard input, set {VARIABLE}, or be asked for it"
    )


def _problem(program: str, wrong: str, cure: str) -> ConfigError:
    return ConfigError([Problem(program, None, "", wrong, cure)])
