"""Finds the mistakes that hide behind others: what goes together is looked at once each key is well, and who reads of
one mistake is to read of all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from gotunnel.config.kinds import Part, with_more

__all__ = ["told_at_once"]


def told_at_once(
    model: type[BaseModel], data: Any, error: ValidationError, context: Any, decisive: str,
    stand_ins: Mapping[str, Any],
) -> ValidationError:  # fmt: skip
    """Return `error` with the mistakes that would be found in `data` if the keys that it is about were well.
    `stand_ins` are good values for those that must be there; `decisive` is the one that says what the others may be, so
    that nothing can be known without it."""
    wrong = {path[0] for path, _, _ in _parts(error) if path}
    if not isinstance(data, dict) or not wrong or decisive in wrong:
        return error
    rest = {key: value for key, value in data.items() if key not in wrong}
    # One that is wrong itself, as a port is with public: false, is left out.
    rest |= {key: value for key, value in stand_ins.items() if key in wrong and data.get(key) != value}
    if rest == data:
        return error
    try:
        model.model_validate(rest, context=context)
    except ValidationError as hidden:
        # What is about a key that was left out is about its absence.
        return with_more(error, [part for part in _parts(hidden) if part[0] and part[0][0] not in wrong])
    return error


def _parts(error: ValidationError) -> list[Part]:
    found: list[Part] = []
    for each in error.errors():
        parts = each["ctx"]["parts"] if each["type"] == "gotunnel" else [((), "", "")]
        found += [((*each["loc"], *path), what, cure) for path, what, cure in parts]
    return found
