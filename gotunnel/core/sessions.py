"""Which session of a client name is the current one, and who may take its place. Sends nothing, pings
nobody: it tells the caller what to do."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from enum import Enum
from typing import Generic, TypeVar

__all__ = ["Asked", "Decision", "SessionRecord", "SessionTable", "time_to_answer"]

T = TypeVar("T")

ANSWER = 2.0
"""Seconds that an old session has at most to answer a ping, and within which a client that comes back has its place."""
LEAST = 1.5
"""Seconds that it has at least, however long the newcomer's login took."""
TRAVEL = 0.25
"""Seconds of ANSWER that are left for what the server does not see: a newcomer who dials, and the answer on its way."""
FAR = 0.5
"""An old session whose last ping took longer than this has all of ANSWER."""
LAST_CHANCE = 0.5
"""Seconds for one that owes an answer for longer than ANSWER already: it may be this process that was stopped, and the
answer waits to be read."""


def time_to_answer(login: float, round_trip: float | None, owed: float) -> float:
    """Return how many seconds an old session is given to answer when another process claims its place.

    So that the newcomer waits no longer than ANSWER in all, his `login` (the seconds since he connected) is taken off.
    `round_trip` is that of the old session's last ping, None if there was none; `owed` how long its oldest unanswered
    ping is under way, 0 if none is.
    """
    if owed >= ANSWER:
        return LAST_CHANCE
    if round_trip is not None and round_trip > FAR:
        return ANSWER
    return max(LEAST, ANSWER - TRAVEL - login)


class Decision(Enum):
    """What to do with a session that has just proved its token."""

    NEW = "new"  # the name is free
    TAKE_OVER = "take_over"  # the current session makes way
    STALE = "stale"  # its challenge is older than the current session's: error/stale
    ASK_OLD = "ask_old"  # ping the current session, wait for `time_to_answer`, then call again with the answer
    NAME_IN_USE = "name_in_use"  # the current session lives, in another process: error/name_in_use


@dataclass(frozen=True, slots=True)
class Asked:
    """What became of ASK_OLD: which session was pinged, and whether it answered in time."""

    sid: bytes
    answered: bool


@dataclass(slots=True)
class SessionRecord(Generic[T]):
    """One session. `number` is the place of its challenge in the order of all; `session` is the caller's
    own object.

    `draining`: it has been asked, or has asked, to open nothing more. `lost`: its control connection is
    gone, and its listeners wait for a successor.
    """

    sid: bytes
    name: Hashable
    instance: bytes
    number: int
    session: T
    draining: bool = False
    lost: bool = False


class SessionTable(Generic[T]):
    """The current session of each name. A name is a client's, or any other key that identifies one: version 1
    sessions use (v1, name, remote port) and so never meet those of version 2.

    Every clean-up names a sid: what an old session does after it was replaced changes nothing of the new one.
    """

    def __init__(self) -> None:
        self._current: dict[Hashable, SessionRecord[T]] = {}
        self._by_sid: dict[bytes, SessionRecord[T]] = {}
        self._numbers = 0

    def __len__(self) -> int:
        return len(self._by_sid)

    def next_number(self) -> int:
        """Return the order number of a challenge. To be called when the challenge is sent."""
        self._numbers += 1
        return self._numbers

    def authenticated(
        self, name: Hashable, instance: bytes, number: int, asked: Asked | None = None
    ) -> Decision:
        """Decide about a session that has proved its token; changes nothing.

        `instance` is the process's random id; an empty one is never "the same". After ASK_OLD call again
        with `asked`: if another session has become the current one meanwhile, that answer is about nobody
        and the decision is anew.
        """
        current = self._current.get(name)
        if current is None:
            return Decision.NEW
        if number <= current.number:
            return Decision.STALE
        if current.draining or current.lost or (instance and instance == current.instance):
            return Decision.TAKE_OVER
        if asked is None or asked.sid != current.sid:
            return Decision.ASK_OLD
        return Decision.NAME_IN_USE if asked.answered else Decision.TAKE_OVER

    def begin(
        self, sid: bytes, name: Hashable, instance: bytes, number: int, session: T
    ) -> SessionRecord[T] | None:
        """Make a session the current one, after NEW or TAKE_OVER, and return the record that it replaces.

        The replaced one is found by `by_sid` no more: its key is dropped, and a new leg of it gets
        error/no_session. Raises ValueError for a sid that exists or a challenge older than the current
        session's.
        """
        old = self._current.get(name)
        if sid in self._by_sid or (old is not None and number <= old.number):
            raise ValueError("a session that may not begin: its sid exists, or its challenge is stale")
        if old is not None:
            del self._by_sid[old.sid]
        record = SessionRecord(sid, name, instance, number, session)
        self._current[name] = self._by_sid[sid] = record
        return old

    def current(self, name: Hashable) -> SessionRecord[T] | None:
        """Return the current session of a name, a draining or lost one included."""
        return self._current.get(name)

    def by_sid(self, sid: bytes) -> SessionRecord[T] | None:
        """Return the session that a leg names, if it is the current one of its name. It may be lost."""
        return self._by_sid.get(sid)

    def draining(self, sid: bytes) -> bool:
        """Note that a session drains: a successor needs no answer from it. False if it is not current."""
        record = self._by_sid.get(sid)
        if record is not None:
            record.draining = True
        return record is not None

    def lost(self, sid: bytes) -> bool:
        """Note that a control connection is gone; the session waits for its successor. False if it is not
        current."""
        record = self._by_sid.get(sid)
        if record is not None:
            record.lost = True
        return record is not None

    def ended(self, sid: bytes) -> bool:
        """Forget a session. True if it was current: then, and only then, its listeners are the caller's to
        close."""
        record = self._by_sid.pop(sid, None)
        if record is None:
            return False
        del self._current[record.name]
        return True
