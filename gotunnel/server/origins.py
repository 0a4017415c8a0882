"""Finds sessions by source address and by the server name of their legs. Admits nothing itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gotunnel.core.sources import source_of

if TYPE_CHECKING:
    from gotunnel.server.session import ServerSession

__all__ = ["LEG_SNI", "Origins"]

LEG_SNI = "legs.gotunnel"
"""The common suffix of the server names that `auth_ok` gives to clients for their legs."""


class Origins:
    """The sessions with a control connection, by source address and by the server name of their legs."""

    def __init__(self) -> None:
        self._at: dict[str, set[ServerSession]] = {}
        self._by_name: dict[str, ServerSession] = {}

    def add(self, session: ServerSession) -> None:
        """Add a session that has begun."""
        self._at.setdefault(source_of(session.host), set()).add(session)
        self._by_name[session.leg_sni] = session

    def discard(self, session: ServerSession) -> None:
        """Remove a session that has lost its control connection, if it is here."""
        source = source_of(session.host)
        there = self._at.get(source, set())
        there.discard(session)
        if not there:
            self._at.pop(source, None)
        self._by_name.pop(session.leg_sni, None)

    def live_at(self, host: str) -> bool:
        """Whether a client is connected from this address."""
        return source_of(host) in self._at

    def legs_expected_from(self, host: str) -> int:
        """The number of legs requested from sessions at this address: unauthenticated peers there are likely legs."""
        return sum(session.legs_expected for session in self._at.get(source_of(host), ()))

    def named(self, name: str | None) -> ServerSession | None:
        """Return the session whose legs use this server name, or None.

        The name is random, so other hosts cannot guess it, but anyone on the path can read it.
        """
        return None if name is None else self._by_name.get(name)
