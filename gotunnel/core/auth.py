"""What a token opens: keys for the handshake, and the rights of the client that proved it. Compares no MAC
and speaks no protocol (see wire.handshake)."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass

from gotunnel.address import MAX_PORT
from gotunnel.core.ports import PortSet, canonical_bind
from gotunnel.errors import PortUnavailable
from gotunnel.wire.handshake import derive_key

__all__ = ["OwnTokens", "Rights", "SharedToken"]

CACHED_KEYS = 1024
"""Keys that a shared token remembers. Anybody may send a hello with any name, so the cache must be
bounded."""


@dataclass(frozen=True, slots=True)
class Rights:
    """What one client may do. The three numbers are the `limits` of its auth_ok.

    `reserved` are the server's own ports. `binds` are the addresses it may listen on, None for any.
    """

    allow_ports: PortSet
    reserved: frozenset[int] = frozenset()
    max_mappings: int = 32
    max_legs: int = 2048
    max_visitors: int = 2000
    binds: frozenset[str] | None = None

    def __post_init__(self) -> None:
        if self.binds is not None:
            object.__setattr__(self, "binds", frozenset(canonical_bind(bind) for bind in self.binds))

    def check_port(self, bind: str, port: int) -> None:
        """Return if the client may listen on (bind, port). Raises PortUnavailable: bad_request for what is
        no address or port at all, reserved for the server's own ports, acl_denied for what its rights leave
        out."""
        if isinstance(port, bool) or not isinstance(port, int) or not 1 <= port <= MAX_PORT:
            raise PortUnavailable("bad_request", f"a remote port must lie between 1 and {MAX_PORT}")
        try:
            address = canonical_bind(bind)
        except ValueError as error:
            raise PortUnavailable("bad_request", str(error)) from None
        if port in self.reserved:
            raise PortUnavailable("reserved", f"port {port} is the server's own")
        if port not in self.allow_ports:
            raise PortUnavailable("acl_denied", f"port {port} is not allowed; allowed: {self.allow_ports}")
        if self.binds is not None and address not in self.binds:
            raise PortUnavailable("acl_denied", f"listening on {address or 'all addresses'} is not allowed")

    def check_room(self, held: int) -> None:
        """Return if a client that holds `held` mappings may have one more. Raises PortUnavailable, code
        limit."""
        if held >= self.max_mappings:
            raise PortUnavailable("limit", f"this client may publish {self.max_mappings} mappings")


class SharedToken:
    """One token for every client name, with one set of rights."""

    def __init__(self, token: str, rights: Rights, cached_keys: int = CACHED_KEYS) -> None:
        self._token = token
        self._rights = rights
        self._cached_keys = cached_keys
        self._keys: OrderedDict[str, bytes] = OrderedDict()
        self._first_name: str | None = None
        self._several = False

    def key_for(self, client: str) -> bytes | None:
        """Return K of the handshake for this client name."""
        key = self._keys.get(client)
        if key is None:
            key = self._keys[client] = derive_key(self._token, client)
            if len(self._keys) > self._cached_keys:
                self._keys.popitem(last=False)
        else:
            self._keys.move_to_end(client)
        return key

    def rights_for(self, client: str) -> Rights | None:
        """Return the rights of an authenticated client."""
        return self._rights

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


class OwnTokens:
    """A token and rights for each client name; other names may use a shared token, where there is one.

    A name with a token of its own is never let in by the shared one. Keys are derived at once, so that the
    time of an answer does not tell which names exist.
    """

    def __init__(self, clients: Mapping[str, tuple[str, Rights]], others: SharedToken | None = None) -> None:
        self._keys = {name: derive_key(token, name) for name, (token, _) in clients.items()}
        self._rights = {name: rights for name, (_, rights) in clients.items()}
        self._others = others
        names: dict[str, list[str]] = {}
        for name, (token, _) in clients.items():
            names.setdefault(token.strip(), []).append(name)
        several = {name for group in names.values() if len(group) > 1 for name in group}
        also_shared = {name for name, key in self._keys.items() if others and others.key_for(name) == key}
        self.names_with_common_token = frozenset(several | also_shared)
        """Names whose token serves another name too. The server warns about them when it starts."""

    def key_for(self, client: str) -> bytes | None:
        """Return K of the handshake for this client name, None for a name that may not come in."""
        key = self._keys.get(client)
        return self._others.key_for(client) if key is None and self._others is not None else key

    def rights_for(self, client: str) -> Rights | None:
        """Return the rights of an authenticated client, None for a name that is (no longer) known."""
        rights = self._rights.get(client)
        return self._others.rights_for(client) if rights is None and self._others is not None else rights

    def authenticated(self, client: str) -> bool:
        """See SharedToken.authenticated; of clients with a token of their own see
        `names_with_common_token`."""
        return client not in self._keys and self._others is not None and self._others.authenticated(client)
