"""Informs clients about mappings of other clients that their forwards may reach: an operator switched one off or on.

It mentions no mapping that the client may not reach. It does not report targets that go down or up, because then
another client could cause any number of messages.
"""

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
"""A mapping: its client and its name."""


class ForwardNews:
    """Part of the hub. Each session is informed once that a mapping is off, and once that it is on again."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._told: WeakKeyDictionary[ServerSession, set[Key]] = WeakKeyDictionary()

    def began(self, session: ServerSession) -> None:
        """A client has connected: inform it of the mappings that are off."""
        for key in self._hub.switched_off:
            self._off(session, key)

    def rights_changed(self) -> None:
        """The rights of clients may have changed: inform those that may reach a mapping only since it is off."""
        for session in self._hub.connected if self._hub.switched_off else ():
            self.began(session)

    def off(self, key: Key) -> None:
        """A mapping was switched off, or its client has just published it or shared it with others while it is off."""
        for session in self._hub.connected:
            self._off(session, key)

    def on(self, key: Key) -> None:
        """A mapping was switched on again."""
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
