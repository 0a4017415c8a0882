"""Who may come in: identities with keys and rights of their own, and one shared token for everybody else. Compares no
MAC and speaks no protocol (see wire.handshake); reads no file and no clock."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from gotunnel.core.rights import Rights
from gotunnel.wire.handshake import derive_key, same

__all__ = ["KEYS", "LASTING", "Identities", "Identity", "JoinKey", "SharedToken"]

LASTING = 2
"""How many lasting keys of one identity are valid at once: the token that comes and the one that goes."""

KEYS = LASTING + 2
"""How many keys of one identity are valid at once with those of a join."""

@dataclass(frozen=True, slots=True)
class JoinKey:
    """The K of a one-time token, until `expires` (Unix seconds). `next` is that of the lasting token that was sent in
    exchange, from then until the client has said that it is stored."""

    key: bytes = field(repr=False)
    expires: float | None = None
    next: bytes | None = field(default=None, repr=False)

    def keys(self, now: float) -> tuple[bytes, ...]:
        """Return what is valid of it."""
        over = self.expires is not None and now >= self.expires
        return (() if self.next is None else (self.next,)) + (() if over else (self.key,))


@dataclass(frozen=True, slots=True)
class Identity:
    """One client name with keys of its own. An identity without any is revoked: the name stays taken.

    `keys` are the K of the handshake, each 32 bytes, the newest last. `expires` is in Unix seconds; from then on it is
    as if disabled. `filed`: it stands in the clients file, so that its keys can be changed.
    """

    name: str
    keys: tuple[bytes, ...] = field(repr=False)
    rights: Rights
    disabled: bool = False
    expires: float | None = None
    join: JoinKey | None = None
    filed: bool = False

    def valid_keys(self, now: float) -> tuple[bytes, ...]:
        """Return the keys that open it at `now` (Unix seconds)."""
        if self.disabled or (self.expires is not None and now >= self.expires):
            return ()
        return self.keys + (() if self.join is None else self.join.keys(now))

    def shut(self, now: float) -> str | None:
        """Say why nobody gets in under this name at `now` (Unix seconds), or None."""
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
        """Return K of the handshake for this client name. It is derived each time: were it remembered, the time of a
        refusal would tell which names have been here (python -m bench.timing_auth)."""
        return derive_key(self._token, client)

    def authenticated(self, client: str) -> bool:
        """Note who has proved the token. True once, for the second name: then the operator is to be warned,
        since whoever holds the token can play the server to the others. A hello alone proves nothing and is
        not counted."""
        if self._first_name is None:
            self._first_name = client
        if self._several or client == self._first_name:
            return False
        self._several = True
        return True


class Identities:
    """All who may come in, at one moment: a change makes another table. Times are Unix seconds.

    A name that has an identity is never let in by the shared token, and neither is one whose identity is disabled,
    revoked or expired. Raises ValueError for a name that stands twice, or an identity with more than LASTING keys.
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
        """Names of the clients file whose own token is the shared one. The server warns about them; those of the
        configuration are told when that is read."""

    def __iter__(self) -> Iterator[Identity]:
        """All of them, those that are shut included."""
        return iter(tuple(self._own.values()))

    def __len__(self) -> int:
        """How many identities there are, those that are shut included."""
        return len(self._own)

    def __repr__(self) -> str:
        return f"<{len(self._own)} identities{'' if self._others is None else ' and a shared token'}>"

    def keys_of(self, client: str, now: float) -> tuple[bytes, ...]:
        """Return KEYS keys, any of which lets this client name in by an identity: the same number for every name,
        filled up with keys that nobody holds, so that the time of an answer does not tell which names exist."""
        identity = self._own.get(client)
        keys: tuple[bytes, ...] = () if identity is None else identity.valid_keys(now)
        return (*keys, *self._nobodys)[:KEYS]

    @property
    def shared(self) -> SharedToken | None:
        """What opens the names that have no identity."""
        return self._others

    def shut_out(self, client: str, key: bytes, now: float) -> str | None:
        """Say why a session of this client, which once proved `key`, may not go on; None if it may."""
        identity = self._own.get(client)
        if identity is None:
            shared = self._others is not None and same(key, self._others.key_for(client))
            return None if shared else "no such client is known any more"
        reason = identity.shut(now)
        if reason is None and not any(same(key, own) for own in identity.valid_keys(now)):
            reason = "its token is not valid any more"
        return reason

    def joins(self, client: str, key: bytes) -> bool:
        """Say whether this key, which the client has proved, serves once."""
        identity = self._own.get(client)
        return identity is not None and identity.join is not None and same(key, identity.join.key)

    def supersedes(self, client: str, key: bytes) -> bool:
        """Say whether the use of this key ends others of the client: it is the newest of several."""
        identity = self._own.get(client)
        if identity is None or not identity.filed:
            return False
        newest = identity.keys[1:] if identity.join is None else (*identity.keys[1:], identity.join.next or b"")
        return any(same(key, own) for own in newest)

    def identity(self, client: str) -> Identity | None:
        """Return the identity of a name, a shut one too; None for a name that has none."""
        return self._own.get(client)

    def rights_for(self, client: str, now: float) -> Rights | None:
        """Return the rights of an authenticated client, None for one that may not come in (any more)."""
        identity = self._own.get(client)
        if identity is None:
            return None if self._others is None else self._others.rights
        return None if identity.shut(now) else identity.rights

    def lasts(self, client: str) -> bool:
        """Whether `rights_for` says the same of this client at any time."""
        identity = self._own.get(client)
        return identity is None or identity.disabled or (
            identity.expires is None and (bool(identity.keys) or identity.join is None)
        )

    def next_expiry(self, now: float) -> float | None:
        """Return when the next identity expires, None if none will."""
        times = [each.expires for each in self._own.values() if each.expires is not None and each.expires > now]
        return min(times, default=None)

    def authenticated(self, client: str) -> bool:
        """See SharedToken.authenticated; of names with an identity see `names_with_common_token`."""
        return client not in self._own and self._others is not None and self._others.authenticated(client)
