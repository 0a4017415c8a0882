"""Errors as an operator reads them, in a language."""

from __future__ import annotations

from gotunnel.errors import ConfigError, Problem
from gotunnel.i18n.language import ENGLISH, Language

__all__ = ["error_text"]


def error_text(error: BaseException, language: Language) -> str:
    """Return what `str(error)` says, in a language; of a ConfigError one line for each problem."""
    if language is ENGLISH:
        return str(error)
    if isinstance(error, ConfigError):
        return "\n".join(_problem(problem, language) for problem in error.problems)
    return language.sentence(str(error))


def _problem(problem: Problem, language: Language) -> str:
    # Its parts are taken one by one: what is wrong is a sentence, and its place is none.
    place = problem.file if problem.line is None else f"{problem.file}:{problem.line}"
    key = f" {language.sentence(problem.key)}:" if problem.key else ""
    cure = f"；{language.sentence(problem.cure)}" if problem.cure else ""
    return f"{place}:{key} {language.sentence(problem.wrong)}{cure}"
