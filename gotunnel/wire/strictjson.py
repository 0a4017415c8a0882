"""Strict JSON for the wire: one UTF-8 object of bounded depth, with no ambiguity. Messages are in `messages`."""

from __future__ import annotations

import json
import math
import re
from typing import NoReturn

from gotunnel.errors import LocalProtocolError, RemoteProtocolError, Sentence, printable

__all__ = ["MAX_DEPTH", "dumps", "loads"]

MAX_DEPTH = 8
"""How deep objects and arrays may nest; the top-level object is depth 1. No message needs more than 3."""

_INT_MIN, _INT_MAX = -(2**63), 2**64 - 1
_INT_CHARACTERS = len(str(_INT_MIN))

# The closing quote is optional so that an unterminated string matches too. Otherwise a run of escaped quotes would be
# scanned again from each of them, in quadratic time.
_STRING_OR_BRACKET = re.compile(r'"(?:[^"\\]+|\\.)*"?|[\[\]{}]', re.DOTALL)


def loads(payload: bytes, max_depth: int = MAX_DEPTH) -> dict[str, object]:
    """Parse one JSON object. Raises RemoteProtocolError (`bad_json`) for anything else.

    Also refused: encodings other than UTF-8, a byte order mark, NaN and Infinity, integers beyond 64 bits, numbers that
    overflow a double, duplicate keys, lone surrogates, and nesting deeper than `max_depth`.
    """
    try:
        text = payload.decode("utf-8")
    except UnicodeDecodeError:
        raise _bad("the payload is not UTF-8") from None
    _check_depth(text, max_depth)
    try:
        value = _DECODER.decode(text)
        if "\\u" in text:
            # Only an escape can produce a lone surrogate: the UTF-8 decoder has refused raw ones.
            json.dumps(value, ensure_ascii=False).encode("utf-8")
    except json.JSONDecodeError as error:
        raise _bad(Sentence(
            "the payload is not JSON: {msg} at character {pos}", msg=printable(error.msg), pos=error.pos
        )) from None
    except UnicodeEncodeError:
        raise _bad("a string holds half a surrogate pair") from None
    except RecursionError:
            # The depth is checked above, but the caller's own stack may be nearly exhausted.
        raise _bad("the payload nests too deeply") from None
    if not isinstance(value, dict):
        raise _bad("the payload is not a JSON object")
    return value


def dumps(value: dict[str, object]) -> bytes:
    """Write one object as compact UTF-8 JSON; keys keep their order.

    Raises LocalProtocolError for what JSON cannot hold.
    """
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode("utf-8")
    except (TypeError, ValueError, RecursionError) as error:
        raise LocalProtocolError(f"a message cannot be written as JSON: {type(error).__name__}") from None


def _bad(reason: str) -> RemoteProtocolError:
    return RemoteProtocolError(reason, "bad_json")


def _check_depth(text: str, max_depth: int) -> None:
    if text.count("{") + text.count("[") <= max_depth:
        return
    depth = 0
    for match in _STRING_OR_BRACKET.finditer(text):
        first = text[match.start()]
        if first in "[{":
            depth += 1
            if depth > max_depth:
                raise _bad("the payload nests too deeply")
        elif first in "]}":
            depth -= 1


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found: dict[str, object] = {}
    for key, value in pairs:
        if key in found:
            raise _bad(f"the key {printable(key, 40)} occurs twice in one object")
        found[key] = value
    return found


def _integer(text: str) -> int:
    # Check the length first: converting a long digit string takes quadratic time or raises ValueError.
    if len(text) <= _INT_CHARACTERS:
        value = int(text)
        if _INT_MIN <= value <= _INT_MAX:
            return value
    raise _bad("an integer does not fit into 64 bits")


def _float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise _bad("a number is too large")
    return value


def _constant(text: str) -> NoReturn:
    raise _bad(f"{text} is not JSON")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_integer, parse_float=_float, parse_constant=_constant
)
