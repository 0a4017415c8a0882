"""Field types of messages, and the schema that reads and writes a dataclass as JSON, built from its type hints.

Each rule is checked in both directions, so we never send what we would refuse. No message is defined here.
"""

from __future__ import annotations

import base64
import dataclasses
import math
import re
import types
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Generic, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

__all__ = [
    "Address",
    "Agent",
    "BearerToken",
    "Capability",
    "ClientName",
    "ClientPattern",
    "Code",
    "Connection",
    "Count",
    "Counter",
    "GroupName",
    "Host",
    "Instance",
    "Label",
    "Limit",
    "Mac",
    "MappingName",
    "Milliseconds",
    "Misfit",
    "Node",
    "Nonce",
    "Ordinal",
    "Port",
    "Protocol",
    "Purpose",
    "Reason",
    "Schema",
    "Seconds",
    "Secret",
    "ServerName",
    "SessionId",
    "State",
    "Status",
    "Token",
    "UnixTime",
    "Version",
    "Volume",
]

DAY = 86400
LAST_TIME = 2**53
REASON_CHARACTERS = 512
"""The length at which a reason is truncated when sent. Even at 6 bytes per character it fits into a leg frame."""

T = TypeVar("T")


class Misfit(Exception):
    """A value does not fit its field.

    The text starts with a space or with a path below the field, so that the field's name can be prepended. It never
    quotes the value.
    """


@dataclass(frozen=True, slots=True)
class Kind:
    """How one kind of value is converted. `read` takes a JSON value and raises Misfit; `write` returns a JSON value."""

    read: Callable[[Any], Any]
    write: Callable[[Any], Any]


def _same(value: Any) -> Any:
    return value


def _integer(low: int, high: int) -> Kind:
    def read(value: object) -> int:
        # type() instead of isinstance(), because True is an int in Python but not a valid number here.
        if type(value) is not int or not low <= value <= high:
            raise Misfit(f" must be an integer from {low} to {high}")
        return value

    return Kind(read, _same)


def _text(pattern: str, rule: str) -> Kind:
    matches = re.compile(pattern, re.DOTALL).fullmatch

    def read(value: object) -> str:
        if type(value) is not str or matches(value) is None:
            raise Misfit(f" must be {rule}")
        return value

    return Kind(read, _same)


def _binary(low: int, high: int) -> Kind:
    """URL-safe base64 without padding. Only the canonical spelling is accepted, because MACs cover values."""
    size = f"{low}" if low == high else f"{low} to {high}"
    spelling = re.compile(f"[A-Za-z0-9_-]{{2,{math.ceil(high * 4 / 3)}}}")

    def write(value: bytes) -> str:
        return base64.urlsafe_b64encode(value).rstrip(b"=").decode("ascii")

    def read(value: object) -> bytes:
        if type(value) is str and spelling.fullmatch(value) and len(value) % 4 != 1:
            raw = base64.urlsafe_b64decode(value + "=" * (-len(value) % 4))
            if low <= len(raw) <= high and write(raw) == value:
                return raw
        raise Misfit(f" must be {size} bytes in URL-safe base64 without padding")

    return Kind(read, write)


def _read_mac(value: object) -> bytes:
    if type(value) is not str or re.fullmatch(r"[0-9a-f]{64}", value) is None:
        raise Misfit(" must be 64 lower-case hexadecimal digits")
    return bytes.fromhex(value)


def _read_seconds(value: object) -> float:
    if (type(value) is int or type(value) is float) and math.isfinite(value) and 0 < value <= DAY:
        return value
    raise Misfit(f" must be a number of seconds above 0, at most {DAY}")


def _read_time(value: object) -> float:
    if (type(value) is int or type(value) is float) and 0 <= value <= LAST_TIME:  # False for NaN
        return value
    raise Misfit(f" must be a number of seconds from 0 to {LAST_TIME}")


def _write_reason(value: str) -> str:
    # Error texts of the operating system can contain lone surrogates, which UTF-8 cannot encode. They must not make
    # an answer fail.
    return value[:REASON_CHARACTERS].encode("utf-8", "backslashreplace").decode("utf-8")


def _read_bool(value: object) -> bool:
    if type(value) is not bool:
        raise Misfit(" must be true or false")
    return value


def _read_label(value: object) -> str:
    if type(value) is not str or len(value) > 64 or not value.isprintable():
        raise Misfit(" must be at most 64 printable characters")
    return value


def _one_of(*words: str) -> Kind:
    return _text("|".join(words), " or ".join(words))


_printable = r"[\x20-\x7e]"
_BOOL = Kind(_read_bool, _same)

