"""The basic kinds of values in a file: how a value is read, and the message if it cannot be. Knows numbers, words and
flags, but no terms of gotunnel.

Every kind refuses with `wrong(...)`: what is wrong with the value, and what would be right. An operator never sees
pydantic's own messages, and no message shows the value of a variable."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler, GetJsonSchemaHandler, ValidationError
from pydantic_core import CoreSchema, InitErrorDetails, PydanticCustomError, core_schema

from gotunnel.config.scalars import Text, bare, read_plain, shown
from gotunnel.config.source import BROKEN

__all__ = [
    "FLAG", "Kind", "Part", "Section", "Short", "choice", "count", "each", "from_flag", "parts_of", "read_of",
    "seconds", "several", "sort", "text_of", "with_more", "with_parts", "wrong",
]  # fmt: skip

Part = tuple[tuple[str | int, ...], str, str]
"""One of several mistakes: the path below the value, what is wrong, and what would be right."""


class Section(BaseModel):
    """What all models share: nothing can be changed, unknown keys are refused, and errors do not quote
    values."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


@dataclass(frozen=True, eq=False)
class Kind:
    """Used in Annotated to replace pydantic's reading of the type. `takes` is its text in the reference."""

    takes: str
    read: Callable[[Any], Any]
    write: Callable[[Any], Any] = str
    json: Mapping[str, Any] = field(default_factory=lambda: {"type": "string"})

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Validate with `read` and serialise with `write`."""
        write = core_schema.plain_serializer_function_ser_schema(self.write)
        return core_schema.no_info_plain_validator_function(self.read, serialization=write)

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """Describe what the file may contain, not the resulting value."""
        return dict(self.json)


@dataclass(frozen=True, eq=False)
class Short:
    """Used in Annotated for a group that a single word may replace: `expand` turns the word into keys, and leaves keys
    as they are."""

    takes: str
    expand: Callable[[Any], Any]
    json: Mapping[str, Any]

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Expand before the group is validated."""
        return core_schema.no_info_before_validator_function(self.expand, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """Describe both forms."""
        return {"anyOf": [dict(self.json), handler(schema)]}


def wrong(what: str, cure: str) -> PydanticCustomError:
    """Return the error to raise for a value: what is wrong with it, and what would be right."""
    return several([((), what, cure)])


def several(parts: Sequence[Part]) -> PydanticCustomError:
    """Return one error with all mistakes found in a value."""
    summary = "; ".join(f"{what}; {cure}" for _, what, cure in parts)
    return PydanticCustomError("gotunnel", "{summary}", {"summary": summary, "parts": list(parts)})


def with_more(error: ValidationError, parts: Sequence[Part]) -> ValidationError:
    """Return pydantic's `error` with further mistakes added, so that all are reported at once."""
    details = [
        InitErrorDetails(
            type=several(found["ctx"]["parts"]) if found["type"] == "gotunnel" else found["type"],
            loc=found["loc"],
            input=found["input"],
            ctx={} if found["type"] == "gotunnel" else found.get("ctx", {}),
        )
        for found in error.errors()
    ]
    details += [InitErrorDetails(type=wrong(what, cure), loc=path, input=None) for path, what, cure in parts]
    return ValidationError.from_exception_data(error.title, details)


def with_parts(value: Any, handler: Callable[[Any], Any], parts: Sequence[Part]) -> Any:
    """Return the result of `handler` on a value; raise `parts` together with the mistakes that it finds."""
    try:
        found = handler(value)
    except ValidationError as error:
        raise with_more(error, parts) from None
    if parts:
        raise several(parts)
    return found


def read_of(item: Any, key: str, read: Callable[[Any], Any]) -> Any:
    """Return the value under `key` in a group of keys, whatever else is wrong there; None if it cannot be read."""
    if isinstance(item, BaseModel):
        return getattr(item, key)
    try:
        return read(item[key]) if isinstance(item, dict) and key in item else None
    except PydanticCustomError:
        return None  # the value's own validation reports it


def parts_of(error: PydanticCustomError) -> list[Part]:
    """Return the mistakes in an error made by this module."""
    return list((error.context or {})["parts"])


def each(
    value: Any, read: Callable[[Any], Any], again: Callable[[Any], tuple[str, str] | None] | None = None
) -> tuple[Any, ...]:
    """Read a list, or one value in place of a list of one; mistakes in all items are raised together. `again` returns
    what is wrong with a repeated item, and what would be right; None if repetition is allowed."""
    if not isinstance(value, (list, tuple)):
        return (read(value),)
    found: list[Any] = []
    parts: list[Part] = []
    for index, item in enumerate(value):
        if item is BROKEN:
            continue  # reported by the parser, which refuses the file
        try:
            one = read(item)
        except PydanticCustomError as error:
            parts += [((index, *path), what, cure) for path, what, cure in parts_of(error)]
            continue
        twice = again(one) if again is not None and one in found else None
        if twice is not None:
            parts.append(((index,), *twice))
        found.append(one)
    if parts:
        raise several(parts)
    return tuple(found)


def sort(value: Any) -> str:
    """Return the words for a value of a wrong type in a message."""
    if isinstance(value, dict):
        return "a group of keys"
    return "a list" if isinstance(value, (list, tuple)) else shown(value)


def text_of(value: Any, noun: str, cure: str) -> str:
    """Return a value that must be text, stripped. A number, or a word that YAML may read as something else, is
    refused."""
    meaning = value.meaning if isinstance(value, Text) else ""
    if isinstance(value, bool):
        meaning = "a boolean"
    elif isinstance(value, (int, float)):
        meaning = "a number"
    if meaning:
        raise wrong(f"YAML can read {bare(value)} as {meaning}", f'quote it: "{bare(value)}"')
    if not isinstance(value, str):
        raise wrong(f"{sort(value)} is not {noun}", cure)
    if not value.strip():
        raise wrong("is empty", cure)
    return value.strip()


def _number(value: Any, noun: str, cure: str) -> int | float:
    """Return a number. Text in plain decimal form is accepted, since `${VAR}` is always text."""
    if isinstance(value, Text) and value.meaning:
        raise wrong(f"{bare(value)} is not {noun} (YAML can read it as {value.meaning})", cure)
    found = read_plain(value.strip()) if isinstance(value, str) else value
    if isinstance(found, bool) or not isinstance(found, (int, float)):
        raise wrong(f"{sort(value)} is not {noun}", cure)
    return found


def count(low: int, high: int) -> Kind:
    """Return the kind of a whole number from `low` to `high`."""
    cure = f"write a whole number from {low} to {high}"

    def read(value: Any) -> int:
        found = _number(value, "a whole number", cure)
        if not isinstance(found, int):
            raise wrong(f"{shown(value)} is not a whole number", cure)
        if not low <= found <= high:
            raise wrong(f"{shown(value)} is not between {low} and {high}", cure)
        return int(found)  # without its spelling

    return Kind(f"{low} to {high}", read, int, {"type": "integer", "minimum": low, "maximum": high})


def seconds(low: float, high: float, why: str = "") -> Kind:
    """Return the kind of a duration in seconds from `low` to `high`. `why` explains the limits in the error."""
    # Enough digits for seconds: a year is 31536000 and not 3.1536e+07.
    cure = f"write seconds from {low:.15g} to {high:.15g}" + (f"; {why}" if why else "")

    def read(value: Any) -> float:
        found = float(_number(value, "a number of seconds", cure))
        if not low <= found <= high:
            raise wrong(f"{shown(value)} is not between {low:.15g} and {high:.15g} seconds", cure)
        return found

    return Kind(
        f"seconds, {low:.15g} to {high:.15g}", read, float, {"type": "number", "minimum": low, "maximum": high}
    )


def choice(*words: str) -> Kind:
    """Return the kind of one word out of a few."""
    listed = ", ".join(words)

    def read(value: Any) -> str:
        # Disputed words are accepted: an unquoted `off` is unambiguous where `off` is one of the words.
        text = value.strip() if isinstance(value, str) else ""
        if text in words:
            return str(text)
        from difflib import get_close_matches  # imported late: only needed for a mistake

        near = get_close_matches(text.lower(), words, 1, 0.6)
        hint = f"did you mean {near[0]}? " if near else ""
        raise wrong(f"{sort(value)} is not one of {listed}", f"{hint}write one of these words")

    return Kind(listed, read, str, {"enum": list(words)})


def _read_flag(value: Any) -> bool:
    text = value.strip().lower() if isinstance(value, str) else None
    if value is True or text in ("true", "yes", "on"):
        return True
    if value is False or text in ("false", "no", "off"):
        return False
    raise wrong(f"{sort(value)} is neither true nor false", "write true or false")


FLAG = Kind("true, false", _read_flag, bool, {"type": "boolean"})


def from_flag(value: Any) -> Any:
    """For Short: return a group with `enabled: false` for false, an empty group for true, other values unchanged."""
    word = value.strip().lower() if isinstance(value, str) else value
    if word is False or word in ("false", "no", "off"):
        return {"enabled": False}
    return {} if word is True or word in ("true", "yes", "on") else value
