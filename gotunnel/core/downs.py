"""Which mappings of a client lead nowhere at present, and why: a probe does not reach the target, or an operator has
switched the mapping off. His word goes ahead of the probe's. Says it to nobody but who asks, and `changed`."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from gotunnel.core.view import SWITCHED_OFF

__all__ = ["Downs"]


class Downs:
    """One per client. `changed(name, up, reason)` is called for what its servers are to know."""

    def __init__(self, changed: Callable[[str, bool, str], None]) -> None:
        self.off: set[str] = set()
        """What an operator has switched off, until he switches it on, the mapping goes, or the process ends."""
        self._changed = changed
        self._targets: dict[str, str] = {}  # why, by mapping

    def target_changed(self, name: str, up: bool, reason: str) -> None:
        """A probe has found a target gone, or there again."""
        if up:
            self._targets.pop(name, None)
        else:
            self._targets[name] = reason
        if name not in self.off:
            self._changed(name, up, reason)

    def switch(self, name: str, off: bool) -> None:
        """An operator wants a mapping off, or on again."""
        if off and name not in self.off:
            self.off.add(name)
            self._changed(name, False, SWITCHED_OFF)
        elif not off and name in self.off:
            self.off.discard(name)
            down = self._targets.get(name)
            self._changed(name, down is None, "switched on by an operator" if down is None else down)

    def forget(self, name: str) -> None:
        """There is no such mapping any more."""
        self.off.discard(name)
        self._targets.pop(name, None)

    def reasons(self) -> Iterator[tuple[str, str]]:
        """Yield what is down, and why."""
        for name in self._targets.keys() | self.off:
            yield name, SWITCHED_OFF if name in self.off else self._targets[name]
