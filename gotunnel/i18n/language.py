"""The available languages, and which one is wanted. Their texts are in the catalogues."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from gotunnel.i18n.hints import load_hints

__all__ = ["ENGLISH", "LANGUAGES", "VARIABLE", "Language", "language", "of_environment"]

LANGUAGES = ("en", "zh")
VARIABLE = "GOTUNNEL_LANG"
"""The variable that chooses the language of commands; it takes precedence over the system's settings."""

_LOCALE = ("LC_ALL", "LC_MESSAGES", "LANG")
"""The variables of gettext, in its order: the first one that is set counts."""
_SHOWN = "选项，编码"
"""Chinese text as we write it, which Latin-1 and Big5 cannot encode."""


class Language:
    """English, which needs no catalogue, and the base of the other languages. Stateless, so one object serves the whole
    process."""

    name = "en"

    def format(self, english: str) -> str:
        """Return the format of a log line in this language: the same fields, in this language's order."""
        return english

    def sentence(self, english: str) -> str:
        """Return a sentence of ours in this language. Anything else (a name, an address, a text of a peer or the
        system) stays as it is, also within a sentence."""
        return english


class _Translated(Language):
    def __init__(self, name: str) -> None:
        # Imported with the first catalogue, so that an English log saves the memory.
        from gettext import GNUTranslations

        from gotunnel.i18n.sentences import Sentences
        from gotunnel.i18n.system import of_system

        self.name = name
        with Path(__file__).with_name(f"{name}.mo").open("rb") as file:
            self._translations = GNUTranslations(file)
        # GNUTranslations looks up single messages, and cannot list them.
        messages: dict[str, str] = vars(self._translations)["_catalog"]
        hints = {words["en"]: words[name] for words in load_hints().values()}
        self._sentences = Sentences(messages, of_system() | hints)

    def format(self, english: str) -> str:
        return self._translations.gettext(english)

    def sentence(self, english: str) -> str:
        return self._sentences.say(english)


ENGLISH = Language()


@lru_cache
def language(name: str) -> Language:
    """Return one of LANGUAGES. Its catalogue is read on first use. Raises KeyError for another name."""
    if name not in LANGUAGES:
        raise KeyError(name)
    return ENGLISH if name == "en" else _Translated(name)


def of_environment(env: Mapping[str, str] | None = None) -> Language:
    """Return the language of commands: what VARIABLE names, otherwise Chinese if the system's messages are Chinese,
    otherwise English. Without `env`, for this process, it is also English if standard output cannot encode Chinese."""
    if env is None:
        env = os.environ if _has_chinese(getattr(sys.stdout, "encoding", None)) else {}
    chosen = env.get(VARIABLE, "").strip().lower()
    if not chosen:
        chosen = next((env[name] for name in _LOCALE if env.get(name)), "").lower()
    return language("zh") if chosen.startswith("zh") else ENGLISH


def _has_chinese(encoding: str | None) -> bool:
    try:
        _SHOWN.encode(encoding or "utf-8")
    except (UnicodeEncodeError, LookupError):
        return False
    return True
