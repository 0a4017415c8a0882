"""Decides who may be a client of this server, and with which rights, based on identities, keys and authenticators.

It disconnects nobody; the hub does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from gotunnel.core.identities import Identities
from gotunnel.core.rights import NO_RIGHTS, Rights
from gotunnel.server.credentials import Credentials
from gotunnel.server.guests import Guest, Guests
from gotunnel.server.keyring import Keyring
from gotunnel.server.ledger import Ledger
from gotunnel.wire.messages import Limits

if TYPE_CHECKING:
    from gotunnel.server.logins import Logins

__all__ = ["Standing"]


class Standing(Ledger):
    """A base class of the hub, see the module."""

    identities: Identities

    def __init__(self, clock: Any, wall_clock: Callable[[], float], credentials: Credentials) -> None:
        super().__init__(clock)
        self.wall_clock = wall_clock
        """Returns Unix seconds. Used for expiry, and sent to clients."""
        self.credentials = credentials
        self.identities = credentials.table()
        self.keyring = Keyring()
        """The authenticators that know client keys. The first are the identities and the shared token."""
        self.keyring.use(self.identities)
        self.logins: Logins | None = None
        """Judges clients that present their token; None if no such authenticator is configured."""
        self.guests = Guests()
        self._next_expiry: float | None = None

    def keys_for(self, name: str) -> tuple[bytes, ...]:
        """Return the keys that admit this client name now, for the handshake."""
        return self.keyring.keys_for(name, self.wall_clock())

    def shut_out(self, name: str, key: bytes) -> str | None:
        """Return why a client that proved this key may not stay, or None if it may."""
        guest = self._guest(name, key)
        now = self.wall_clock()
        if guest is not None:
            return guest.shut(now)
        reason = self.identities.shut_out(name, key, now)
        if reason is None and self.keyring.of_another(name, None):
            return "its name has an identity elsewhere"
        return reason

    def knows(self, name: str) -> bool:
        """Return whether a client of this name may connect now."""
        return self._rights_of(name) is not None

    def rights_of(self, name: str) -> Rights:
        """Return the current rights of a client; NO_RIGHTS if it is no longer admitted."""
        if not self.guests.by_name:  # the usual case
            return self.identities.rights_for(name, self.wall_clock()) or NO_RIGHTS
        return self._rights_of(name) or NO_RIGHTS

    def _rights_of(self, name: str) -> Rights | None:
        guest = self._guest(name)
        if guest is None:
            return self.identities.rights_for(name, self.wall_clock())
        if guest.shut(self.wall_clock()):
            return None
        return self.guests.rights(name, self.credentials.others, self.credentials.rights_of)

    def _guest(self, name: str, key: bytes | None = None) -> Guest | None:
        """Return the guest of this name, unless the name now belongs to a different authenticator."""
        guest = self.guests.get(name, key)
        return None if guest is None or self.keyring.of_another(name, guest.by) else guest

    def use_keyring(self, keyring: Keyring) -> None:
        """Use another keyring from now on. The caller must call `identities_changed` afterwards."""
        keyring.use(self.identities)
        self.keyring = keyring

    def _judged_anew(self, name: str, guest: Guest) -> Guest | None:
        """Return what a guest becomes after keys have changed; None if it is no longer accepted."""
        if guest.by not in self.keyring.configs:
            return guest
        now = self.wall_clock()
        found = self.keyring.accept(name, guest.key, now)
        if found is None or found[1] != guest.by:
            return None
        accepted = found[0]
        return Guest(guest.key, accepted, guest.by, None if accepted.seconds is None else now + accepted.seconds)

    def _plan_expiry(self) -> None:
        now = self.wall_clock()
        times = (self.identities.next_expiry(now), self.guests.next_expiry(now))
        self._next_expiry = min((each for each in times if each is not None), default=None)

    def limits_for(self, name: str) -> Limits:
        """Return the limits to send to a client in `auth_ok`."""
        rights = self.rights_of(name)
        return Limits(rights.max_mappings, rights.max_legs, rights.max_visitors)
