"""The table of a leg's life: each state and event against the prose of the contract, and two ends against each
other."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, replace

from twisted.trial.unittest import SynchronousTestCase

from gotunnel.errors import LocalProtocolError
from gotunnel.wire.legs import LegFrame
from gotunnel.wire.legstate import FRAME_EVENTS, TABLES, Act, End, Event, Row, State, Table

from .legpair import Broken, Pair


@dataclass(frozen=True)
class Picture:
    """What an end knows, in the words of the contract: is there a visitor, was the dial answered, and how the direction
    that it sends and the one that it receives stand (open, fin, rst)."""

    probing: bool = False
    visitor: bool = False
    answered: bool = False
    ours: str = "open"
    theirs: str = "open"
    closed: bool = False


IDLE = Picture()
CLOSED = Picture(closed=True)
DIALLING = Picture(visitor=True)
STREAM = Picture(visitor=True, answered=True)

BOTH = {
    State.IDLE: IDLE,
    State.DIALLING: DIALLING,
    State.STREAMING: STREAM,
    State.FIN_SENT: replace(STREAM, ours="fin"),
    State.FIN_RECEIVED: replace(STREAM, theirs="fin"),
    State.RST_SENT: replace(STREAM, ours="rst"),
    State.FINISHED: replace(STREAM, ours="fin", theirs="fin"),
    State.CLOSED: CLOSED,
}
PICTURES: dict[End, dict[State, tuple[Picture, ...]]] = {
    End.DIALLER: {state: (picture,) for state, picture in BOTH.items()},
    End.OPENER: {
        **{state: (picture,) for state, picture in BOTH.items()},
        State.PROBING: (Picture(probing=True),),
        State.DIALLING_FIN: (replace(DIALLING, ours="fin"),),
        State.DIALLING_RST: (replace(DIALLING, ours="rst"),),
        State.ABORTED: (replace(STREAM, ours="rst", theirs="fin"),),
        # Who is reset and has ended his own direction waits for DONE, whatever way he ended it.
        State.RESET: (replace(STREAM, ours="rst", theirs="rst"), replace(STREAM, ours="fin", theirs="rst")),
    },
}
"""The states by what they mean. A dialler whose two directions have ended is idle, but while its target finishes."""

Does = list[Act]
Verdict = tuple[Picture, Does] | None
"""What an end knows afterwards, and what it does; None: that cannot happen at this end."""

BREACH: Verdict = (CLOSED, [Act.ABORT_LOCAL, Act.BREACH])


def prose(end: End, now: Picture, event: Event) -> Verdict:
    """Say what the contract wants, from its prose alone: two directions and their endings."""
    if now.closed:
        return None
    if event is Event.LEG_LOST:
        return CLOSED, [Act.ABORT_LOCAL]
    if event in FRAME_EVENTS.values():
        return arrives(end, now, event)
    if event in (Event.START, Event.PROBE):
        if end is End.DIALLER or now.visitor or now.probing:
            return None
        return (DIALLING, [Act.SEND_OPEN]) if event is Event.START else (Picture(probing=True), [Act.SEND_PROBE])
    if event in (Event.DIALLED, Event.DIAL_FAILED):
        if end is End.OPENER or not now.visitor or now.answered:
            return None
        if event is Event.DIALLED:
            return STREAM, [Act.SEND_OPENED]
        return replace(STREAM, ours="rst"), [Act.SEND_RST]
    return local_says(end, now, event)


def local_says(end: End, now: Picture, event: Event) -> Verdict:
    """The visitor does something (always there until it is reset or closed), or the target (there once it answered)."""
    there = now.visitor and (now.answered or end is End.OPENER) and "rst" not in (now.ours, now.theirs)
    if not there:
        return None
    if event is Event.LOCAL_LOST:
        return over(end, replace(now, ours="rst"), [Act.SEND_RST])
    if event is Event.LOCAL_CLOSED:
        if (now.ours, now.theirs) != ("fin", "fin"):
            return None
        return (IDLE, [Act.SEND_DONE, Act.IDLE]) if end is End.DIALLER else (now, [])
    if now.ours != "open":
        return None
    if event is Event.LOCAL_DATA:
        return now, [Act.SEND_DATA]
    assert event is Event.LOCAL_EOF
    return replace(now, ours="fin"), [Act.SEND_FIN] + [Act.FINISH_LOCAL] * (now.theirs == "fin")


def arrives(end: End, now: Picture, event: Event) -> Verdict:
    """A frame arrives; in a wrong state it is a breach."""
    opener = end is End.OPENER
    if event is Event.GOT_PROBE:
        if opener:
            return (IDLE, [Act.PROBED]) if now.probing else BREACH
        return BREACH if now.visitor else (now, [Act.SEND_PROBE])
    if event is Event.GOT_OPEN:
        return BREACH if opener or now.visitor else (DIALLING, [Act.DIAL])
    if event is Event.GOT_OPENED:
        if not opener or not now.visitor or now.answered:
            return BREACH
        return replace(now, answered=True), [] if now.ours == "rst" else [Act.ANSWERED]
    if event is Event.GOT_DONE:
        ended = now.answered and "open" not in (now.ours, now.theirs)
        return (IDLE, [Act.IDLE]) if opener and ended else BREACH
    if event is Event.GOT_RST:
        return reset_arrives(end, now)
    if not now.answered or now.theirs != "open":
        return BREACH
    if event is Event.GOT_DATA:
        return now, [Act.DISCARD if now.ours == "rst" else Act.DELIVER]
    assert event is Event.GOT_FIN
    does = {"open": [Act.HALF_CLOSE], "fin": [Act.FINISH_LOCAL], "rst": []}[now.ours]
    return over(end, replace(now, theirs="fin"), does)


def reset_arrives(end: End, now: Picture) -> Verdict:
    """RST: also after FIN, once; the refusal of a dial; and what reaches an idle dialler is ignored."""
    if end is End.DIALLER:
        if not now.visitor:
            return now, []
        if not now.answered:
            return BREACH
    if not now.visitor or now.theirs == "rst":
        return BREACH
    does = [] if now.ours == "rst" else [Act.ABORT_LOCAL]
    after = replace(now, theirs="rst", answered=True)
    if now.ours == "open":
        after, does = replace(after, ours="rst"), [*does, Act.SEND_RST]
    return over(end, after, does)


def over(end: End, after: Picture, does: Does) -> Verdict:
    """DONE follows at once at the dialler when both directions have ended and no target has to finish."""
    ended = "open" not in (after.ours, after.theirs) and "rst" in (after.ours, after.theirs)
    if end is End.DIALLER and ended:
        return IDLE, [*does, Act.SEND_DONE, Act.IDLE]
    return after, does


class ProseTests(SynchronousTestCase):
    """The table says what the contract says."""

    def test_each_state_and_event(self) -> None:
        """At both ends, in every state, each event leads where the prose leads, and in the order of the prose; what is
        not in the table cannot happen at our own side."""
        checked = 0
        for end, states in PICTURES.items():
            meaning = {picture: state for state, pictures in states.items() for picture in pictures}
            for state, pictures in states.items():
                for event in Event:
                    row = TABLES[end].get((state, event))
                    for verdict in [prose(end, picture, event) for picture in pictures]:
                        wanted = verdict and (meaning[verdict[0]], tuple(verdict[1]))
                        self.assertEqual(row, wanted, f"{event.name} at the {end.value} in {state.name}")
                        checked += 1
        self.assertEqual(checked, (8 + 14) * len(Event))

    def test_no_other_states(self) -> None:
        """The table knows no state that has no meaning at its end, and leads to none."""
        for end, states in PICTURES.items():
            self.assertLessEqual({state for state, _ in TABLES[end]}, set(states))
            self.assertLessEqual({row[0] for row in TABLES[end].values()}, set(states))

    def test_each_frame_has_a_row(self) -> None:
        """Whatever the other end sends is defined, unless the leg is closed."""
        self.assertEqual(set(FRAME_EVENTS), set(LegFrame))
        for end, states in PICTURES.items():
            for state in set(states) - {State.CLOSED}:
                for event in [*FRAME_EVENTS.values(), Event.LEG_LOST]:
                    self.assertIn((state, event), TABLES[end])

    def test_calls_back_come_last(self) -> None:
        """IDLE lets the owner open at once, and FINISH_LOCAL may say LOCAL_CLOSED at once: each must be an end."""
        for table in TABLES.values():
            for _, acts in table.values():
                for act in (Act.IDLE, Act.FINISH_LOCAL, Act.DIAL, Act.ANSWERED, Act.PROBED):
                    self.assertNotIn(act, acts[:-1])


def explore(tables: Mapping[End, Table], visitors: int, data: int) -> int:
    """Try every interleaving, each situation once; return how many there are. Raises Broken with the way to it."""
    start = Pair(tables, visitors, data)
    came: dict[object, tuple[object, str]] = {start.key(): (None, "")}
    waiting = [start]
    while waiting:
        pair = waiting.pop()
        for name, step in pair.steps().items():
            after = pair.clone()
            try:
                step(after)
                key = after.key()
                if key in came:
                    continue
                came[key] = (pair.key(), name)
                after.clone().settle()
            except (Broken, LocalProtocolError) as broken:
                raise Broken(f"{broken} after: {', '.join([*path(came, pair.key()), name])}") from None
            waiting.append(after)
    return len(came)


def path(came: dict[object, tuple[object, str]], key: object) -> list[str]:
    """Return the steps that led somewhere."""
    steps: list[str] = []
    while True:
        before, name = came[key]
        if before is None:
            return steps[::-1]
        steps.append(name)
        key = before


def walk(tables: Mapping[End, Table], seed: int, length: int) -> int:
    """Take random steps with many visitors, then let all come to rest; return how many visitors came."""
    dice = random.Random(seed)
    pair = Pair(tables, visitors=1000, data=3)
    done: list[str] = []
    try:
        for _ in range(length):
            steps = pair.steps()
            names = [name for name in steps if not name.endswith("is cut off") or dice.random() < 0.002]
            if not names:
                break
            done.append(dice.choice(names))
            steps[done[-1]](pair)
        pair.settle()
    except (Broken, LocalProtocolError) as broken:
        raise Broken(f"{broken} (seed {seed}) after: {', '.join(done[-30:])}") from None
    return pair.sides[End.OPENER].tag


def changed(end: End, state: State, event: Event, row: Row) -> dict[End, Table]:
    """Return the tables with one row broken."""
    return {**TABLES, end: {**TABLES[end], (state, event): row}}


class PairTests(SynchronousTestCase):
    """Two ends that keep the contract, whatever visitors and targets do and however frames and events interleave: no
    frame reaches the next visitor, nothing is lost or comes twice, a clean end is one, and the leg comes to rest."""

    def test_every_interleaving(self) -> None:
        """All situations of one visitor after another, with and without DATA, faults and cuts at any time."""
        self.assertGreater(explore(TABLES, visitors=2, data=1), 3000)
        self.assertGreater(explore(TABLES, visitors=3, data=0), 3000)

    def test_long_walks(self) -> None:
        """Many visitors one after another on the same leg, at random."""
        visitors = [walk(TABLES, seed, 300) for seed in range(60)]
        self.assertGreater(sum(visitors), 600)

    def test_broken_tables_are_found(self) -> None:
        """The two tests above can fail: each of these mistakes in the table breaks one of their promises."""
        opener, dialler = End.OPENER, End.DIALLER
        mistakes: list[tuple[End, State, Event, Row]] = [
            # Idle before DONE: the next visitor meets the frames of the last one.
            (opener, State.FINISHED, Event.GOT_DONE, (State.FINISHED, ())),
            (opener, State.STREAMING, Event.GOT_RST, (State.IDLE, (Act.ABORT_LOCAL, Act.SEND_RST, Act.IDLE))),
            (opener, State.FIN_SENT, Event.GOT_FIN, (State.IDLE, (Act.FINISH_LOCAL, Act.IDLE))),
            # A late RST that kills the leg, or an RST that is not answered.
            (dialler, State.IDLE, Event.GOT_RST, (State.CLOSED, (Act.ABORT_LOCAL, Act.BREACH))),
            (opener, State.STREAMING, Event.GOT_RST, (State.RESET, (Act.ABORT_LOCAL,))),
            (opener, State.ABORTED, Event.GOT_RST, (State.CLOSED, (Act.ABORT_LOCAL, Act.BREACH))),
            # A reset that looks like a clean end, and a cut stream that looks complete.
            (opener, State.STREAMING, Event.LOCAL_LOST, (State.FIN_SENT, (Act.SEND_FIN,))),
            (dialler, State.FIN_SENT, Event.GOT_RST, (State.FINISHED, (Act.FINISH_LOCAL,))),
            (opener, State.FIN_SENT, Event.LEG_LOST, (State.CLOSED, (Act.FINISH_LOCAL,))),
            # DONE too early, twice, and never.
            (dialler, State.FIN_SENT, Event.GOT_FIN, (State.IDLE, (Act.FINISH_LOCAL, Act.SEND_DONE, Act.IDLE))),
            (dialler, State.RST_SENT, Event.GOT_RST, (State.IDLE, (Act.SEND_DONE, Act.SEND_DONE, Act.IDLE))),
            (dialler, State.FINISHED, Event.LOCAL_LOST, (State.IDLE, (Act.SEND_RST, Act.IDLE))),
            # A half-close that is not passed on, an end that is not told, a leg that does not die.
            (opener, State.STREAMING, Event.GOT_FIN, (State.FIN_RECEIVED, ())),
            (opener, State.RESET, Event.GOT_DONE, (State.IDLE, ())),
            (dialler, State.STREAMING, Event.LEG_LOST, (State.IDLE, (Act.ABORT_LOCAL,))),
            # RST twice.
            (opener, State.FIN_SENT, Event.LOCAL_LOST, (State.FIN_SENT, (Act.SEND_RST,))),
        ]
        for end, state, event, row in mistakes:
            with self.assertRaises(Broken, msg=f"{event.name} at the {end.value} in {state.name} -> {row}"):
                explore(changed(end, state, event, row), visitors=2, data=1)
