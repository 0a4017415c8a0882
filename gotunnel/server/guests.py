"""Clients that an authenticator has admitted: their rights, and how long they may stay.

Clients with an identity in the configuration or the clients file are not guests.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from gotunnel.config.clients import RightsConfig
from gotunnel.config.plugged import AuthenticatorConfig
from gotunnel.core.logins import Accepted
from gotunnel.core.ports import PortSet
from gotunnel.core.rights import Rights
from gotunnel.errors import Sentence
from gotunnel.wire.handshake import same

__all__ = ["Guest", "Guests", "within"]


@dataclass(frozen=True, slots=True)
class Guest:
    """One guest. `key` is the K of its token; `until` is in Unix seconds, or None for no limit."""

    key: bytes = field(repr=False)
    accepted: Accepted
    by: AuthenticatorConfig
    until: float | None = None

    def shut(self, now: float) -> str | None:
        """Return why it may no longer stay at `now` (Unix seconds), or None."""
        over = self.until is not None and now >= self.until
        return Sentence(
            "the authenticator {plugin} let it in until now", plugin=self.by.plugin
        ) if over else None


class Guests:
    """All guests of one server, by name. Times are Unix seconds."""

    def __init__(self) -> None:
        self.by_name: dict[str, Guest] = {}
        # Cached, because a port checks for each visitor whether the rights are still the same object.
        self._rights: dict[str, tuple[Guest, Rights, Rights]] = {}

    def get(self, name: str, key: bytes | None = None) -> Guest | None:
        """Return the guest of that name, or None. If `key` is given, the guest must have it."""
        guest = self.by_name.get(name)
        return None if guest is None or (key is not None and not same(guest.key, key)) else guest

    def add(self, name: str, guest: Guest) -> None:
        """Add a guest; it replaces one of the same name."""
        self.by_name[name] = guest

    def drop(self, name: str) -> None:
        """Forget the guest of that name, if there is one."""
        self.by_name.pop(name, None)
        self._rights.pop(name, None)

    def rights(self, name: str, others: Rights, rights_of: Callable[[RightsConfig], Rights]) -> Rights:
        """Return the rights of the guest of that name.

        `others` are those of a client without rights of its own; `rights_of` converts a client's configuration.
        """
        guest = self.by_name[name]
        accepted = guest.accepted
        if accepted.allow_ports is None and accepted.rights is None:
            return others
        kept = self._rights.get(name)
        if kept is None or kept[0] is not guest or kept[1] is not others:
            found = others if accepted.rights is None else rights_of(accepted.rights)
            if accepted.allow_ports is not None:
                asked = PortSet.parse(accepted.allow_ports)
                narrowed, of_udp = within(found.allow_ports, asked), within(found.allow_udp_ports, asked)
                found = replace(found, allow_ports=narrowed, allow_udp_ports=of_udp)
            kept = self._rights[name] = (guest, others, found)
        return kept[2]

    def review(self, judged: Callable[[str, Guest], Guest | None]) -> None:
        """Replace each guest by the result of `judged`; None removes it."""
        for name, guest in tuple(self.by_name.items()):
            now = judged(name, guest)
            if now is None:
                self.drop(name)
            else:
                self.by_name[name] = now

    def keep(self, configs: Iterable[AuthenticatorConfig]) -> None:
        """Keep only the guests that one of these authenticators has admitted."""
        kept = list(configs)
        self.by_name = {name: guest for name, guest in self.by_name.items() if guest.by in kept}

    def next_expiry(self, now: float) -> float | None:
        """Return when the next guest must leave, or None."""
        return min((g.until for g in self.by_name.values() if g.until is not None and g.until > now), default=None)


def within(allowed: PortSet, wanted: PortSet) -> PortSet:
    """Return the ports that are in both sets."""
    both = [
        (max(low, lowest), min(high, highest))
        for low, high in allowed.ranges
        for lowest, highest in wanted.ranges
        if max(low, lowest) <= min(high, highest)
    ]
    return PortSet(tuple(sorted(both)))
