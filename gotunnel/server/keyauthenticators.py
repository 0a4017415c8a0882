"""Authenticators that know the keys of clients: tables of identities, and shared tokens. See IKeyAuthenticator.

The server uses the same classes for the identities and the token of its own configuration.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zope.interface import implementer

from gotunnel.config.identityfile import FileIdentity, load_clients
from gotunnel.config.secretfile import Refused
from gotunnel.config.stamps import stamp
from gotunnel.config.token_source import token_in
from gotunnel.core.identities import KEYS, Identities, Identity, SharedToken
from gotunnel.core.logins import Accepted
from gotunnel.core.rights import NO_RIGHTS
from gotunnel.errors import ConfigError, Problem, printable
from gotunnel.interfaces import IKeyAuthenticator
from gotunnel.logs import Logger
from gotunnel.wire.handshake import derive_key, same

if TYPE_CHECKING:
    from gotunnel.config.keyoptions import IdentitiesOptions, SharedTokenOptions

__all__ = ["FiledIdentities", "FiledToken", "IdentityKeys", "TokenKeys"]

ANYBODY = Accepted()
"""The result for a client without any further information: no owner's name, and default rights."""


@implementer(IKeyAuthenticator)
class IdentityKeys:
    """Clients with keys of their own."""

    size = KEYS
    version: Any = None

    def __init__(self, table: Identities) -> None:
        self._table = table

    def owns(self, client: str) -> bool:
        """See IKeyAuthenticator."""
        return self._table.identity(client) is not None

    def keys(self, client: str, now: float) -> tuple[bytes, ...]:
        """See IKeyAuthenticator."""
        return self._table.keys_of(client, now)

    def accept(self, client: str, key: bytes, now: float) -> Accepted | None:
        """See IKeyAuthenticator."""
        identity = self._table.identity(client)
        if identity is None or self._table.shut_out(client, key, now) is not None:
            return None
        return self._accepted(identity, now)

    def _accepted(self, identity: Identity, now: float) -> Accepted:
        return Accepted(identity.name)

    def opened_by(self, token: str) -> bool:
        """Return whether this is the token of an identity here."""
        return any(
            same(key, derive_key(token, identity.name)) for identity in self._table for key in identity.keys
        )


class FiledIdentities(IdentityKeys):
    """The identities of a clients file that the server does not write.

    `version` checks whether the file has changed, and reads it again. If it is missing or invalid then, nobody is
    locked out. The constructor raises ConfigError.
    """

    def __init__(self, reactor: Any, options: IdentitiesOptions) -> None:
        self._file = _Watched("identities", options.file, lambda: self._take(load_clients(options.file)))

    def _take(self, clients: tuple[FileIdentity, ...]) -> None:
        self._clients = {client.name: client for client in clients}
        super().__init__(Identities(_identity(client) for client in clients))

    @property
    def version(self) -> int:
        """See IKeyAuthenticator."""
        return self._file.looked_at()

    def _accepted(self, identity: Identity, now: float) -> Accepted:
        left = None if identity.expires is None else identity.expires - now
        return Accepted(identity.name, seconds=left, rights=self._clients[identity.name])


def _identity(client: FileIdentity) -> Identity:
    # A client with only a one-time token cannot log in here: joining would have to write the file.
    keys = tuple(key.get_secret_value() for key in client.keys)
    return Identity(client.name, keys, NO_RIGHTS, client.disabled, client.expires)


class _Watched:
    """A file of an authenticator. `read` is called at once and after each change.

    The first call may raise ConfigError. Later errors are logged, and the previous content stays in use.
    """

    log = Logger()

    def __init__(self, authenticator: str, path: Path, read: Callable[[], None]) -> None:
        self._authenticator = authenticator
        self._path = path
        self._read = read
        self._seen = stamp(path)
        self._problem = ""
        self._reads = 1
        read()

    def looked_at(self) -> int:
        """Check for a change; return how often the file has been read."""
        found = stamp(self._path)
        if found != self._seen or self._problem:
            self._seen = found
            self._read_again()
        return self._reads

    def _read_again(self) -> None:
        try:
            self._read()
        except ConfigError as error:
            before, self._problem = self._problem, str(error)
            if before != self._problem:
                self.log.error(
                    "the file of the authenticator {authenticator} has changed but cannot be used; what was loaded "
                    "before stays in use: {problem}",
                    authenticator=self._authenticator, problem=printable(error.problems[0], 600),
                )  # fmt: skip
        else:
            self._reads += 1
            self._problem = ""
            self.log.info(
                "the file of the authenticator {authenticator} was read again: {path}",
                authenticator=self._authenticator, path=str(self._path),
            )  # fmt: skip


@implementer(IKeyAuthenticator)
class TokenKeys:
    """Clients that hold one token, under any name or those matching `names`."""

    size = 1
    version: Any = None

    def __init__(
        self, token: SharedToken, names: tuple[str, ...] = ("*",), accepted: Accepted | None = ANYBODY
    ) -> None:
        """`accepted` is the result for them; None refuses them."""
        self._token = token
        self._names = names
        self._accepted = accepted
        self._nobodys = secrets.token_bytes(32)

    def owns(self, client: str) -> bool:
        """See IKeyAuthenticator: no name is owned here."""
        return False

    def keys(self, client: str, now: float) -> tuple[bytes, ...]:
        """See IKeyAuthenticator."""
        key = self._token.key_for(client)  # for every name, so that the time is the same
        return (key,) if self._may(client) else (self._nobodys,)

    def accept(self, client: str, key: bytes, now: float) -> Accepted | None:
        """See IKeyAuthenticator."""
        return self._accepted if same(key, self._token.key_for(client)) and self._may(client) else None

    def _may(self, client: str) -> bool:
        return self._accepted is not None and any(fnmatchcase(client, pattern) for pattern in self._names)

    def opened_by(self, token: str) -> bool:
        """Return whether this is the token."""
        return same(derive_key(token, ""), self._token.key_for(""))


class FiledToken(TokenKeys):
    """The plugin `token`: a shared token in a file that the server does not write.

    `version` checks whether the file has changed. Clients that logged in with the previous token are then no longer
    accepted. The constructor raises ConfigError.
    """

    def __init__(self, reactor: Any, options: SharedTokenOptions) -> None:
        self._options = options
        self._file = _Watched("token", options.token_file, self._take)

    def _take(self) -> None:
        options = self._options
        try:
            token = token_in(options.token_file)
        except Refused as refused:
            found = Problem("configuration", None, "server.authenticators", refused.what, refused.cure)
            raise ConfigError([found]) from None
        accepted = None if options.disabled else Accepted("", rights=options)
        super().__init__(SharedToken(token, NO_RIGHTS), options.clients, accepted)

    @property
    def version(self) -> int:
        """See IKeyAuthenticator."""
        return self._file.looked_at()
