"""Who may log in: identities with their own keys and rights, and one shared token for all other names.

It does not compare MACs or speak the protocol (see wire.handshake), and reads no files and no clock.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from gotunnel.core.rights import Rights
from gotunnel.wire.handshake import derive_key, same

__all__ = ["KEYS", "LASTING", "Identities", "Identity", "JoinKey", "SharedToken"]

LASTING = 2
"""The number of lasting keys of one identity that can be valid at once: the new token and the old one."""

KEYS = LASTING + 2
"""The number of keys of one identity that can be valid at once, including those of a join."""

@dataclass(frozen=True, slots=True)
class JoinKey:
    """The key K of a one-time token, valid until `expires` (Unix seconds).

    `next` is the key of the lasting token sent in exchange, until the client has confirmed that it is stored.
    """

    key: bytes = field(repr=False)
    expires: float | None = None
    next: bytes | None = field(default=None, repr=False)

    def keys(self, now: float) -> tuple[bytes, ...]:
        """Return the keys that are valid at `now`."""
        over = self.expires is not None and now >= self.expires
        return (() if self.next is None else (self.next,)) + (() if over else (self.key,))


@dataclass(frozen=True, slots=True)
class Identity:
    """One client name with keys of its own. An identity without keys is revoked: the name stays taken.

    `keys` are the keys K of the handshake, 32 bytes each, the newest last. From `expires` (Unix seconds) on, the
    identity counts as disabled. `filed` means that it is in the clients file, so its keys can be changed.
    """

    name: str
    keys: tuple[bytes, ...] = field(repr=False)
    rights: Rights
    disabled: bool = False
    expires: float | None = None
    join: JoinKey | None = None
    filed: bool = False

    def valid_keys(self, now: float) -> tuple[bytes, ...]:
        """Return the keys that can be used to log in at `now` (Unix seconds)."""
        if self.disabled or (self.expires is not None and now >= self.expires):
            return ()
        return self.keys + (() if self.join is None else self.join.keys(now))

    def shut(self, now: float) -> str | None:
        """Return why nobody can log in under this name at `now` (Unix seconds), or None."""
        if not self.keys and self.join is None:
            return "it is revoked"
        if self.disabled:
            return "it is disabled"
        return None if self.valid_keys(now) else "it has expired"


class SharedToken:
    """One token for every client name, with one set of rights."""

    def __init__(self, token: str, rights: Rights) -> None:
        self.rights = rights
        self._token = token
        self._first_name: str | None = None
        self._several = False

    def key_for(self, client: str) -> bytes:
        """Return the handshake key K for this client name.

        It is derived each time. A cache would let the time of a refusal reveal which names have logged in before
        (python -m bench.timing_auth).
        """
        return derive_key(self._token, client)

    def authenticated(self, client: str) -> bool:
        """Record a client that has proved the token. Returns True once, for the second name.

        The operator should then be warned, because any holder of the token can impersonate the server to the others. A
        hello alone proves nothing and does not count.
        """
        if self._first_name is None:
            self._first_name = client
        if self._several or client == self._first_name:
            return False
        self._several = True
        return True


class Identities:
    """All identities at one moment; a change creates a new table. Times are Unix seconds.

    A name that has an identity is never admitted by the shared token, even if the identity is disabled, revoked or
    expired. Raises ValueError for a duplicate name, or an identity with more than LASTING keys.
    """

    def __init__(self, own: Iterable[Identity] = (), others: SharedToken | None = None) -> None:
        self._own: dict[str, Identity] = {}
        self._others = others
        for identity in own:
            if identity.name in self._own:
                raise ValueError(f"two identities are called {identity.name}")
            if len(identity.keys) > LASTING:
                raise ValueError(f"the identity {identity.name} has more than {LASTING} keys")
            self._own[identity.name] = identity
        self._nobodys = tuple(secrets.token_bytes(32) for _ in range(KEYS))
        self.names_with_common_token = frozenset(
            name
            for name, identity in self._own.items()
            if others is not None and identity.filed and any(same(key, others.key_for(name)) for key in identity.keys)
        )
        """Names in the clients file whose own token equals the shared one. The server warns about them; names in the
        configuration are reported when it is read."""

    def __iter__(self) -> Iterator[Identity]:
        """Iterate over all identities, including those that cannot log in."""
        return iter(tuple(self._own.values()))

    def __len__(self) -> int:
        """The number of identities, including those that cannot log in."""
        return len(self._own)

    def __repr__(self) -> str:
        return f"<{len(self._own)} identities{'' if self._others is None else ' and a shared token'}>"

    def keys_of(self, client: str, now: float) -> tuple[bytes, ...]:
        """Return KEYS keys, any of which admits this client name.

        The list is padded with random keys, so that the time of an answer does not reveal which names exist.
        """
        identity = self._own.get(client)
        keys: tuple[bytes, ...] = () if identity is None else identity.valid_keys(now)
        return (*keys, *self._nobodys)[:KEYS]

    @property
    def shared(self) -> SharedToken | None:
        """The shared token for names without an identity, if there is one."""
        return self._others

    def shut_out(self, client: str, key: bytes, now: float) -> str | None:
        """Return why a session of this client that once proved `key` must end, or None if it may go on."""
        identity = self._own.get(client)
        if identity is None:
            shared = self._others is not None and same(key, self._others.key_for(client))
            return None if shared else "no such client is known any more"
        reason = identity.shut(now)
        if reason is None and not any(same(key, own) for own in identity.valid_keys(now)):
            reason = "its token is not valid any more"
        return reason

    def joins(self, client: str, key: bytes) -> bool:
        """Return whether this key, which the client has proved, is that of a one-time token."""
        identity = self._own.get(client)
        return identity is not None and identity.join is not None and same(key, identity.join.key)

    def supersedes(self, client: str, key: bytes) -> bool:
        """Return whether using this key invalidates older keys of the client, because it is a newer one."""
        identity = self._own.get(client)
        if identity is None or not identity.filed:
            return False
        newest = identity.keys[1:] if identity.join is None else (*identity.keys[1:], identity.join.next or b"")
        return any(same(key, own) for own in newest)

    def identity(self, client: str) -> Identity | None:
        """Return the identity of a name, even if it cannot log in; None if there is none."""
        return self._own.get(client)

    def rights_for(self, client: str, now: float) -> Rights | None:
        """Return the rights of an authenticated client, or None if it is not, or no longer, admitted."""
        identity = self._own.get(client)
        if identity is None:
            return None if self._others is None else self._others.rights
        return None if identity.shut(now) else identity.rights

    def lasts(self, client: str) -> bool:
        """Return whether `rights_for` gives the same result for this client at all times."""
        identity = self._own.get(client)
        return identity is None or identity.disabled or (
            identity.expires is None and (bool(identity.keys) or identity.join is None)
        )

    def next_expiry(self, now: float) -> float | None:
        """Return when the next identity expires, or None if none will."""
        times = [each.expires for each in self._own.values() if each.expires is not None and each.expires > now]
        return min(times, default=None)

    def authenticated(self, client: str) -> bool:
        """Like SharedToken.authenticated, but False for names with an identity, see `names_with_common_token`."""
        return client not in self._own and self._others is not None and self._others.authenticated(client)
