"""Applies a changed configuration to a running server.

Everything that can fail is loaded and checked first. Then the change takes effect at once, also for connected clients.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from gotunnel.config.changes import key_lines, list_line
from gotunnel.config.difference import Difference
from gotunnel.config.identityfile import FileIdentity
from gotunnel.config.model import ServerConfig
from gotunnel.errors import Sentence, printable
from gotunnel.server.credentials import Credentials
from gotunnel.server.hub import Hub
from gotunnel.server.peer import Peer
from gotunnel.server.public import PublicPort
from gotunnel.server.reception import Reception

__all__ = ["ServerChange"]

MOST_NAMES = 8
"""The most names in one report line; above that, only their number is given."""


class ServerChange:
    """One prepared change. `clients` are those of the clients file at `path`.

    `prepare_tls` is given if there is TLS: it loads the new configuration's files and returns a function that applies
    them. Raises GotunnelError if the change cannot be used; nothing has changed then.
    """

    def __init__(
        self,
        hub: Hub,
        reception: Reception,
        found: Difference[ServerConfig],
        clients: Sequence[FileIdentity],
        path: Path,
        prepare_tls: Callable[[], Callable[[], None]] | None,
    ) -> None:
        self._hub = hub
        self._reception = reception
        self._found = found
        self._credentials = Credentials(found.config, hub.reserved)
        self._identities = self._credentials.table(clients, path)
        self._use_tls = prepare_tls() if prepare_tls is not None and found.touches("server.tls") else None

    def apply(self) -> list[str]:
        """Apply the change and return a report, one item per line.

        As with changes of the clients file, clients that may not stay are disconnected, and mappings that are no longer
        allowed are closed.
        """
        hub, found = self._hub, self._found
        connected, mappings = set(hub.connected), self._mappings()
        hub.use_config(found.config, self._credentials)
        self._reception.use(found.config)
        if self._use_tls is not None:
            self._use_tls()
        hub.identities_changed(self._identities)
        if hub.v1 is not None and found.config.v1.enabled:
            hub.v1.use(found.config.v1)
        lines = [
            list_line(key.removeprefix("server."), change) for key, change in found.lists.items() if change
        ] + key_lines(found)
        gone = sorted(session.peer.name for session in connected.difference(hub.connected))
        if gone:
            lines.append(Sentence("clients that may not stay: {gone}", gone=_names(gone)))
        closed = [name for name, allowed in mappings if not allowed()]
        if closed:
            lines.append(Sentence("mappings that are not allowed any more: {closed}", closed=_names(closed)))
        return lines

    def _mappings(self) -> list[tuple[str, Callable[[], bool]]]:
        return [
            (Sentence(
                "{mapping} of {peer}", mapping=mapping.name, peer=peer.name
            ), partial(_permitted, mapping, peer))
            for peer in self._hub.peers.values()
            for mapping in peer.mappings.values()
        ]


def _permitted(mapping: PublicPort, peer: Peer) -> bool:
    return mapping.permitted(peer.rights)


def _names(names: Sequence[str]) -> str:
    return ", ".join(map(printable, names)) if len(names) <= MOST_NAMES else str(len(names))
