"""Clients that an authenticator has let in: what they may do, and until when. Who has an identity of the configuration
or of the clients file is none of them."""

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
        self.by_name: dict[str, Guest] = {}
        # Kept: a port looks for each visitor whether they are the same as before.
        self._rights: dict[str, tuple[Guest, Rights, Rights]] = {}

    def get(self, name: str, key: bytes | None = None) -> Guest | None:
        """Return the guest of that name, with this key if one is given."""
        guest = self.by_name.get(name)
        return None if guest is None or (key is not None and not same(guest.key, key)) else guest

    def add(self, name: str, guest: Guest) -> None:
        """It is in, in place of another one of that name."""
        self.by_name[name] = guest

    def drop(self, name: str) -> None:
        """Nothing is held for it any more. Harmless when there is none."""
        self.by_name.pop(name, None)
        self._rights.pop(name, None)

    def rights(self, name: str, others: Rights, rights_of: Callable[[RightsConfig], Rights]) -> Rights:
        """Return what the guest of that name may do; `others` is what a client without rights of its own may, and
        `rights_of` says what a client may of whom a file says something."""
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
        """Keep of each what `judged` makes of it; None: he may not stay."""
        for name, guest in tuple(self.by_name.items()):
            now = judged(name, guest)
            if now is None:
                self.drop(name)
            else:
                self.by_name[name] = now

    def keep(self, configs: Iterable[AuthenticatorConfig]) -> None:
        """Keep those whom one of these has let in."""
        kept = list(configs)
        self.by_name = {name: guest for name, guest in self.by_name.items() if guest.by in kept}

    def next_expiry(self, now: float) -> float | None:
        """Return when the next one has to go, None if none has."""
        return min((g.until for g in self.by_name.values() if g.until is not None and g.until > now), default=None)


def within(allowed: PortSet, wanted: PortSet) -> PortSet:
    """Return the ports that both have."""
    both = [
        (max(low, lowest), min(high, highest))
        for low, high in allowed.ranges
        for lowest, highest in wanted.ranges
        if max(low, lowest) <= min(high, highest)
    ]
    return PortSet(tuple(sorted(both)))
