"""Records: frozen dataclasses with slots, nearly all of whose methods they have in common. `dataclass(frozen=True)`
compiles six methods for each class: for the hundred of a role that took a sixth of its start and most of a MiB, which
it kept. Knows nothing of what they hold."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, Field, FrozenInstanceError, dataclass, field, fields
from operator import attrgetter
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from typing_extensions import dataclass_transform
else:

    def dataclass_transform(**_: Any) -> Callable[[Any], Any]:
        """Tell a type checker that what the decorator makes is a dataclass."""
        return lambda decorator: decorator


__all__ = ["record"]

_T = TypeVar("_T")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def record(cls: type[_T]) -> type[_T]:
    """Return the class as what `dataclass(frozen=True, slots=True)` makes of it, but for fields that are no attributes
    (InitVar) or that a call must name (kw_only). `fields`, `replace` and `asdict` know it."""
    if not cls.__doc__:
        cls.__doc__ = cls.__name__  # or it would be made of a signature, and what finds that stays in memory
    made: Any = dataclass(init=False, repr=False, eq=False, slots=True)(cls)
    known = fields(made)
    compared = tuple(each.name for each in known if each.compare)
    # Of one name attrgetter makes no tuple, and of none nothing at all.
    made.__values__ = attrgetter(*(compared if len(compared) > 1 else compared * 2 or ("__class__",)))
    made.__init__ = _constructor(made, known)
    own = cls.__dict__
    for name, method in _SHARED.items():
        if name not in own:
            setattr(made, name, method)
    # Python puts None there for a class that compares in a way of its own and does not say how it hashes.
    if own.get("__hash__") is None:
        made.__hash__ = _hash
    return made


def _constructor(made: Any, known: tuple[Field[Any], ...]) -> Any:
    """Compile what sets the slots, each by its own descriptor: that asks no `__setattr__`."""
    scope: dict[str, Any] = {"_absent": MISSING}
    words, steps = ["self"], []
    for each in known:
        name = each.name
        value, is_made = name, each.default_factory is not MISSING
        scope[f"_set_{name}"] = getattr(made, name).__set__
        if is_made:
            scope[f"_make_{name}"] = each.default_factory
            value = f"_make_{name}()" if not each.init else f"_make_{name}() if {name} is _absent else {name}"
        elif each.default is not MISSING:
            scope[f"_default_{name}"] = each.default
            value = name if each.init else f"_default_{name}"
        if each.init:
            default = "=_absent" if is_made else "" if each.default is MISSING else f"=_default_{name}"
            words.append(name + default)
        steps.append(f" _set_{name}(self, {value})\n")
    if hasattr(made, "__post_init__"):
        steps.append(" self.__post_init__()\n")
    exec(f"def __init__({', '.join(words)}):\n{''.join(steps) or ' pass'}", scope)  # noqa: S102 - names of fields
    found = scope.pop("__init__")
    found.__qualname__, found.__module__ = f"{made.__qualname__}.__init__", made.__module__
    return found


def _repr(self: Any) -> str:
    shown = (f"{each.name}={getattr(self, each.name)!r}" for each in fields(self) if each.repr)
    return f"{type(self).__qualname__}({', '.join(shown)})"


def _eq(self: Any, other: Any) -> Any:
    if other.__class__ is not self.__class__:
        return NotImplemented
    return self.__values__(self) == self.__values__(other)


def _hash(self: Any) -> int:
    return hash(self.__values__(self))


def _setattr(self: Any, name: str, value: object) -> None:
    raise FrozenInstanceError(f"cannot assign to field {name!r}")


def _delattr(self: Any, name: str) -> None:
    raise FrozenInstanceError(f"cannot delete field {name!r}")


def _setstate(self: Any, state: tuple[None, dict[str, Any]]) -> None:
    """Fill a copy."""
    for name, value in state[1].items():
        object.__setattr__(self, name, value)


_SHARED = {
    "__repr__": _repr, "__eq__": _eq, "__setattr__": _setattr, "__delattr__": _delattr, "__setstate__": _setstate,
}  # fmt: skip
