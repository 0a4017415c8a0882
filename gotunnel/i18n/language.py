"""The languages there are, and which one is meant. What each says stands in `catalogue`."""

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
"""The variable that chooses the language of commands, ahead of what the system is set to."""

_LOCALE = ("LC_ALL", "LC_MESSAGES", "LANG")
"""Where gettext looks, in its order: the first one that is set counts."""
_SHOWN = "选项，编码"
"""In Chinese as we write it, which Latin-1 and Big5 have not."""


class Language:
    """English, which needs no catalogue, and the base of the others. Stateless, so that one serves a whole process."""

    name = "en"

    def format(self, english: str) -> str:
        """Return the format of a log line: with the fields of the English one, in the order of this language."""
        return english

    def sentence(self, english: str) -> str:
        """Return a sentence of ours. What is none (a name, an address, the words of a peer or of the system) stays as
        it is, inside of a sentence too."""
        return english


class _Translated(Language):
    def __init__(self, name: str) -> None:
        # Loaded with the first catalogue: a log in English does without their memory.
        from gettext import GNUTranslations

        from gotunnel.i18n.sentences import Sentences
        from gotunnel.i18n.system import of_system

        self.name = name
        with Path(__file__).with_name(f"{name}.mo").open("rb") as file:
            self._translations = GNUTranslations(file)
        # The standard library looks one message up, and has no word for which ones there are.
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
    """Return one of LANGUAGES. A catalogue is read when it is first asked for. Raises KeyError for another name."""
    if name not in LANGUAGES:
        raise KeyError(name)
    return ENGLISH if name == "en" else _Translated(name)


def of_environment(env: Mapping[str, str] | None = None) -> Language:
    """Return the language of commands: what VARIABLE names, else Chinese where the system's messages are, else
    English. Of this process, without `env`, English too where standard output has no characters for Chinese."""
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
