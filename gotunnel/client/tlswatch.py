"""Looks whether what travels outside of gotunnel's TLS speaks TLS itself. It decides when to look and remembers what
was found; what is looked at, how, and what is said of it is for the subclass."""

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
"""Seconds at least from one look at a target to the next."""


@dataclass(slots=True)
class _Looked:
    due: bool = True  # nothing is known yet, or the target has come up since
    at: float | None = None
    was_down: bool = False
    verdict: str | None = None


class TlsWatch:
    """`look` is to be called whenever something may have changed: it looks at each target once, one after the other,
    and once more after a time in which it was down. A target that cannot be reached is none of its business."""

    log = Logger()

    def __init__(self, clock: Any) -> None:
        self._clock = clock
        self._targets: Mapping[str, Hashable] = {}
        self._looked: dict[str, _Looked] = {}
        self._asking: Deferred[None] | None = None
        self._named: list[str] = []
        self._kubelets: set[tuple[str, HostPort]] = set()
        self._stopped = False

    # For the subclass to say.

    def ask(self, name: str) -> Deferred[str | None]:
        """Look at a target, as `tlsprobe.ask_for_tls` does."""
        raise NotImplementedError

    def is_open(self, name: str) -> bool:
        """Whether anything can travel outside of TLS there now."""
        raise NotImplementedError

    def is_down(self, name: str) -> bool:
        """Whether its target is known to be down."""
        raise NotImplementedError

    def say_which(self, names: list[str]) -> None:
        """These, and no others, can travel outside of TLS now."""
        raise NotImplementedError

    def say_in_clear(self, name: str, verdict: str) -> None:
        """Its target does not speak TLS."""
        raise NotImplementedError

    def say_well(self, name: str) -> None:
        """It did not, and does now."""
        raise NotImplementedError

    # For its owner.

    @property
    def in_clear(self) -> dict[str, str]:
        """What is wrong with a target that does not speak TLS, by name."""
        return {name: looked.verdict for name, looked in self._looked.items() if looked.verdict is not None}

    def watch(self, targets: Mapping[str, Hashable]) -> None:
        """These are the targets now, by name: look at what is new about them."""
        before, known, self._targets = self._targets, self._looked, targets
        self._looked = {
            name: known[name] if name in known and before[name] == target else _Looked()
            for name, target in targets.items()
        }

    def look(self) -> None:
        """Something may have changed."""
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
        """Look no more. Harmless when called again."""
        self._stopped = True
        if self._asking is not None:
            self._asking.cancel()

    # Parts of the above.

    def _warn_of_kubelets(self, targets: Mapping[str, object]) -> None:
        """TLS alone is not enough there: who asks a kubelet does not look whom he has reached."""
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
                self._asking.addErrback(lambda failure: self.log.failure("asking a target for TLS", failure))
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
            return  # it leads elsewhere meanwhile, or is gone
        looked.due = False
        before, looked.verdict = looked.verdict, verdict
        if verdict is not None and verdict != before:
            self.say_in_clear(name, verdict)
        elif verdict is None and before is not None:
            self.say_well(name)
