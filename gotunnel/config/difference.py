"""Compares two versions of a configuration section: which keys have changed, what becomes of each, and the resulting
configuration. Applies nothing, and shows no values, since some are secrets."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from gotunnel.config.effects import FOLLOWERS, NAMED, Effect, effect_of
from gotunnel.config.kinds import Section
from gotunnel.config.plugins import HIDDEN

__all__ = ["Difference", "ListChange", "difference"]

_S = TypeVar("_S", bound=Section)

Path = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ListChange:
    """The changes of a list of named groups. Each name in either list is in one of these."""

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    """Items that stay, with some keys changed."""
    anew: tuple[str, ...] = ()
    """Items that are closed and opened again."""

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.changed or self.anew)


@dataclass(frozen=True, slots=True)
class Difference(Generic[_S]):
    """The result of a comparison. `config` is the configuration to use from now on: the new section, except for what
    needs a restart.

    `keys` are all changed keys that take effect, `restart` those that need a restart; abbreviations are in neither. The
    keys of `lists` are in `keys` as well.
    """

    config: _S
    keys: Mapping[str, Effect] = field(default_factory=dict)
    restart: tuple[str, ...] = ()
    lists: Mapping[str, ListChange] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.keys or self.restart)

    def touches(self, *keys: str) -> bool:
        """Return whether one of these keys, or a key below it, has changed and takes effect."""
        return any(_is_below(changed, key) for changed in self.keys for key in keys)


def difference(role: str, old: _S, new: _S, only: Collection[str] | None = None) -> Difference[_S]:
    """Compare two sections of one role, `server` or `client`. With `only`, all other keys need a restart."""
    found = {path: _worst(path, before, after) for path, before, after in _leaves((role,), old, new)}
    waiting = {key for leader, keys in FOLLOWERS.items() if tuple(leader.split(".")) in found for key in keys}
    for path in found:
        key = ".".join(path)
        if any(_is_below(key, other) for other in waiting) or (only is not None and key not in only):
            found[path] = Effect.RESTART
    late = [path for path, effect in found.items() if effect is Effect.RESTART]
    keys = {
        ".".join(path): effect
        for path, effect in found.items()
        if effect not in (Effect.RESTART, Effect.PART)
    }
    lists = {
        key: _compared(tuple(key.split(".")), _at(old, key), _at(new, key)) for key in sorted(NAMED) if key in keys
    }
    restart = tuple(key for path in late if effect_of(key := ".".join(path)) is not Effect.PART)
    return Difference(_kept_back(new, old, [path[1:] for path in late]), keys, restart, lists)


def _leaves(path: Path, old: Section, new: Section) -> Iterator[tuple[Path, Any, Any]]:
    """Yield the differences. A group that exists on one side only is one difference, and so is a list. The options of a
    plugin are not known keys: if one changes, its whole group has changed."""
    for name, info in type(new).model_fields.items():
        here, before, after = (*path, name), getattr(old, name), getattr(new, name)
        if before == after:
            continue
        if HIDDEN in info.metadata:
            yield path, old, new
        elif isinstance(before, Section) and isinstance(after, Section):
            yield from _leaves(here, before, after)
        else:
            yield here, before, after


def _worst(path: Path, before: Any, after: Any) -> Effect:
    """Return the effect of one difference. If an item of a list needs a restart, the whole list does."""
    key = ".".join(path)
    if key in NAMED and any(effect is Effect.RESTART for effect in _items(path, before, after).values()):
        return Effect.RESTART
    return effect_of(key)


def _items(path: Path, before: tuple[Any, ...], after: tuple[Any, ...]) -> dict[str, Effect]:
    """Return the effect on each item that is in both lists and has changed."""
    old = {item.name: item for item in before}
    return {
        item.name: _strictest(path, old[item.name], item)
        for item in after
        if item.name in old and old[item.name] != item
    }


def _strictest(path: Path, before: Section, after: Section) -> Effect:
    effects = {effect_of(".".join(here)) for here, _, _ in _leaves(path, before, after)}
    return next((effect for effect in (Effect.RESTART, Effect.ANEW) if effect in effects), Effect.NOW)


def _compared(path: Path, before: tuple[Any, ...], after: tuple[Any, ...]) -> ListChange:
    old, new, effects = [item.name for item in before], [item.name for item in after], _items(path, before, after)
    return ListChange(
        added=tuple(name for name in new if name not in set(old)),
        removed=tuple(name for name in old if name not in set(new)),
        kept=tuple(name for name in new if name in set(old) and name not in effects),
        changed=tuple(name for name, effect in effects.items() if effect is not Effect.ANEW),
        anew=tuple(name for name, effect in effects.items() if effect is Effect.ANEW),
    )


def _kept_back(new: _S, old: _S, late: list[Path]) -> _S:
    """Return `new` with the values of `old` at these paths."""
    update: dict[str, Any] = {}
    for name in {path[0] for path in late}:
        below = [path[1:] for path in late if path[0] == name]
        if () in below:
            update[name] = getattr(old, name)
        else:
            update[name] = _kept_back(getattr(new, name), getattr(old, name), below)
    return new.model_copy(update=update) if update else new


def _at(section: Section, key: str) -> Any:
    for name in key.split(".")[1:]:
        section = getattr(section, name)
    return section


def _is_below(key: str, group: str) -> bool:
    return key == group or key.startswith(group + ".")
