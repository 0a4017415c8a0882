"""Clients that an authenticator has let in: what they may do, and until when. Who has an identity of the configuration
or of the clients file is none of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from gotunnel.config.plugged import AuthenticatorConfig
from gotunnel.core.logins import Accepted
from gotunnel.core.ports import PortSet
from gotunnel.core.rights import Rights
from gotunnel.errors import Sentence
from gotunnel.wire.handshake import same

__all__ = ["Guest", "Guests", "within"]


@dataclass(frozen=True, slots=True)
class Guest:
    """One of them. `key` is K of the token that it has shown; `until` is in Unix seconds, None: no end."""

    key: bytes = field(repr=False)
    accepted: Accepted
    by: AuthenticatorConfig
    until: float | None = None

    def shut(self, now: float) -> str | None:
        """Say why it may not stay at `now` (Unix seconds), or None."""
        over = self.until is not None and now >= self.until
        return Sentence(
            "the authenticator {plugin} let it in until now", plugin=self.by.plugin
        ) if over else None


class Guests:
    """All of one server, by name. Times are Unix seconds."""

    def __init__(self) -> None:
        self._all: dict[str, Guest] = {}
        # Kept: a port looks for each visitor whether they are the same as before.
        self._rights: dict[str, tuple[Guest, Rights, Rights]] = {}

    def get(self, name: str, key: bytes | None = None) -> Guest | None:
        """Return the guest of that name, with this key if one is given."""
        guest = self._all.get(name)
        return None if guest is None or (key is not None and not same(guest.key, key)) else guest

    def add(self, name: str, guest: Guest) -> None:
        """It is in, in place of another one of that name."""
        self._all[name] = guest

    def drop(self, name: str) -> None:
        """Nothing is held for it any more. Harmless when there is none."""
        self._all.pop(name, None)
        self._rights.pop(name, None)

    def rights(self, name: str, others: Rights) -> Rights:
        """Return what the guest of that name may do, of what a client without rights of its own may."""
        guest = self._all[name]
        ports = guest.accepted.allow_ports
        if ports is None:
            return others
        kept = self._rights.get(name)
        if kept is None or kept[0] is not guest or kept[1] is not others:
            narrowed = replace(others, allow_ports=within(others.allow_ports, PortSet.parse(ports)))
            kept = self._rights[name] = (guest, others, narrowed)
        return kept[2]

    def keep(self, configs: Iterable[AuthenticatorConfig]) -> None:
        """Keep those whom one of these has let in."""
        kept = list(configs)
        self._all = {name: guest for name, guest in self._all.items() if guest.by in kept}

    def next_expiry(self, now: float) -> float | None:
        """Return when the next one has to go, None if none has."""
        return min((g.until for g in self._all.values() if g.until is not None and g.until > now), default=None)


def within(allowed: PortSet, wanted: PortSet) -> PortSet:
    """Return the ports that both have."""
    both = [
        (max(low, lowest), min(high, highest))
        for low, high in allowed.ranges
        for lowest, highest in wanted.ranges
        if max(low, lowest) <= min(high, highest)
    ]
    return PortSet(tuple(sorted(both)))
