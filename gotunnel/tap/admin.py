"""Puts the admin socket beside a role. This is done here because neither knows the other. The acts that both roles have
are here, too."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twisted.application.service import IService, Service
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IReactorTime

from gotunnel.admin.face import Acts, Face, Refused
from gotunnel.errors import Sentence, printable
from gotunnel.history.recorder import Recorder
from gotunnel.logs import LEVELS, Logger, level, set_level
from gotunnel.net.reloading import Reloadable, Report

if TYPE_CHECKING:
    from gotunnel.admin.listener import AdminService

__all__ = ["Administered", "admin_folder", "administered", "common_acts", "only", "text"]

log = Logger()

LONGEST_DRAIN = 86_400.0


def admin_folder(state: Path, env: Mapping[str, str] = os.environ) -> Path:
    """Return the folder of a role's socket: systemd's RUNTIME_DIRECTORY (the first, if it names several), or the state
    folder."""
    first = env.get("RUNTIME_DIRECTORY", "").partition(":")[0]
    return Path(first) if os.path.isabs(first) else state


class Administered(Service):
    """Starts the role, its history and its admin socket. Stops the role first, so that its end can be watched and its
    last visitors count. `admin` is None if nobody can ask."""

    def __init__(self, role: IService, history: Recorder, admin: AdminService | None) -> None:
        self.role = role
        self.history = history
        self.admin = admin

    def privilegedStartService(self) -> None:
        """Called by the runner while it may still be root."""
        super().privilegedStartService()
        self.role.privilegedStartService()

    def startService(self) -> None:
        """Start the role, then its history and its admin socket."""
        self.role.startService()
        self.history.startService()
        if self.admin is not None:
            self.admin.startService()
        super().startService()

    def stopService(self) -> Deferred[None]:
        """Stop the role, then its history and its admin socket."""
        super().stopService()
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        # No `finally`: if a second signal ends the process at once, this coroutine is still waiting. The interpreter
        # then discards it, and would run a `finally` whose work nobody can finish any more.
        try:
            await maybeDeferred(self.role.stopService)
        except Exception:
            await self._stop_telling()
            raise
        await self._stop_telling()

    async def _stop_telling(self) -> None:
        await self.history.stopService()
        if self.admin is not None:
            await self.admin.stopService()


def administered(role: Any, face: Face, acts: Acts, config: Any, reactor: Any, state: Path) -> Administered:
    """Return a role with its history and its admin socket, as far as its configuration has them. `acts` are those that
    only this role has."""
    history = Recorder(config.usage, face, reactor, state)
    if isinstance(role, Reloadable):
        role.settled.append(lambda settings: history.use(settings.usage))
    if not config.admin.enabled:
        return Administered(role, history, None)
    # Imported only if somebody may ask, because it takes memory.
    from gotunnel.admin.listener import AdminService

    acts = {**common_acts(role, face, reactor), **acts}
    return Administered(role, history, AdminService(config.admin, face, acts, reactor, admin_folder(state), history))


def common_acts(role: Any, face: Face, clock: IReactorTime) -> Acts:
    """Return the acts that both roles have."""
    drain = _Drain(role, face, clock)

    def reload(wish: dict[str, Any]) -> Deferred[dict[str, Any]]:
        only(wish)
        told: Deferred[Report] = role.reload_from_file()
        return told.addCallback(lambda report: {"applied": report.applied, "lines": list(report.lines)})

    return {"drain": drain.act, "log-level": _log_level, "reload": reload}


def _log_level(wish: dict[str, Any]) -> dict[str, Any]:
    only(wish, "level")
    before, name = level(), wish.get("level")
    if name is not None:
        if not isinstance(name, str) or name not in LEVELS:
            raise Refused(Sentence("level is one of {levels}", levels=', '.join(LEVELS)))
        if name != before:
            set_level("info")  # otherwise this line could be lost
            log.info("log level: {level}, set by an operator; a restart restores that of the configuration", level=name)
            set_level(name)
    return {"level": level(), "before": before}


class _Drain:
    """Begins a drain, and reports its progress when it is asked again without a time. A process has one drain in its
    life: a request for another one joins it, and the answer says so."""

    def __init__(self, role: Any, face: Face, clock: IReactorTime) -> None:
        self._role = role
        self._face = face
        self._clock = clock
        self._ends: float | None = None
        """When its time is over; None if nobody has asked for a drain here."""
        self._cut: int | None = None
        self._failed = False

    def act(self, wish: dict[str, Any]) -> dict[str, Any]:
        """Drain. `seconds` is how long visitors have to finish; later requests can only shorten it."""
        only(wish, "seconds")
        seconds, joined, now = wish.get("seconds"), self._face.draining, self._clock.seconds()
        if seconds is not None:
            if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not _fit(seconds):
                raise Refused(Sentence(
                    "seconds is a number from 0 to {longest_drain:g}", longest_drain=LONGEST_DRAIN
                ))
            if not joined:
                log.warn("draining, by an operator: visitors have {seconds:g} s to finish", seconds=seconds)
            ends = now + seconds
            self._ends = ends if self._ends is None else min(self._ends, ends)
            self._role.drain(float(seconds)).addCallbacks(self._over, self._broke)
        return {
            "draining": self._face.draining, "live": self._face.usage.live, "cut": self._cut,
            "over": self._cut is not None, "failed": self._failed, "joined": joined,
            "left": None if self._ends is None else max(0.0, self._ends - now),
        }  # fmt: skip

    def _over(self, cut: int) -> None:
        self._cut = cut

    def _broke(self, failure: Any) -> None:
        self._failed = True
        log.failure("draining", failure)


def only(wish: dict[str, Any], *keys: str) -> None:
    """Return if a request has only these keys. Raises Refused."""
    unknown = sorted(set(wish) - set(keys))
    if unknown:
        raise Refused(Sentence(
            "{unknown} is not known here; known: {keys}",
            unknown=printable(unknown[0], 60), keys=', '.join(keys) or 'nothing',
        ))


def _fit(seconds: float) -> bool:
    return math.isfinite(seconds) and 0 <= seconds <= LONGEST_DRAIN


def text(wish: dict[str, Any], key: str) -> str | None:
    """Return a text in a request, or None if it is absent. Raises Refused."""
    value = wish.get(key)
    if value is not None and (not isinstance(value, str) or not value or len(value) > 300):
        raise Refused(Sentence("{key} is a text", key=key))
    return None if value is None else printable(value, 300)
