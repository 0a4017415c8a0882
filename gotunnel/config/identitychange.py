"""The changes of identities in the clients file: add, give another token, enrol, revoke. Each function makes a change
that takes the file's content and returns the new one; `identityedit` reads, writes and locks the file."""

from __future__ import annotations

from collections.abc import Callable
from hmac import compare_digest
from typing import Any

from pydantic import SecretBytes

from gotunnel.config.identityfile import FileIdentity, JoinConfig
from gotunnel.errors import GotunnelError, Sentence

__all__ = [
    "Change", "ClientRefused", "added", "at_once", "begun", "dropped", "enrolled", "forgotten", "revoked", "rotated",
    "used",
]  # fmt: skip

Clients = tuple[FileIdentity, ...]
Change = Callable[[Clients], Clients]


class ClientRefused(GotunnelError):
    """The request does not fit the client's state; one line says why and what to do."""


def added(new: FileIdentity) -> Change:
    """Add a client. Its name must be new or revoked. Raises ClientRefused."""

    def change(clients: Clients) -> Clients:
        old = _find(clients, new.name)
        if old is not None and (old.keys or old.join is not None):
            cure = "`gotunnel client rotate` gives it another token, `gotunnel client revoke` ends it"
            raise ClientRefused(Sentence("there is a client {new} already: {cure}", new=new.name, cure=cure))
        return (*(client for client in clients if client.name != new.name), new)

    return change


def revoked(name: str) -> Change:
    """Remove all keys of a client. Its name stays taken, so that no shared token is valid for it."""
    return _changed(name, lambda client: _with(client, keys=(), join=None, expires=None))


def forgotten(name: str) -> Change:
    """Remove a client and its name."""

    def change(clients: Clients) -> Clients:
        _get(clients, name)
        return tuple(client for client in clients if client.name != name)

    return change


def rotated(
    name: str, key: bytes | None, join: JoinConfig | None, now: float, expires: float | None = None
) -> Change:
    """Give a client a second key, or a join token for one; the first key stays valid. `expires`, if given, limits the
    client's access (like `now`, in Unix seconds). Raises ClientRefused."""

    def rotate(client: FileIdentity) -> FileIdentity:
        client = _settled(_living(client, now, expires))
        if len(client.keys) > 1:
            cure = f"`gotunnel client rotate {name} --drop-old` ends the first, --at-once both"
            raise ClientRefused(Sentence(
                "the client {name} has two tokens already: {cure}", name=name, cure=cure
            ))
        if join is not None:
            return _with(client, join=join)
        assert key is not None
        # An unused join token is no longer wanted.
        return _with(client, keys=(*client.keys, key), join=None)

    return _changed(name, rotate)


def at_once(
    name: str, key: bytes | None, join: JoinConfig | None, now: float, expires: float | None = None
) -> Change:
    """The same, but the client's earlier keys become invalid at once."""

    def replace(client: FileIdentity) -> FileIdentity:
        client = _living(client, now, expires)
        return _with(client, keys=() if key is None else (key,), join=join)

    return _changed(name, replace)


def dropped(name: str) -> Change:
    """Remove the older of two keys. Raises ClientRefused."""

    def drop(client: FileIdentity) -> FileIdentity:
        if len(client.keys) == 1 and client.join is not None:
            raise ClientRefused(
                f"the second token of the client {name} is for a join, which has not taken place: paste its line "
                f"there, or `gotunnel client rotate {name} --at-once --print-join` ends both and makes another line"
            )
        if len(client.keys) < 2:
            raise ClientRefused(
                f"the client {name} has no older token: `gotunnel client rotate {name}` makes a second one first, "
                "--at-once ends the one that there is"
            )
        return _with(client, keys=client.keys[-1:])

    return _changed(name, drop)


def begun(name: str, proved: bytes, lasting: bytes) -> Change:
    """A client came with its join token: store the permanent key that is sent to it. From now on that is valid, like
    the join token. Raises ClientRefused if the join token is no longer valid."""

    def begin(client: FileIdentity) -> FileIdentity:
        join = client.join
        if join is None or not compare_digest(join.key.get_secret_value(), proved):
            raise ClientRefused(f"the join token of {name} is not valid any more")
        return _with(client, join=join.model_copy(update={"next": SecretBytes(lasting)}))

    return _changed(name, begin)


def enrolled(name: str, lasting: bytes) -> Change:
    """The client has stored its permanent key: remove the join token. An older permanent key stays until the new one is
    used, since a client with the older one may still run."""

    def enrol(client: FileIdentity) -> FileIdentity:
        if not _is_next(client, lasting):
            raise ClientRefused(f"the client {name} was changed meanwhile")
        return _with(client, keys=(*client.keys[-1:], lasting), join=None)

    return _changed(name, enrol)


def used(name: str, proved: bytes) -> Change:
    """A client has proved its newest key: remove all others. Nothing changes for another key."""

    def use(client: FileIdentity) -> FileIdentity:
        newest = len(client.keys) > 1 and compare_digest(client.keys[-1].get_secret_value(), proved)
        if newest or _is_next(client, proved):
            return _with(client, keys=(proved,), join=None)
        return client

    return _changed(name, use)


def _living(client: FileIdentity, now: float, expires: float | None) -> FileIdentity:
    """Return the client if a new token would let it in, with a new `expires` if given. Raises ClientRefused
    otherwise."""
    name = client.name
    if not client.keys and client.join is None:
        raise ClientRefused(f"the client {name} is revoked: `gotunnel client add {name}` makes it anew")
    if expires is not None:
        return _with(client, expires=expires)
    if client.expires is not None and now >= client.expires:
        cure = f"`gotunnel client rotate {name} --lasting --ttl 7d` lets it come back for that long"
        raise ClientRefused(Sentence("the client {name} has expired: {cure}", name=name, cure=cure))
    return client


def _settled(client: FileIdentity) -> FileIdentity:
    """Accept a client's only permanent key if it was sent but not confirmed: the client may have it."""
    join = client.join
    if client.keys or join is None or join.next is None:
        return client
    return _with(client, keys=(join.next,), join=None)


def _is_next(client: FileIdentity, key: bytes) -> bool:
    join = client.join
    return join is not None and join.next is not None and compare_digest(join.next.get_secret_value(), key)


def _changed(name: str, change: Callable[[FileIdentity], FileIdentity]) -> Change:
    def changed(clients: Clients) -> Clients:
        wanted = _get(clients, name)
        return tuple(change(client) if client is wanted else client for client in clients)

    return changed


def _get(clients: Clients, name: str) -> FileIdentity:
    found = _find(clients, name)
    if found is None:
        raise ClientRefused(f"there is no client {name} here: `gotunnel client list` shows them")
    return found


def _find(clients: Clients, name: str) -> FileIdentity | None:
    return next((client for client in clients if client.name == name), None)


def _with(client: FileIdentity, *, keys: tuple[Any, ...] | None = None, **values: Any) -> FileIdentity:
    if keys is not None:
        values["keys"] = tuple(key if isinstance(key, SecretBytes) else SecretBytes(key) for key in keys)
    # model_copy would not do: exclude_defaults depends on which fields are set, and all values must be validated.
    return FileIdentity.model_validate({**{name: getattr(client, name) for name in client.model_fields_set}, **values})
