"""Two ends of a leg against each other, without sockets: two queues of frames, a visitor and a target that may do what
they like, and the promises that must hold at every step."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import copy

from gotunnel.wire.legs import LegFrame
from gotunnel.wire.legstate import FRAME_EVENTS, TABLES, Act, End, Event, State, Table

__all__ = ["Broken", "Pair", "Step"]

Frame = tuple[LegFrame, int, int]
"""A frame in flight: its type, the visitor that it belongs to, and the number of its DATA."""
Step = Callable[["Pair"], None]

OTHER = {End.OPENER: End.DIALLER, End.DIALLER: End.OPENER}
SENT = {
    Act.SEND_OPEN: LegFrame.OPEN,
    Act.SEND_OPENED: LegFrame.OPENED,
    Act.SEND_DATA: LegFrame.DATA,
    Act.SEND_FIN: LegFrame.FIN,
    Act.SEND_RST: LegFrame.RST,
    Act.SEND_DONE: LegFrame.DONE,
    Act.SEND_PROBE: LegFrame.PROBE,
}


class Broken(AssertionError):
    """A promise of the contract does not hold."""


class Local:
    """A visitor or a target."""

    def __init__(self, tag: int) -> None:
        self.tag = tag
        self.sent = 0  # DATA that it gave
        self.received = 0
        self.eof = False  # it ended its direction
        self.ended = False  # it saw the end of the other one
        self.finishing = False


class LegMachine:
    """One end of one leg as its table alone has it."""

    def __init__(self, table: Table) -> None:
        self.table = table
        self.state = State.IDLE

    def on(self, event: Event) -> tuple[Act, ...]:
        """Move on and return what to do. Raises KeyError for what our own side cannot do in this state."""
        self.state, acts = self.table[self.state, event]
        return acts


class Side:
    """One end: the machine, its visitor or target, and what it has said so far."""

    def __init__(self, end: End, table: Table) -> None:
        self.end = end
        self.machine = LegMachine(table)
        self.queue: tuple[Frame, ...] = ()  # what it has sent and the other end not yet read
        self.local: Local | None = None
        self.tag = 0
        self.rst = False  # it has sent RST for this visitor
        self.dirty = False  # something went wrong with this visitor


class Pair:
    """A leg. `steps()` names what may happen next; each step checks what it touches."""

    def __init__(self, tables: Mapping[End, Table] = TABLES, visitors: int = 2, data: int = 1) -> None:
        self.sides = {end: Side(end, tables[end]) for end in End}
        self.visitors = visitors
        self.data = data
        self.cut = False
        self.results: dict[tuple[End, int], bool] = {}  # clean or not, of the visitors that are over
        self.ended_by: dict[tuple[End, int], int] = {}  # how much a local had sent when it ended its direction
        self.saw_end: frozenset[tuple[End, int]] = frozenset()

    def clone(self) -> Pair:
        """Return a copy that shares nothing that changes."""
        pair = copy(self)
        pair.sides = {}
        for end, side in self.sides.items():
            twin = copy(side)
            twin.machine = LegMachine(side.machine.table)
            twin.machine.state = side.machine.state
            twin.local = copy(side.local)
            pair.sides[end] = twin
        pair.results = dict(self.results)
        pair.ended_by = dict(self.ended_by)
        return pair

    def key(self) -> object:
        """Return what tells two situations apart."""
        return (
            self.cut,
            tuple(sorted((end.value, tag, clean) for (end, tag), clean in self.results.items())),
            tuple(
                (s.machine.state, s.queue, s.tag, s.rst, s.dirty, s.local and tuple(vars(s.local).values()))
                for s in self.sides.values()
            ),
        )

    def steps(self) -> dict[str, Step]:
        """Return everything that can happen now, by name."""
        found: dict[str, Step] = {}
        opener, dialler = self.sides[End.OPENER], self.sides[End.DIALLER]
        if not self.cut and opener.machine.state is State.IDLE:
            found["probe"] = lambda pair: pair.say(End.OPENER, Event.PROBE)
            if opener.tag < self.visitors:
                found["visitor"] = Pair.arrive
        if dialler.machine.state is State.DIALLING:
            found["answer"] = Pair.answer
            found["refuse"] = lambda pair: pair.spoil(End.DIALLER, Event.DIAL_FAILED)
        for end, side in self.sides.items():
            name = end.value
            if self.sides[OTHER[end]].queue and self._reads(side):
                found[f"{name} reads"] = lambda pair, end=end: pair.read(end)
            if side.machine.state is not State.CLOSED:
                found[f"{name} is cut off"] = lambda pair, end=end: pair.cut_off(end)
            local = side.local
            if local is None:
                continue
            found[f"{name}'s local is reset"] = lambda pair, end=end: pair.lose(end)
            if not local.eof:
                found[f"{name}'s local ends"] = lambda pair, end=end: pair.end(end)
                if local.sent < self.data:
                    found[f"{name}'s local gives"] = lambda pair, end=end: pair.give(end)
            if local.finishing:
                found[f"{name}'s local has finished"] = lambda pair, end=end: pair.finished(end)
        return found

    @staticmethod
    def _reads(side: Side) -> bool:
        dials = side.end is End.DIALLER and side.machine.state is State.DIALLING
        return side.machine.state is not State.CLOSED and not dials

    # What may happen.

    def arrive(self) -> None:
        """A visitor comes."""
        opener = self.sides[End.OPENER]
        opener.tag += 1
        opener.rst = opener.dirty = False
        self.say(End.OPENER, Event.START)
        opener.local = Local(opener.tag)

    def answer(self) -> None:
        """The target answers."""
        self.say(End.DIALLER, Event.DIALLED)
        self.sides[End.DIALLER].local = Local(self.sides[End.DIALLER].tag)

    def give(self, end: End) -> None:
        """A local sends."""
        local = self._local(end)
        local.sent += 1
        self.say(end, Event.LOCAL_DATA)

    def end(self, end: End) -> None:
        """A local ends its direction."""
        local = self._local(end)
        local.eof = True
        self.ended_by[end, local.tag] = local.sent
        self.say(end, Event.LOCAL_EOF)

    def lose(self, end: End) -> None:
        """A local is reset, at any time."""
        self.sides[end].local = None
        self.spoil(end, Event.LOCAL_LOST)
        if not self.sides[end].rst:
            raise Broken(f"the {end.value}'s local was reset, and nobody is told")

    def finished(self, end: End) -> None:
        """A local that was to finish has done so."""
        self.sides[end].local = None
        self.say(end, Event.LOCAL_CLOSED)

    def cut_off(self, end: End) -> None:
        """An end notices that the connection is gone; what the other one still has in its queue may reach it or not."""
        self.cut = True
        self.sides[OTHER[end]].queue = ()
        busy = self.sides[end].machine.state not in (State.IDLE, State.PROBING)
        self.spoil(end, Event.LEG_LOST)
        self._over(end, busy)
        if self.sides[end].local is not None or self.sides[end].machine.state is not State.CLOSED:
            raise Broken(f"a lost leg left the {end.value} or its local alive")

    def spoil(self, end: End, event: Event) -> None:
        """Something goes wrong with a visitor."""
        self.sides[end].dirty = True
        self.say(end, event)

    def read(self, end: End) -> None:
        """An end takes the next frame."""
        sender, side = self.sides[OTHER[end]], self.sides[end]
        (kind, tag, number), sender.queue = sender.queue[0], sender.queue[1:]
        idle = side.machine.state is State.IDLE
        if kind is LegFrame.OPEN:
            side.tag, side.rst, side.dirty = tag, False, False
        elif tag != side.tag and kind is not LegFrame.PROBE:
            raise Broken(f"{kind.name} of visitor {tag} reached the {end.value}, which serves {side.tag}")
        if kind is LegFrame.RST and not idle:
            side.dirty = True
        self.say(end, FRAME_EVENTS[kind], number)
        if kind is LegFrame.RST and side.local is not None and not (idle or side.local.tag != tag):
            raise Broken(f"the {end.value}'s local survived an RST")
        if kind is LegFrame.FIN and side.local is not None and not side.local.ended:
            raise Broken(f"the {end.value}'s local is not told that the stream ended")

    # What must hold then.

    def say(self, end: End, event: Event, number: int = 0) -> None:
        """Tell the machine, and do and check what it says."""
        for act in self.sides[end].machine.on(event):
            self._act(end, act, number)

    def _act(self, end: End, act: Act, number: int) -> None:
        side, other = self.sides[end], self.sides[OTHER[end]]
        local = side.local
        if act in SENT:
            kind = SENT[act]
            if side.rst and kind not in (LegFrame.DONE, LegFrame.OPEN, LegFrame.PROBE):
                raise Broken(f"{kind.name} behind RST")
            side.rst = side.rst or kind is LegFrame.RST
            numbered = local.sent if kind is LegFrame.DATA and local else 0
            if not self.cut:
                side.queue += ((kind, side.tag, numbered),)
        elif act is Act.DELIVER:
            if local is None or local.tag != side.tag or local.ended:
                raise Broken("DATA for a local that is not there, or had its end")
            local.received += 1
            if number != local.received:
                raise Broken(f"DATA {number} where {local.received} is due")
        elif act in (Act.HALF_CLOSE, Act.FINISH_LOCAL):
            self._end_of_stream(end, act)
        elif act is Act.ABORT_LOCAL:
            side.dirty = True
            side.local = None
        elif act is Act.IDLE:
            if side.local is not None and not (end is End.OPENER and side.local.finishing):
                raise Broken(f"the {end.value} is idle, and its local is not over")
            if not side.dirty and (end, side.tag) not in self.saw_end:
                raise Broken(f"the {end.value}'s local never saw the end of its stream")
            side.local = None
            self._over(end, True)
            if end is End.OPENER:
                self._free(side, other)
        elif act is Act.BREACH:
            raise Broken(f"two ends that keep the contract, and a breach at the {end.value}")
        elif act is Act.DIAL and side.local is not None:
            raise Broken("a dial while the last target is there")

    def _end_of_stream(self, end: End, act: Act) -> None:
        local = self._local(end)
        if self.ended_by.get((OTHER[end], local.tag)) != local.received:
            raise Broken(f"the {end.value}'s local sees a clean end after {local.received}, which is not all")
        local.ended = True
        self.saw_end |= {(end, local.tag)}
        if act is Act.FINISH_LOCAL:
            if not local.eof:
                raise Broken("a local is closed that has not ended its own direction")
            local.finishing = True

    def _over(self, end: End, served: bool) -> None:
        side = self.sides[end]
        if served and side.tag:
            if (end, side.tag) in self.results:
                raise Broken(f"visitor {side.tag} is over twice at the {end.value}")
            self.results[end, side.tag] = not side.dirty
            if end is End.OPENER and not side.dirty and not self.results.get((End.DIALLER, side.tag)):
                raise Broken("a clean end is reported that was none")

    def _free(self, opener: Side, dialler: Side) -> None:
        if not self.cut and dialler.machine.state is not State.IDLE:
            raise Broken(f"the opener is idle, the dialler is {dialler.machine.state.name}")
        if dialler.queue:
            raise Broken(f"the opener is idle, and {dialler.queue} is to come")
        if any(kind is not LegFrame.RST for kind, _, _ in opener.queue):
            raise Broken(f"the opener is idle, and {opener.queue} is to be read")

    def _local(self, end: End) -> Local:
        local = self.sides[end].local
        if local is None:
            raise Broken(f"the {end.value} has no local")
        return local

    def settle(self) -> None:
        """Let everything go on without more faults and visitors; both ends must come to rest."""
        calm = ("reads", "answer", "has finished", "local ends")
        for _ in range(200):
            steps = self.steps()
            if self.cut:
                steps = {name: step for name, step in steps.items() if name.endswith("is cut off")}
            else:
                steps = {name: step for name, step in steps.items() if name.endswith(calm)}
            if not steps:
                break
            next(iter(steps.values()))(self)
        states = {side.machine.state for side in self.sides.values()}
        if states != {State.CLOSED if self.cut else State.IDLE} or any(s.queue or s.local for s in self.sides.values()):
            raise Broken(f"the leg came to rest at {sorted(state.name for state in states)}")
        tags = range(1, self.sides[End.OPENER].tag + 1)
        told = {(end, tag) for end in End for tag in tags}
        if not self.cut and set(self.results) != told:
            raise Broken("the end of a visitor was not told")
