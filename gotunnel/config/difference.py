"""What changes when one section of a file takes the place of another: which keys, what becomes of each, and with which
values to go on. Compares models only: nothing is applied here, and no value is shown, since some are secrets."""

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
    """What becomes of a list of groups that have names. Each name of either list stands in one of these."""

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    """They go on, with something about them that is different."""
    anew: tuple[str, ...] = ()
    """They are closed and opened again."""

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.changed or self.anew)


@dataclass(frozen=True, slots=True)
class Difference(Generic[_S]):
    """`config` is what to run with from now on: the new section, but for what needs a restart.

    `keys` are all changed keys that take effect, `restart` those that do not; abbreviations are in neither. The keys of
    `lists` are in `keys` too.
    """

    config: _S
    keys: Mapping[str, Effect] = field(default_factory=dict)
    restart: tuple[str, ...] = ()
    lists: Mapping[str, ListChange] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.keys or self.restart)

    def touches(self, *keys: str) -> bool:
        """Whether one of these keys, or one below it, changes and takes effect."""
        return any(_is_below(changed, key) for changed in self.keys for key in keys)


def difference(role: str, old: _S, new: _S, only: Collection[str] | None = None) -> Difference[_S]:
    """Compare two sections of one role, `server` or `client`. If only some keys can take effect here, all others need a
    restart."""
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
    """Yield what differs; a group that is there on one side only is one difference, and so is a list. The options of a
    plugin are no keys that are known here: another option is another group."""
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
    """What becomes of one difference. A list waits as a whole for an item that must wait."""
    key = ".".join(path)
    if key in NAMED and any(effect is Effect.RESTART for effect in _items(path, before, after).values()):
        return Effect.RESTART
    return effect_of(key)


def _items(path: Path, before: tuple[Any, ...], after: tuple[Any, ...]) -> dict[str, Effect]:
    """What becomes of each item that stands in both lists and is not the same."""
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
    """Return `new` with what stands in `old` at these paths."""
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
