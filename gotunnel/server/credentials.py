"""Builds the table of identities from the configuration and the clients file. Compares no MACs."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from gotunnel.config.clients import RightsConfig
from gotunnel.config.identityfile import CLIENTS_FILE, FileIdentity, load_clients
from gotunnel.config.model import ServerConfig
from gotunnel.config.stamps import stamp
from gotunnel.core.identities import Identities, Identity, JoinKey, SharedToken
from gotunnel.core.ports import PortSet
from gotunnel.core.rights import Rights
from gotunnel.dialrules import DialRules
from gotunnel.errors import ConfigError, Problem, Sentence, printable
from gotunnel.wire.handshake import derive_key, same

__all__ = ["Credentials", "clients_path", "filed_clients"]


def clients_path(config: ServerConfig, state: Path) -> Path:
    """Return the path of the clients file, which may not exist. `state` is the state folder."""
    return config.clients_file or state / CLIENTS_FILE


def filed_clients(config: ServerConfig, state: Path) -> tuple[FileIdentity, ...]:
    """Return the clients of the clients file, or none if there is no file.

    Raises ConfigError if a server with this configuration would refuse the file.
    """
    path = clients_path(config, state)
    if stamp(path) is None:
        return ()
    clients = load_clients(path)
    Credentials(config, frozenset()).table(clients, path)
    return clients


class Credentials:
    """The identities and rights that one configuration defines; `table` adds those of the clients file.

    `reserved` are the server's own ports, which no client may publish.
    """

    def __init__(self, config: ServerConfig, reserved: frozenset[int]) -> None:
        self._config = config
        self._reserved = reserved
        self.others = self.rights_of(None)
        """The rights of a client without rights of its own."""
        shared = config.token
        self._others = None if shared is None else SharedToken(shared.get_secret_value(), self.others)
        self._own = [
            Identity(
                client.name,
                tuple(derive_key(token.get_secret_value(), client.name) for token in client.token),
                self.rights_of(client),
                client.disabled,
            )
            for client in config.clients
        ]

    def table(self, file: Iterable[FileIdentity] = (), path: Path = Path(CLIENTS_FILE)) -> Identities:
        """Return all identities, including those of the clients file at `path`. Raises ConfigError for a conflict."""
        v1 = self._config.v1.token
        names = {identity.name for identity in self._own}
        found = list(self._own)
        for client in file:
            if client.name in names:
                what = Sentence(
                    "the client {client} is listed here and under server.clients too", client=client.name
                )
                raise ConfigError([Problem(printable(path, 400), None, "", what, "remove one of the two")])
            identity = self._identity(client)
            if v1 is not None and _opens(v1.get_secret_value(), identity):
                what = Sentence(
                    "the token of the client {client} is that of server.v1 too, and crosses the wire in "
                    "clear",
                    client=client.name,
                )
                cure = "give one of the two another token"
                raise ConfigError([Problem(printable(path, 400), None, "", what, cure)])
            found.append(identity)
        return Identities(found, self._others)

    def _identity(self, client: FileIdentity) -> Identity:
        keys, join = tuple(key.get_secret_value() for key in client.keys), client.join
        joining = None
        if join is not None:
            following = None if join.next is None else join.next.get_secret_value()
            joining = JoinKey(join.key.get_secret_value(), join.expires, following)
        rights = self.rights_of(client)
        return Identity(client.name, keys, rights, client.disabled, client.expires, joining, filed=True)

    def rights_of(self, client: RightsConfig | None) -> Rights:
        """Return the rights of a client with this configuration; None for the defaults."""
        config, limits = self._config, self._config.limits
        own = RightsConfig() if client is None else client
        ports = config.allow_ports if own.allow_ports is None else own.allow_ports
        return Rights(
            PortSet.parse(ports),
            self._reserved,
            own.limits.mappings or limits.mappings,
            own.limits.legs or limits.legs,
            own.limits.visitors or limits.visitors,
            None if own.allow_bind is None else frozenset(own.allow_bind),
            own.limits.pending or limits.pending,
            DialRules.parse(config.allow_dial if own.allow_dial is None else own.allow_dial),
            config.allow_nodes if own.allow_nodes is None else own.allow_nodes,
            config.allow_groups if own.allow_groups is None else own.allow_groups,
            PortSet.parse(config.allow_udp_ports if own.allow_udp_ports is None else own.allow_udp_ports),
        )


def _opens(token: str, identity: Identity) -> bool:
    """Return whether a token is one of the identity's, including that of its join."""
    keys = identity.keys + (() if identity.join is None else identity.join.keys(0.0))
    return any(same(key, derive_key(token, identity.name)) for key in keys)
