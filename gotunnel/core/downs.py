"""Keeps which mappings of a client are down and why: a probe cannot reach the target, or an operator switched it off.

The operator takes precedence over the probe. Changes are reported through the callback `changed`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from gotunnel.core.view import SWITCHED_OFF

__all__ = ["Downs"]


class Downs:
    """The state of one client. `changed(name, up, reason)` is called for each change that its servers must learn of."""

    def __init__(self, changed: Callable[[str, bool, str], None]) -> None:
        self.off: set[str] = set()
        """Mappings switched off by an operator, until they are switched on, removed, or the process ends."""
        self._changed = changed
        self._targets: dict[str, str] = {}  # mapping -> why its target is down

    def target_changed(self, name: str, up: bool, reason: str) -> None:
        """Record a probe's result: the target is up again, or down for `reason`."""
        if up:
            self._targets.pop(name, None)
        else:
            self._targets[name] = reason
        if name not in self.off:
            self._changed(name, up, reason)

    def switch(self, name: str, off: bool) -> None:
        """Switch a mapping off, or on again, for an operator."""
        if off and name not in self.off:
            self.off.add(name)
            self._changed(name, False, SWITCHED_OFF)
        elif not off and name in self.off:
            self.off.discard(name)
            down = self._targets.get(name)
            self._changed(name, down is None, "switched on by an operator" if down is None else down)

    def forget(self, name: str) -> None:
        """Forget a mapping that has been removed."""
        self.off.discard(name)
        self._targets.pop(name, None)

    def reasons(self) -> Iterator[tuple[str, str]]:
        """Yield each mapping that is down, with the reason."""
        for name in self._targets.keys() | self.off:
            yield name, SWITCHED_OFF if name in self.off else self._targets[name]
