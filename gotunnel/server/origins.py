"""Where the sessions of a server come from, and by what their legs are told in a crowd. Admits nobody itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gotunnel.core.sources import source_of

if TYPE_CHECKING:
    from gotunnel.server.session import ServerSession

__all__ = ["LEG_SNI", "Origins"]

LEG_SNI = "legs.gotunnel"
"""The end of the server names that `auth_ok` gives to clients for their legs."""


class Origins:
    """The sessions with a control connection, by address and by the server name of their legs."""

    def __init__(self) -> None:
        self._at: dict[str, set[ServerSession]] = {}
        self._by_name: dict[str, ServerSession] = {}

    def add(self, session: ServerSession) -> None:
        """It has begun."""
        self._at.setdefault(source_of(session.host), set()).add(session)
        self._by_name[session.leg_sni] = session

    def discard(self, session: ServerSession) -> None:
        """Its control connection is gone, unless it never began."""
        source = source_of(session.host)
        there = self._at.get(source, set())
        there.discard(session)
        if not there:
            self._at.pop(source, None)
        self._by_name.pop(session.leg_sni, None)

    def live_at(self, host: str) -> bool:
        """Whether a client is connected from there."""
        return source_of(host) in self._at

    def legs_expected_from(self, host: str) -> int:
        """How many legs were asked for from sessions at this address: strangers from there are likely to be legs."""
        return sum(session.legs_expected for session in self._at.get(source_of(host), ()))

    def named(self, name: str | None) -> ServerSession | None:
        """Return the session whose legs ask for this server name. It is random, so a neighbour cannot know it; who is
        on the path can read it."""
        return None if name is None else self._by_name.get(name)
