"""Checks whether traffic outside gotunnel's TLS uses TLS itself. It decides when to check and remembers the results;
the subclass knows the targets, how to check them, and what to log."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any

from twisted.internet.defer import CancelledError, Deferred

from gotunnel.address import HostPort
from gotunnel.config.choices import KUBELET
from gotunnel.errors import DialFailed
from gotunnel.logs import Logger

__all__ = ["AGAIN", "TlsWatch"]

AGAIN = 300.0
"""Minimum seconds between two checks of a target."""


@dataclass(slots=True)
class _Looked:
    """The result of the checks of one target."""

    due: bool = True  # nothing is known yet, or the target was down since the last check
    at: float | None = None
    was_down: bool = False
    verdict: str | None = None


class TlsWatch:
    """Call `look` whenever something may have changed. Each target is checked once, one after the other, and once more
    after it was down. A target that cannot be reached is not reported."""

    log = Logger()

    def __init__(self, clock: Any) -> None:
        self._clock = clock
        self._targets: Mapping[str, Hashable] = {}
        self._looked: dict[str, _Looked] = {}
        self._asking: Deferred[None] | None = None
        self._named: list[str] = []
        self._kubelets: set[tuple[str, HostPort]] = set()
        self._stopped = False

    # For the subclass to implement.

    def ask(self, name: str) -> Deferred[str | None]:
        """Check a target, like `tlsprobe.ask_for_tls`."""
        raise NotImplementedError

    def is_open(self, name: str) -> bool:
        """Return whether traffic can travel outside TLS there now."""
        raise NotImplementedError

    def is_down(self, name: str) -> bool:
        """Return whether the target is known to be down."""
        raise NotImplementedError

    def say_which(self, names: list[str]) -> None:
        """Log that these, and no others, can travel outside TLS now."""
        raise NotImplementedError

    def say_in_clear(self, name: str, verdict: str) -> None:
        """Log that the target does not speak TLS."""
        raise NotImplementedError

    def say_well(self, name: str) -> None:
        """Log that the target now speaks TLS, which it did not before."""
        raise NotImplementedError

    # Called by the owner.

    @property
    def in_clear(self) -> dict[str, str]:
        """By name, the problems of targets that do not speak TLS."""
        return {name: looked.verdict for name, looked in self._looked.items() if looked.verdict is not None}

    def watch(self, targets: Mapping[str, Hashable]) -> None:
        """Use these targets, by name, from now on: check those that are new or changed."""
        before, known, self._targets = self._targets, self._looked, targets
        self._looked = {
            name: known[name] if name in known and before[name] == target else _Looked()
            for name, target in targets.items()
        }

    def look(self) -> None:
        """Check what is due, because something may have changed."""
        for name, looked in self._looked.items():
            down = self.is_down(name)
            looked.due = looked.due or (looked.was_down and not down)
            looked.was_down = down
        names = [name for name in self._looked if self.is_open(name)]
        if names != self._named:
            self._named = names
            if names:
                self.say_which(names)
        self._next()

    def stop(self) -> None:
        """Stop checking. May be called again."""
        self._stopped = True
        if self._asking is not None:
            self._asking.cancel()

    # Parts of the above.

    def _warn_of_kubelets(self, targets: Mapping[str, object]) -> None:
        """Warn about kubelets: TLS alone is not enough there, since callers may not verify the certificate."""
        for name, target in targets.items():
            if isinstance(target, HostPort) and target.port == KUBELET and (name, target) not in self._kubelets:
                self._kubelets.add((name, target))
                self.log.warn(
                    "{name} leads to the kubelet {target} outside gotunnel's TLS (encrypt: false): unless "
                    "kube-apiserver has --kubelet-certificate-authority it checks no certificate, and anybody on "
                    "the path can pose as that kubelet",
                    name=name, target=str(target),
                )  # fmt: skip

    def _next(self) -> None:
        if self._asking is not None or self._stopped:
            return
        now = self._clock.seconds()
        for name, looked in self._looked.items():
            rested = looked.at is None or now - looked.at >= AGAIN
            if looked.due and rested and self.is_open(name) and not self.is_down(name):
                looked.at = now
                self._asking = Deferred.fromCoroutine(self._judge(name, looked))
                self._asking.addErrback(lambda failure: self.log.failure("asking a target for TLS failed", failure))
                self._asking.addCallback(self._asked)
                return

    def _asked(self, _: object) -> None:
        self._asking = None
        self._next()

    async def _judge(self, name: str, looked: _Looked) -> None:
        try:
            verdict = await self.ask(name)
        except (DialFailed, CancelledError):
            return
        if self._looked.get(name) is not looked:
            return  # the target was changed or removed meanwhile
        looked.due = False
        before, looked.verdict = looked.verdict, verdict
        if verdict is not None and verdict != before:
            self.say_in_clear(name, verdict)
        elif verdict is None and before is not None:
            self.say_well(name)
