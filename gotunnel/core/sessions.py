"""Keeps the current session of each client name, and decides which session may take its place.

It sends nothing and pings nobody: it tells the caller what to do.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from enum import Enum
from typing import Generic, TypeVar

__all__ = ["Asked", "Decision", "SessionRecord", "SessionTable", "time_to_answer"]

T = TypeVar("T")

ANSWER = 2.0
"""The most seconds an old session has to answer a ping, and within which a returning client gets its place."""
LEAST = 1.5
"""The least seconds an old session has to answer, however long the new session's login took."""
TRAVEL = 0.25
"""The part of ANSWER, in seconds, that covers what the server cannot see: the newcomer's dial, and the answer's way."""
FAR = 0.5
"""An old session whose last round trip took more seconds than this gets all of ANSWER."""
LAST_CHANCE = 0.5
"""Seconds for an old session that has already owed an answer for longer than ANSWER: perhaps this process was
suspended, and the answer is waiting to be read."""


def time_to_answer(login: float, round_trip: float | None, owed: float) -> float:
    """Return how many seconds an old session has to answer when another process claims its name.

    `login`, the seconds since the newcomer connected, is deducted, so that it waits no longer than ANSWER in all.
    `round_trip` is that of the old session's last ping, or None. `owed` is the age of its oldest unanswered ping, or 0.
    """
    if owed >= ANSWER:
        return LAST_CHANCE
    if round_trip is not None and round_trip > FAR:
        return ANSWER
    return max(LEAST, ANSWER - TRAVEL - login)


class Decision(Enum):
    """What to do with a session that has just authenticated."""

    NEW = "new"  # the name is free
    TAKE_OVER = "take_over"  # the new session replaces the current one
    STALE = "stale"  # its challenge is older than the current session's: answer error/stale
    ASK_OLD = "ask_old"  # ping the current session, wait for `time_to_answer`, then call again with the answer
    NAME_IN_USE = "name_in_use"  # the current session is alive, in another process: answer error/name_in_use


@dataclass(frozen=True, slots=True)
class Asked:
    """The result of ASK_OLD: which session was pinged, and whether it answered in time."""

    sid: bytes
    answered: bool


@dataclass(slots=True)
class SessionRecord(Generic[T]):
    """One session. `number` is the sequence number of its challenge; `session` is the caller's own object.

    `draining` means that it was asked, or has asked, to open nothing more. `lost` means that its control connection
    has closed and its listeners wait for a successor.
    """

    sid: bytes
    name: Hashable
    instance: bytes
    number: int
    session: T
    draining: bool = False
    lost: bool = False


class SessionTable(Generic[T]):
    """The current session of each name.

    A name is a client's name, or another key: version 1 sessions use (v1, name, remote port) and so never conflict with
    version 2. Each clean-up names a sid, so that a replaced session cannot affect its successor.
    """

    def __init__(self) -> None:
        self._current: dict[Hashable, SessionRecord[T]] = {}
        self._by_sid: dict[bytes, SessionRecord[T]] = {}
        self._numbers = 0

    def __len__(self) -> int:
        return len(self._by_sid)

    def next_number(self) -> int:
        """Return the sequence number of a challenge. Call this when the challenge is sent."""
        self._numbers += 1
        return self._numbers

    def authenticated(
        self, name: Hashable, instance: bytes, number: int, asked: Asked | None = None
    ) -> Decision:
        """Decide about a session that has authenticated; changes nothing.

        `instance` is the process's random id; an empty one never equals another. After ASK_OLD, call again with
        `asked`. If a different session has become current meanwhile, that answer is ignored and the decision is made
        anew.
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
        """Make a session the current one, after NEW or TAKE_OVER, and return the record it replaces.

        `by_sid` no longer finds the replaced one: its key is dropped, and new legs for it get error/no_session. Raises
        ValueError for a sid that exists, or a challenge older than the current session's.
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
        """Return the current session of a name, even if it is draining or lost."""
        return self._current.get(name)

    def by_sid(self, sid: bytes) -> SessionRecord[T] | None:
        """Return the session that a leg names if it is the current one of its name. It may be lost."""
        return self._by_sid.get(sid)

    def draining(self, sid: bytes) -> bool:
        """Mark a session as draining: a successor need not wait for its answer. False if it is not current."""
        record = self._by_sid.get(sid)
        if record is not None:
            record.draining = True
        return record is not None

    def lost(self, sid: bytes) -> bool:
        """Mark a session as having lost its control connection, awaiting a successor. False if it is not current."""
        record = self._by_sid.get(sid)
        if record is not None:
            record.lost = True
        return record is not None

    def ended(self, sid: bytes) -> bool:
        """Forget a session. Returns True if it was current; only then must the caller close its listeners."""
        record = self._by_sid.pop(sid, None)
        if record is None:
            return False
        del self._current[record.name]
        return True
