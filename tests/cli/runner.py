"""Runs a command of click's in this process."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from inspect import signature
from typing import Any

from click.testing import CliRunner, Result

__all__ = ["Runner"]

MIXES = "mix_stderr" in signature(CliRunner).parameters
"""Before click 8.2 one has to choose: standard error apart, or both in `output`."""


class Runner(CliRunner):
    """click's own, whose results are those of click 8.2 with an older one, too."""

    def __init__(self, charset: str = "utf-8") -> None:
        apart: dict[str, Any] = {"mix_stderr": False} if MIXES else {}
        super().__init__(charset, **apart)

    @contextmanager
    def isolation(self, *words: Any, **settings: Any) -> Iterator[Any]:
        """See CliRunner."""
        with super().isolation(*words, **settings) as streams:
            if MIXES:
                sys.stderr.reconfigure(write_through=True)  # type: ignore[union-attr]  # nobody flushes it
            yield streams

    def invoke(self, *words: Any, **settings: Any) -> Result:
        """See CliRunner."""
        done = super().invoke(*words, **settings)
        if MIXES:
            done.__class__ = _Result
        return done


class _Result(Result):
    @property
    def output(self) -> str:
        return self.stdout_bytes.decode() + self.stderr
