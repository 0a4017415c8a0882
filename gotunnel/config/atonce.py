"""Finds mistakes that hide behind others. Checks between keys normally run only when each key is valid; here they run
anyway, so that all mistakes are reported at once."""

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
    """Return `error` with the mistakes that would be found in `data` if the keys in `error` were valid. `stand_ins` are
    valid values for required keys. `decisive` is the key that determines which others are allowed; if it is wrong,
    nothing more can be known."""
    wrong = {path[0] for path, _, _ in _parts(error) if path}
    if not isinstance(data, dict) or not wrong or decisive in wrong:
        return error
    rest = {key: value for key, value in data.items() if key not in wrong}
        # A stand-in that is itself wrong, like a port with public: false, is left out.
    rest |= {key: value for key, value in stand_ins.items() if key in wrong and data.get(key) != value}
    if rest == data:
        return error
    try:
        model.model_validate(rest, context=context)
    except ValidationError as hidden:
        # A mistake about a left-out key is only about its absence.
        return with_more(error, [part for part in _parts(hidden) if part[0] and part[0][0] not in wrong])
    return error


def _parts(error: ValidationError) -> list[Part]:
    found: list[Part] = []
    for each in error.errors():
        parts = each["ctx"]["parts"] if each["type"] == "gotunnel" else [((), "", "")]
        found += [((*each["loc"], *path), what, cure) for path, what, cure in parts]
    return found
