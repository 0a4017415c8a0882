"""Errors for an operator, in a language."""

from __future__ import annotations

from gotunnel.errors import ConfigError, lines_of
from gotunnel.i18n.language import ENGLISH, Language

__all__ = ["error_text"]


def error_text(error: BaseException, language: Language) -> str:
    """Return what `str(error)` says, in a language; for a ConfigError, one line for each problem."""
    if language is ENGLISH:
        return str(error)
    if isinstance(error, ConfigError):
        return "\n".join(map(language.sentence, lines_of(error)))
    return language.sentence(str(error))
