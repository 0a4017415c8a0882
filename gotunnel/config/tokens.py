"""Decides which tokens are acceptable. An attacker between client and server can guess tokens offline, so only random
ones protect (128 bits or more). Pure functions on text; no message shows a token."""

from __future__ import annotations

import itertools
import math
import re
import secrets

__all__ = ["MIN_CHARACTERS", "new_token", "refusal", "warning"]

MIN_CHARACTERS = 16
MAX_CHARACTERS = 1024
RANDOM_BITS = 120
"""Below this a token gets a warning: 128 with some margin, since the estimate sees the alphabet and not the
generator."""

MAKE_ONE = "make one with `gotunnel token`"

_WORDS = frozenset(
    {"admin", "demo", "example", "gotunnel", "none", "null", "pass", "secret", "test", "tbd", "todo", "token"}
)
"""Placeholders if nothing else is in the token (ignoring punctuation and case)."""

_PIECES = (
    "changeme", "changethis", "replaceme", "replacethis", "placeholder", "fillmein", "insertyour",
    "insertatoken", "putyour", "yourtoken", "yoursecret", "yourvery", "yoursecure", "yourstrong",
    "yourrandom", "yourown", "tokenhere", "secrethere", "passwordhere", "verysecure", "supersecret",
    "secrettoken", "securetoken", "randomtoken", "exampletoken", "demotoken", "testtoken", "sampletoken",
    "sharedtoken", "defaulttoken", "password", "letmein", "qwertyui", "asdfghjk",
)  # fmt: skip
"""Placeholders anywhere in a token (ignoring punctuation and case). All are too long to occur by chance."""

_PUNCTUATION = re.compile(r"[^a-z0-9]+")
_WORDY = re.compile(r"[A-Za-z]+(?:[-_.][A-Za-z]+)*[-_.]?[0-9]{0,4}")
_ORDER = "0123456789abcdefghijklmnopqrstuvwxyz"


def new_token() -> str:
    """Return a new random token of 256 bits."""
    return secrets.token_hex(32)


def refusal(token: str) -> tuple[str, str] | None:
    """Return why a token is refused (what is wrong, what to do), or None. Surrounding white space is ignored."""
    token = token.strip()
    if not token:
        return "is empty", MAKE_ONE
    if "$(" in token or token.startswith("`"):
        return "holds a shell command that no shell has run", "write the command's output, or use ${VAR}"
    if _is_placeholder(token):
        return "is a placeholder that everybody can guess", MAKE_ONE
    if not token.isascii():
        return "has a character that is not ASCII", MAKE_ONE
    if any(c.isspace() for c in token):
        return "has white space inside", "put one token there and nothing else"
    if not token.isprintable():
        return "has a control character inside", MAKE_ONE
    if len(token) < MIN_CHARACTERS:
        return f"is shorter than {MIN_CHARACTERS} characters", MAKE_ONE
    if len(token) > MAX_CHARACTERS:
        return f"is longer than {MAX_CHARACTERS} characters", MAKE_ONE
    period = _period(token)
    if period == 1:
        return "is one character over and over", MAKE_ONE
    if period < len(token) and refusal(token[:period]) is not None:
        return "is a short text over and over", MAKE_ONE
    if _is_sequence(token):
        return "is a sequence like 0123456789", MAKE_ONE
    return None


def warning(token: str) -> str | None:
    """Return why an accepted token is probably not random, or None."""
    token = token.strip()
    if len(set(token)) < 8:
        return f"uses only few different characters, so it can be guessed; {MAKE_ONE}"
    if _period(token) < len(token):
        return f"repeats itself, so it is weaker than it looks; {MAKE_ONE}"
    if _WORDY.fullmatch(token) and _looks_like_words(token):
        return f"looks like words, which can be guessed offline; {MAKE_ONE}"
    if len(token) * math.log2(_alphabet(token)) < RANDOM_BITS:
        return f"is too short to be 128 random bits; {MAKE_ONE}"
    return None


def _is_placeholder(token: str) -> bool:
    if token[0] + token[-1] in ("<>", "[]", "{}"):
        return True
    folded = _PUNCTUATION.sub("", token.lower())
    return folded in _WORDS or any(piece in folded for piece in _PIECES)


def _period(token: str) -> int:
    """Return the length of the shortest unit that repeats to give the token (the last one may be incomplete)."""
    for length in range(1, len(token) // 2 + 1):
        if token[length:] == token[:-length]:
            return length
    return len(token)


def _is_sequence(token: str) -> bool:
    """Return whether most steps lead to the same or a neighbouring character, as in 0123456789abcdef. By chance one in
    five does."""
    places = [_ORDER.find(c) for c in token.lower()]
    steps = [abs(a - b) for a, b in itertools.pairwise(places)]
    near = sum(step <= 1 or step == _ORDER.index("9") for step in steps)
    return near >= 0.75 * len(steps)


def _looks_like_words(token: str) -> bool:
    """Return whether capitals stand only where words have them. By chance one in three letters would switch case."""
    letters = [c for c in token if c.isalpha()]
    switches = sum(a.islower() and b.isupper() for a, b in itertools.pairwise(letters))
    return switches * 4 < len(letters)


def _alphabet(token: str) -> int:
    folded = token.replace("-", "").replace("_", "")
    if re.fullmatch(r"[0-9]*", folded):
        return 10
    if re.fullmatch(r"[0-9a-f]*|[0-9A-F]*", folded):
        return 16
    lower, upper, digit = (any(test(c) for c in token) for test in (str.islower, str.isupper, str.isdigit))
    other = any(not c.isalnum() for c in token)
    return max(2, 26 * lower + 26 * upper + 10 * digit + 2 * other)
