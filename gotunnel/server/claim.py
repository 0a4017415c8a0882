"""Decides which session has a client name when an authenticated login claims it, asking the old session if needed.

It sends nothing to the new client and does not admit it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from gotunnel.core.sessions import Asked, Decision, time_to_answer
from gotunnel.errors import Sentence
from gotunnel.wire.messages import Error

if TYPE_CHECKING:
    from gotunnel.server.hub import Hub
    from gotunnel.server.reception import Door

__all__ = ["claim", "refusal"]

RETRY_AFTER_RIVAL = 5.0
"""Seconds that a client is asked to wait if another one has its name."""


async def claim(
    hub: Hub, door: Door, name: str, instance: bytes, number: int, left: Callable[[], bool], *, rival: bool = True
) -> Decision:
    """Return the decision about the login that claims `name`.

    `number` is that of the login's challenge. `left` says whether it has disconnected meanwhile; only then is ASK_OLD
    returned. `rival` says that it wants to serve under that name, so the old client is warned if the name is in use.
    """
    sessions = hub.sessions
    decision = sessions.authenticated(name, instance, number)
    while decision is Decision.ASK_OLD and not left():
        old = sessions.current(name)
        if old is None:
            break
        control, login = old.session.control, hub.clock.seconds() - door.since
        answered = await control.answers(time_to_answer(login, control.round_trip, control.owed))
        decision = sessions.authenticated(name, instance, number, Asked(old.sid, answered))
        if decision is Decision.NAME_IN_USE and rival:
            old.session.rival(door.address)
    return decision


def refusal(decision: Decision, name: str) -> Error | None:
    """Return the error to send to the new client, or None if it is admitted."""
    if decision is Decision.STALE:
        return Error("stale", "a later connection of this client has come first")
    if decision is Decision.NAME_IN_USE:
        return Error(
            "name_in_use",
            Sentence(
                "another running client is called {name}; give each client a name of its own (client.name)",
                name=name,
            ),
            RETRY_AFTER_RIVAL,
        )
    return None
