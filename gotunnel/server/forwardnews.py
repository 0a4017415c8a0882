"""What clients are told of mappings of others that their forwards may lead to: that an operator of the server has
switched one off. Says nothing of a mapping that a client may not reach, and nothing that another client's doing could
repeat: targets that go and come would have each of them told each time."""

from __future__ import annotations

from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from gotunnel.core.view import SWITCHED_OFF
from gotunnel.wire.greeting import FORWARD_STATE
from gotunnel.wire.messages import MappingState

if TYPE_CHECKING:
    from gotunnel.server.hub import Hub
    from gotunnel.server.session import ServerSession

__all__ = ["ForwardNews"]

Key = tuple[str, str]
"""A mapping, by its client and its name."""


class ForwardNews:
    """Part of the hub. Each session hears once that a mapping is off, and once that it is on again."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._told: WeakKeyDictionary[ServerSession, set[Key]] = WeakKeyDictionary()

    def began(self, session: ServerSession) -> None:
        """A client has connected: what is off now?"""
        for key in self._hub.switched_off:
            self._off(session, key)

    def off(self, key: Key) -> None:
        """An operator has switched it off, or its client has just brought it while it is."""
        for session in self._hub.connected:
            self._off(session, key)

    def on(self, key: Key) -> None:
        """It is on again."""
        for session, told in tuple(self._told.items()):
            if key in told:
                told.discard(key)
                self._send(session, key, None)

    def _off(self, session: ServerSession, key: Key) -> None:
        told = self._told.get(session, ())
        if key not in told and FORWARD_STATE in session.caps and self._may_reach(session, key):
            self._told.setdefault(session, set()).add(key)
            self._send(session, key, SWITCHED_OFF)

    def _may_reach(self, session: ServerSession, key: Key) -> bool:
        owner, name = key
        peer = self._hub.peers.get(owner)
        mapping = None if peer is None else peer.mappings.get(name)
        rules, asker = session.peer.rights.allow_dial, session.peer.name
        return mapping is not None and mapping.admits(asker) and rules.allows_mapping(owner, name)

    def _send(self, session: ServerSession, key: Key, reason: str | None) -> None:
        if session in self._hub.connected:
            client, name = key
            session.control.send(MappingState(name, "up" if reason is None else "down", reason or "", client))
