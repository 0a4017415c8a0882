"""Who may come in: identities with keys and rights of their own, and one shared token for everybody else. Compares no
MAC and speaks no protocol (see wire.handshake); reads no file and no clock."""

from __future__ import annotations

import secrets
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field

from gotunnel.core.rights import Rights
from gotunnel.wire.handshake import derive_key, same

__all__ = ["KEYS", "Identities", "Identity", "SharedToken"]

KEYS = 2
"""How many keys of one identity are valid at once: the token that comes and the one that goes."""

CACHED_KEYS = 1024
"""Keys that a shared token remembers. Anybody may send a hello with any name, so the cache must be
bounded."""


@dataclass(frozen=True, slots=True)
class Identity:
    """One client name with keys of its own. An identity without keys is revoked: the name stays taken.

    `keys` are the K of the handshake, each 32 bytes. `expires` is in Unix seconds; from then on it is as if disabled.
    `one_time`: its keys let somebody join once, and are not meant to last.
    """

    name: str
    keys: tuple[bytes, ...] = field(repr=False)
    rights: Rights
    disabled: bool = False
    expires: float | None = None
    one_time: bool = False

    def shut(self, now: float) -> str | None:
        """Say why nobody gets in under this name at `now` (Unix seconds), or None."""
        if self.disabled:
            return "it is disabled" if self.keys else "it is revoked"
        if not self.keys:
            return "it is revoked"
        return "it has expired" if self.expires is not None and now >= self.expires else None


class SharedToken:
    """One token for every client name, with one set of rights."""

    def __init__(self, token: str, rights: Rights, cached_keys: int = CACHED_KEYS) -> None:
        self.rights = rights
        self._token = token
        self._cached_keys = cached_keys
        self._keys: OrderedDict[str, bytes] = OrderedDict()
        self._first_name: str | None = None
        self._several = False

    def key_for(self, client: str) -> bytes:
        """Return K of the handshake for this client name."""
        key = self._keys.get(client)
        if key is None:
            key = self._keys[client] = derive_key(self._token, client)
            if len(self._keys) > self._cached_keys:
                self._keys.popitem(last=False)
        else:
            self._keys.move_to_end(client)
        return key

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
    revoked or expired. Raises ValueError for a name that stands twice, or an identity with more than KEYS keys.
    """

    def __init__(self, own: Iterable[Identity] = (), others: SharedToken | None = None) -> None:
        self._own: dict[str, Identity] = {}
        self._others = others
        for identity in own:
            if identity.name in self._own:
                raise ValueError(f"two identities are called {identity.name}")
            if len(identity.keys) > KEYS:
                raise ValueError(f"the identity {identity.name} has more than {KEYS} keys")
            self._own[identity.name] = identity
        self._nobodys = tuple(secrets.token_bytes(32) for _ in range(KEYS + 1))
        self.names_with_common_token = frozenset(
            name
            for name, identity in self._own.items()
            if others is not None and any(same(key, others.key_for(name)) for key in identity.keys)
        )
        """Names whose own token is the shared one. The server warns about them."""

    def __len__(self) -> int:
        """How many identities there are, those that are shut included."""
        return len(self._own)

    def __repr__(self) -> str:
        return f"<{len(self._own)} identities{'' if self._others is None else ' and a shared token'}>"

    def keys_for(self, client: str, now: float) -> tuple[bytes, ...]:
        """Return KEYS keys, any of which lets this client name in: the same number for every name, filled up with keys
        that nobody holds, and by the same steps, so that the time of an answer does not tell which names exist."""
        # Derived, or found in its cache, for names with an identity too, though they cannot use it.
        shared = self._nobodys[-1] if self._others is None else self._others.key_for(client)
        identity = self._own.get(client)
        if identity is None:
            keys: tuple[bytes, ...] = (shared,)
        else:
            keys = () if identity.shut(now) else identity.keys
        return (*keys, *self._nobodys)[:KEYS]

    def shut_out(self, client: str, key: bytes, now: float) -> str | None:
        """Say why a session of this client, which once proved `key`, may not go on; None if it may."""
        identity = self._own.get(client)
        if identity is None:
            shared = self._others is not None and same(key, self._others.key_for(client))
            return None if shared else "no such client is known any more"
        reason = identity.shut(now)
        if reason is None and not any(same(key, own) for own in identity.keys):
            reason = "its token is not valid any more"
        return reason

    def identity(self, client: str) -> Identity | None:
        """Return the identity of a name, a shut one too; None for a name that has none."""
        return self._own.get(client)

    def rights_for(self, client: str, now: float) -> Rights | None:
        """Return the rights of an authenticated client, None for one that may not come in (any more)."""
        identity = self._own.get(client)
        if identity is None:
            return None if self._others is None else self._others.rights
        return None if identity.shut(now) else identity.rights

    def next_expiry(self, now: float) -> float | None:
        """Return when the next identity expires, None if none will."""
        times = [each.expires for each in self._own.values() if each.expires is not None and each.expires > now]
        return min(times, default=None)

    def authenticated(self, client: str) -> bool:
        """See SharedToken.authenticated; of names with an identity see `names_with_common_token`."""
        return client not in self._own and self._others is not None and self._others.authenticated(client)
