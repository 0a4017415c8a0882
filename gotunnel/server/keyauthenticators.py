"""Whom the keys of clients are known to: tables of identities, and shared tokens. See IKeyAuthenticator; those of the
server's own configuration are made of the same."""

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
"""Nothing is known of who has come, and nothing is said of what he may do."""


@implementer(IKeyAuthenticator)
class IdentityKeys:
    """Those who have keys of their own."""

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
        """Whether a token is somebody's here."""
        return any(
            same(key, derive_key(token, identity.name)) for identity in self._table for key in identity.keys
        )


class FiledIdentities(IdentityKeys):
    """Those of a clients file that the server does not write: `version` looks whether it has changed, and reads it
    again. One that cannot be read then shuts nobody out, and neither does one that is gone. Raises ConfigError."""

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
    # Who has a one-time token alone is shut: joining writes the file.
    keys = tuple(key.get_secret_value() for key in client.keys)
    return Identity(client.name, keys, NO_RIGHTS, client.disabled, client.expires)


class _Watched:
    """A file of an authenticator, which `read` reads: at once, and whenever it has changed. Raises ConfigError at
    once, and later keeps what was read before."""

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
        """Look whether it has changed; return how often it was read."""
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
    """Whoever holds one token, by whatever name, or by one of `names`."""

    size = 1
    version: Any = None

    def __init__(
        self, token: SharedToken, names: tuple[str, ...] = ("*",), accepted: Accepted | None = ANYBODY
    ) -> None:
        """`accepted` is what becomes of them; None: they are shut out."""
        self._token = token
        self._names = names
        self._accepted = accepted
        self._nobodys = secrets.token_bytes(32)

    def owns(self, client: str) -> bool:
        """See IKeyAuthenticator: a name is nobody's here."""
        return False

    def keys(self, client: str, now: float) -> tuple[bytes, ...]:
        """See IKeyAuthenticator."""
        key = self._token.key_for(client)  # for all, so that the time is the same
        return (key,) if self._may(client) else (self._nobodys,)

    def accept(self, client: str, key: bytes, now: float) -> Accepted | None:
        """See IKeyAuthenticator."""
        return self._accepted if same(key, self._token.key_for(client)) and self._may(client) else None

    def _may(self, client: str) -> bool:
        return self._accepted is not None and any(fnmatchcase(client, pattern) for pattern in self._names)

    def opened_by(self, token: str) -> bool:
        """Whether it is this token."""
        return same(derive_key(token, ""), self._token.key_for(""))


class FiledToken(TokenKeys):
    """The plugin `token`: its token stands in a file that the server does not write, and `version` looks whether that
    has changed. Who has come by the former token is not known any more then. Raises ConfigError."""

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
