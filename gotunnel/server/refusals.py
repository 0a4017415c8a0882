"""The addresses that the control port refuses for a while: configuration, timer and logging for `core.penalties`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from gotunnel.config.model import PenaltiesConfig
from gotunnel.core.penalties import Offence, Penalties

__all__ = ["Refusals"]

LOOK = 1.0
"""The least seconds between checks for refusals that have ended. One timer serves all addresses."""


class Refusals:
    """Owned by the reception. `say(kind, words, address, **values)` logs a line, rate-limited."""

    def __init__(self, config: PenaltiesConfig, clock: IReactorTime, say: Callable[..., Any]) -> None:
        self._clock = clock
        self._say = say
        self._timer: IDelayedCall | None = None
        self._penalties: Penalties | None = None
        self.use(config)

    def use(self, config: PenaltiesConfig) -> None:
        """Apply a new configuration. Refused addresses stay refused unless it ends their penalty."""
        numbers = config.auth_failure, config.no_auth, config.minimum, config.maximum, config.table, config.exempt
        if not config.enabled:
            self.stop()
            self._penalties = None
        elif self._penalties is None:
            self._penalties = Penalties(*numbers)
        else:
            self._penalties.use(*numbers, self._clock.seconds())
            self.stop()
            self._look(self._penalties)

    @property
    def active(self) -> int:
        """The number of addresses being refused."""
        return 0 if self._penalties is None else self._penalties.active

    def refuses(self, host: str) -> bool:
        """Return whether connections from this address are refused now, apart from expected legs."""
        return self._penalties is not None and self._penalties.refuses(host, self._clock.seconds())

    def count(self, host: str) -> None:
        """Count a connection from this address that was refused."""
        if self._penalties is not None:
            self._penalties.count(host, self._clock.seconds())

    def proved(self, host: str) -> None:
        """Record a successful login from this address."""
        if self._penalties is not None:
            self._penalties.proved(host, self._clock.seconds())

    def charge(self, host: str, offence: Offence) -> None:
        """Charge an address for an offence."""
        if self._penalties is None:
            return
        seconds = self._penalties.charge(host, offence, self._clock.seconds())
        if seconds:
            self._say(
                "penalty",
                "connections from {address} are refused for {seconds:.0f} s, longer if it goes on: too many failed "
                "logins (server.penalties; a network to be trusted goes into its exempt)",
                host, seconds=seconds,
            )  # fmt: skip
            self._plan(self._penalties)

    def stop(self) -> None:
        """Cancel the timer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _plan(self, penalties: Penalties) -> None:
        seconds = penalties.next_pardon(self._clock.seconds())
        if seconds is not None and self._timer is None:
            self._timer = self._clock.callLater(max(LOOK, seconds), self._look, penalties)

    def _look(self, penalties: Penalties) -> None:
        self._timer = None
        for pardon in penalties.pardons(self._clock.seconds()):
            self._say(
                "pardon", "connections from {address} are let in again; {count} were refused", pardon.source,
                count=pardon.refused,
            )  # fmt: skip
        self._plan(penalties)