Port = Annotated[int, _integer(0, 65535)]
Count = Annotated[int, _integer(1, 4096)]
Limit = Annotated[int, _integer(0, 2**31 - 1)]
Counter = Annotated[int, _integer(0, 2**64 - 1)]
Ordinal = Annotated[int, _integer(1, 2**64 - 1)]
Version = Annotated[int, _integer(1, 65535)]
Milliseconds = Annotated[int, _integer(0, DAY * 1000)]
Seconds = Annotated[float, Kind(_read_seconds, _same)]
UnixTime = Annotated[float, Kind(_read_time, _same)]
"""Seconds since 1970 by the sender's wall clock."""
Volume = Annotated[int, _integer(0, 2**26)]
"""The number of bytes requested in a measurement of a leg."""
Nonce = Annotated[bytes, _binary(32, 32)]
SessionId = Annotated[bytes, _binary(16, 16)]
Instance = Annotated[bytes, _binary(1, 64)]
Mac = Annotated[bytes, Kind(_read_mac, bytes.hex)]
Token = Annotated[str, _text(r"[\x21-\x7e]{32,1024}", "32 to 1024 printable ASCII characters without spaces")]
BearerToken = Annotated[str, _text(r"[\x21-\x7e]{1,3072}", "1 to 3072 printable ASCII characters without spaces")]
ClientName = Annotated[str, _text(r"[A-Za-z0-9._-]{1,64}", "1 to 64 of A-Z a-z 0-9 . _ -")]
GroupName = Annotated[str, _text(r"[A-Za-z0-9._-]{1,64}", "1 to 64 of A-Z a-z 0-9 . _ -")]
ClientPattern = Annotated[str, _text(r"[A-Za-z0-9._*-]{1,64}", "1 to 64 of A-Z a-z 0-9 . _ - *")]
MappingName = Annotated[str, _text(_printable + "{1,128}", "1 to 128 printable ASCII characters")]
Connection = Annotated[str, _text(_printable + "{1,64}", "1 to 64 printable ASCII characters")]
Capability = Annotated[str, _text(_printable + "{1,64}", "1 to 64 printable ASCII characters")]
Protocol = Annotated[str, _text(_printable + "{1,64}", "1 to 64 printable ASCII characters")]
Address = Annotated[str, _text(_printable + "{1,320}", "an address of 1 to 320 printable ASCII characters")]
Host = Annotated[str, _text(r"[A-Za-z0-9._:%-]{1,253}", "a host name or an IP address")]
ServerName = Annotated[str, _text(r"[A-Za-z0-9._-]{1,253}", "a host name")]
Node = Annotated[str, _text(r"[A-Za-z0-9._:/-]{1,128}", "an address, a network or a host name, 1 to 128 characters")]
Code = Annotated[str, _text(r"[a-z0-9_]{1,64}", "1 to 64 of a-z 0-9 _")]
Agent = Annotated[str, _text(r".{0,256}", "at most 256 characters")]
Reason = Annotated[str, Kind(_text(r".*", "a string").read, _write_reason)]
Label = Annotated[str, Kind(_read_label, _same)]
Secret = Annotated[str, _text(r".{0,1024}", "at most 1024 characters")]
Purpose = Annotated[Literal["reverse", "forward"], _one_of("reverse", "forward")]
State = Annotated[Literal["up", "down"], _one_of("up", "down")]
Status = Annotated[Literal["ok", "fail"], _one_of("ok", "fail")]


class Schema(Generic[T]):
    """Reads and writes one dataclass as a JSON object.

    A field's type is an Annotated type of this module, bool, another such dataclass, a `tuple[X, ...]` of one of
    these, or `X | None` if the field may be absent. A field with a default may be absent. None is not written, and
    unknown fields are ignored.

    If the dataclass has a method `misfit()`, it checks the fields against each other: it returns the problem as text
    that starts with a space or a field's path, or None.
    """

    def __init__(self, cls: type[T]) -> None:
        hints = get_type_hints(cls, include_extras=True)
        fields = dataclasses.fields(cls)  # type: ignore[arg-type]
        self._cls = cls
        self._fields = [(f.name, _kind_of(hints[f.name]), f.default is dataclasses.MISSING) for f in fields]
        self._check: Callable[[T], str | None] | None = getattr(cls, "misfit", None)

    def read(self, value: object) -> T:
        """Build the dataclass from a JSON object. Raises Misfit if it does not fit."""
        if not isinstance(value, dict):
            raise Misfit(" must be an object")
        found: dict[str, Any] = {}
        for name, kind, required in self._fields:
            if name in value:
                try:
                    found[name] = kind.read(value[name])
                except Misfit as misfit:
                    raise Misfit(f".{name}{misfit}") from None
            elif required:
                raise Misfit(f".{name} is missing")
        return self._checked(self._cls(**found))

    def write(self, instance: T) -> dict[str, object]:
        """Return the JSON object. Raises Misfit if a field holds a value that the peer would refuse."""
        written: dict[str, object] = {}
        for name, kind, required in self._fields:
            value = getattr(instance, name)
            if value is None and not required:
                continue
            try:
                written[name] = kind.write(value)
                kind.read(written[name])
            except Misfit as misfit:
                raise Misfit(f".{name}{misfit}") from None
            except (AttributeError, TypeError, ValueError):
                raise Misfit(f".{name} is of a wrong type") from None
        self._checked(instance)
        return written

    def _checked(self, instance: T) -> T:
        problem = None if self._check is None else self._check(instance)
        if problem is not None:
            raise Misfit(problem)
        return instance


def _kind_of(hint: Any) -> Kind:
    if hint is bool:
        return _BOOL
    if get_origin(hint) is Annotated:
        return next(extra for extra in get_args(hint)[1:] if isinstance(extra, Kind))
    if get_origin(hint) in (Union, types.UnionType):
        (inner,) = (part for part in get_args(hint) if part is not types.NoneType)
        return _kind_of(inner)
    if get_origin(hint) is tuple:
        return _array(_kind_of(get_args(hint)[0]))
    schema: Schema[Any] = Schema(hint)
    return Kind(schema.read, schema.write)


def _array(item: Kind) -> Kind:
    def read(value: object) -> tuple[Any, ...]:
        if not isinstance(value, list):
            raise Misfit(" must be an array")
        found = []
        for index, entry in enumerate(value):
            try:
                found.append(item.read(entry))
            except Misfit as misfit:
                raise Misfit(f"[{index}]{misfit}") from None
        return tuple(found)

    def write(values: tuple[Any, ...]) -> list[object]:
        if not isinstance(values, tuple):
            raise TypeError("not a tuple")  # a string would be split into characters
        return [item.write(value) for value in values]

    return Kind(read, write)
