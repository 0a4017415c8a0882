"""All authenticators that know client keys: the server's own two, and those named in the configuration.

It compares no MACs. The rights of accepted clients are in `guests`.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from gotunnel.config.plugged import AuthenticatorConfig
from gotunnel.core.identities import Identities
from gotunnel.core.logins import Accepted
from gotunnel.errors import GotunnelError, Sentence, printable
from gotunnel.logs import Logger
from gotunnel.net.plugged import made
from gotunnel.server.keyauthenticators import IdentityKeys, TokenKeys

__all__ = ["MOST_KEYS", "Keyring"]

MOST_KEYS = 8
"""The most keys one authenticator may return for a name: each key costs an HMAC per login."""
_T = TypeVar("_T")


class _Ring:
    """One authenticator, with its errors contained: a failure admits nobody. `config` is None for the server's own."""

    log = Logger()

    def __init__(self, authenticator: Any, config: AuthenticatorConfig | None = None) -> None:
        self.it = authenticator
        self.config = config
        self.size: Any = getattr(authenticator, "size", None)
        if type(self.size) is not int or not 1 <= self.size <= MOST_KEYS:
            name, most = "" if config is None else config.plugin, MOST_KEYS
            raise GotunnelError(Sentence(
                "the authenticator {name} has no size from 1 to {most}; its author has to correct it",
                name=name, most=most,
            ))
        self.nobodys = tuple(secrets.token_bytes(32) for _ in range(self.size))
        self._failed: set[str] = set()
        self.seen = self.version()

    def owns(self, client: str) -> bool:
        """See IKeyAuthenticator."""
        # If it fails, assume that it owns the name, so that no other authenticator admits it.
        return self._asked("owns", lambda: bool(self.it.owns(client)), True)

    def keys(self, client: str, now: float) -> tuple[bytes, ...]:
        """See IKeyAuthenticator; after a failure, keys that nobody holds."""
        return self._asked("keys", lambda: self._checked(self.it.keys(client, now)), self.nobodys)

    def accept(self, client: str, key: bytes, now: float) -> Accepted | None:
        """See IKeyAuthenticator; after a failure, None."""
        return self._asked("accept", lambda: _verdict(self.it.accept(client, key, now)), None)

    def version(self) -> object:
        """See IKeyAuthenticator."""
        return self._asked("version", lambda: self.it.version, None)

    def _checked(self, keys: Any) -> tuple[bytes, ...]:
        found = tuple(keys)
        if len(found) != self.size or not all(isinstance(key, bytes) and len(key) == 32 for key in found):
            raise TypeError(f"it did not answer with {self.size} keys of 32 bytes")
        return found

    def _asked(self, what: str, ask: Callable[[], _T], otherwise: _T) -> _T:
        try:
            answer = ask()
        except (Exception, SystemExit) as error:  # noqa: BLE001 - third-party plugin: whatever it raises admits nobody
            if what not in self._failed:
                self._failed.add(what)
                self.log.error(
                    "the authenticator {authenticator} failed in {method}, and lets no client in until it answers: "
                    "{error}",
                    authenticator="" if self.config is None else self.config.plugin, method=what,
                    error=type(error).__name__,  # its text might contain a key
                )  # fmt: skip
            return otherwise
        self._failed.discard(what)
        return answer


class Keyring:
    """The authenticators of one server. Raises GotunnelError if one cannot be made."""

    def __init__(self, reactor: Any = None, configs: Iterable[AuthenticatorConfig] = (), before: Any = None) -> None:
        """Authenticators of `before`, another Keyring, are reused if their options are the same."""
        known: list[_Ring] = [] if before is None else list(before._more)
        self._own: tuple[_Ring, ...] = ()
        self._more: list[_Ring] = []
        for config in configs:
            ring = next((each for each in known if each.config == config), None)
            if ring is None:
                ring = _Ring(made("keys", config, reactor), config)
            self._more.append(ring)

    def use(self, identities: Identities) -> None:
        """Set the server's own identities and shared token."""
        shared = identities.shared
        self._own = (_Ring(IdentityKeys(identities)), *(() if shared is None else (_Ring(TokenKeys(shared)),)))

    @property
    def configs(self) -> list[AuthenticatorConfig]:
        """The configurations of the additional authenticators."""
        return [ring.config for ring in self._more if ring.config is not None]

    @property
    def authenticators(self) -> list[Any]:
        """All authenticators, in the order in which they are asked."""
        return [ring.it for ring in self._rings]

    def opened_by(self, token: str) -> AuthenticatorConfig | None:
        """Return the configuration of an additional authenticator that accepts this token, or None.

        Only gotunnel's own classes can be asked this.
        """
        rings = (ring for ring in self._more if isinstance(ring.it, (IdentityKeys, TokenKeys)))
        return next((ring.config for ring in rings if ring.it.opened_by(token)), None)

    @property
    def _rings(self) -> tuple[_Ring, ...]:
        return (*self._own, *self._more)

    def keys_for(self, client: str, now: float) -> tuple[bytes, ...]:
        """Return the keys that admit this client name. If an authenticator owns the name, only its keys do.

        The number of keys and the steps are the same for each name, so that timing does not reveal which names exist.
        """
        owner = self._owner(client)
        found: list[bytes] = []
        for ring in self._rings:
            keys = ring.keys(client, now)  # ask all, even if the result is not used
            found += keys if owner is None or owner is ring else ring.nobodys
        return tuple(found)

    def accept(self, client: str, key: bytes, now: float) -> tuple[Accepted, AuthenticatorConfig | None] | None:
        """Return how a client that has proved this key is accepted, and by which authenticator; None if by none."""
        owner = self._owner(client)
        for ring in self._rings if owner is None else (owner,):
            accepted = ring.accept(client, key, now)
            if accepted is not None:
                return accepted, ring.config
        return None

    def of_another(self, client: str, by: AuthenticatorConfig | None) -> bool:
        """Return whether the name is owned by an authenticator other than that of `by` (None: the server's own)."""
        owner = self._owner(client)
        return owner is not None and owner.config is not by

    def owned(self, client: str) -> bool:
        """Return whether an authenticator owns the name."""
        return self._owner(client) is not None

    def changed(self) -> bool:
        """Return whether an additional authenticator reports that its answers may have changed since the last call."""
        changed = False
        for ring in self._more:
            version = ring.version()
            changed = changed or version != ring.seen
            ring.seen = version
        return changed

    def _owner(self, client: str) -> _Ring | None:
        owners = [ring for ring in self._rings if ring.owns(client)]
        return owners[0] if owners else None


def _verdict(answer: Any) -> Accepted | None:
    if answer is not None and not isinstance(answer, Accepted):
        raise TypeError(f"it answered with a {printable(type(answer).__name__)}")
    return answer
