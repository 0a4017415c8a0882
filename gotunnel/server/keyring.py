"""All whom the keys of clients are known to: the server's own two, and those that its configuration names beside them.
Compares no MAC; what an accepted client may do is in `guests`."""

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
"""How many one authenticator may return for a name: each costs every login an HMAC."""
_T = TypeVar("_T")


class _Ring:
    """One authenticator, fenced in: whatever it does lets nobody in. `config` is None for the server's own."""

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
        # Who cannot say whose a name is keeps it from all others.
        return self._asked("owns", lambda: bool(self.it.owns(client)), True)

    def keys(self, client: str, now: float) -> tuple[bytes, ...]:
        return self._asked("keys", lambda: self._checked(self.it.keys(client, now)), self.nobodys)

    def accept(self, client: str, key: bytes, now: float) -> Accepted | None:
        return self._asked("accept", lambda: _verdict(self.it.accept(client, key, now)), None)

    def version(self) -> object:
        return self._asked("version", lambda: self.it.version, None)

    def _checked(self, keys: Any) -> tuple[bytes, ...]:
        found = tuple(keys)
        if len(found) != self.size or not all(isinstance(key, bytes) and len(key) == 32 for key in found):
            raise TypeError(f"it did not answer with {self.size} keys of 32 bytes")
        return found

    def _asked(self, what: str, ask: Callable[[], _T], otherwise: _T) -> _T:
        try:
            answer = ask()
        except (Exception, SystemExit) as error:  # noqa: BLE001 - a plugin of somebody's: whatever it raises lets nobody in
            if what not in self._failed:
                self._failed.add(what)
                self.log.error(
                    "the authenticator {authenticator} failed in {method}, and lets no client in until it answers: "
                    "{error}",
                    authenticator="" if self.config is None else self.config.plugin, method=what,
                    error=type(error).__name__,  # what else it says might hold a key
                )  # fmt: skip
            return otherwise
        self._failed.discard(what)
        return answer


class Keyring:
    """Those of one server. Raises GotunnelError when one cannot be made."""

    def __init__(self, reactor: Any = None, configs: Iterable[AuthenticatorConfig] = (), before: Any = None) -> None:
        """Those that `before`, another Keyring, has of the same options are taken over."""
        known: list[_Ring] = [] if before is None else list(before._more)
        self._own: tuple[_Ring, ...] = ()
        self._more: list[_Ring] = []
        for config in configs:
            ring = next((each for each in known if each.config == config), None)
            if ring is None:
                ring = _Ring(made("keys", config, reactor), config)
            self._more.append(ring)

    def use(self, identities: Identities) -> None:
        """These are the server's own now."""
        shared = identities.shared
        self._own = (_Ring(IdentityKeys(identities)), *(() if shared is None else (_Ring(TokenKeys(shared)),)))

    @property
    def configs(self) -> list[AuthenticatorConfig]:
        """What those beside the server's own were made of."""
        return [ring.config for ring in self._more if ring.config is not None]

    @property
    def authenticators(self) -> list[Any]:
        """All of them, in the order in which they are asked."""
        return [ring.it for ring in self._rings]

    def opened_by(self, token: str) -> AuthenticatorConfig | None:
        """Return whom of those beside the server's own this token opens; only gotunnel's own can say so."""
        rings = (ring for ring in self._more if isinstance(ring.it, (IdentityKeys, TokenKeys)))
        return next((ring.config for ring in rings if ring.it.opened_by(token)), None)

    @property
    def _rings(self) -> tuple[_Ring, ...]:
        return (*self._own, *self._more)

    def keys_for(self, client: str, now: float) -> tuple[bytes, ...]:
        """Return the keys that let this client name in: the same number for every name, and by the same steps, so that
        the time of an answer does not tell which names exist. A name that is somebody's is opened by his keys alone."""
        owner = self._owner(client)
        found: list[bytes] = []
        for ring in self._rings:
            keys = ring.keys(client, now)  # of all, though not all count
            found += keys if owner is None or owner is ring else ring.nobodys
        return tuple(found)

    def accept(self, client: str, key: bytes, now: float) -> tuple[Accepted, AuthenticatorConfig | None] | None:
        """Return who accepts a client that has proved this key, and how; None: nobody does (any more)."""
        owner = self._owner(client)
        for ring in self._rings if owner is None else (owner,):
            accepted = ring.accept(client, key, now)
            if accepted is not None:
                return accepted, ring.config
        return None

    def of_another(self, client: str, by: AuthenticatorConfig | None) -> bool:
        """Whether a name belongs to somebody else than whom was made of `by` (None: the server's own)."""
        owner = self._owner(client)
        return owner is not None and owner.config is not by

    def owned(self, client: str) -> bool:
        """Whether a name belongs to somebody."""
        return self._owner(client) is not None

    def changed(self) -> bool:
        """Whether one beside the server's own says that it may answer in another way than when this was asked last."""
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
