"""Plays one random script on a leg of the fast relay, whichever classes it is made of, and writes down everything that
can be seen of it. Two legs that are the same to the outside have played the same to the last word."""

from __future__ import annotations

import random
import select
import socket
from collections.abc import Callable
from typing import Any, NamedTuple

from twisted.internet.task import Clock
from twisted.logger import globalLogPublisher

from gotunnel.net.fast.flow import FastFlow
from gotunnel.net.fast.tools import Tools
from gotunnel.net.pathwatch import PathWatch
from gotunnel.wire.legstate import End, State
from tests.net.twinacts import Acts
from tests.net.twinwire import Tcp, Tls, shaken

__all__ = ["SPINNING", "Kind", "Play"]

SPINNING = "it is told again and again"
SMALL = 4608
"""Bytes that the kernel has at least for a socket."""
CALLBACKS = (
    "leg_open", "leg_answered", "leg_first_byte", "leg_probed", "leg_abandoned", "leg_ended", "leg_idle", "leg_lost",
)  # fmt: skip


class Kind(NamedTuple):
    """What a leg is made of."""

    pump: Callable[[], Any]
    deadlines: Callable[[Any], Any]
    local: Callable[..., Any]
    leg: Callable[..., Any]


class Play(Acts):
    """One script. `run` returns what was seen, a line for everything that was said and one for each state of things."""

    def __init__(self, seed: int, kind: Kind, tls: Tls | None, end: End) -> None:
        super().__init__()
        self.kind, self.end = kind, end
        self.chance = random.Random(seed)
        self.seen: list[str] = []
        self.faulty = self.chance.random() < 0.3  # an owner with bugs
        self.hostile = self.chance.choice((0, 0, 0, 0.1))  # how often the other end is
        self.small = self.chance.random() < 0.4
        self.held = self.chance.choice((0.0, 0.2, 0.9))  # how often a visitor is
        self.reads = self.chance.choice((0.3, 5.0))  # how often the other end of the leg does
        self.clock = Clock()
        self.pump = kind.pump()
        self.pump.keeps_time = False  # the clock of the script does, for both
        self.tools = Tools(self.clock, self.pump, PathWatch(self.clock), 10.0)
        self.tools.deadlines = kind.deadlines(self.clock)
        self.others: set[Any] = set()
        self.local: Any = None  # the last one
        self.far: socket.socket | None = None
        self.fars: list[socket.socket] = []
        self.queue: list[Any] = []  # visitors who wait
        self.visitors = 0
        near, self.wire = self._pair()
        self.tcp = Tcp(near, self.clock, self.say)
        self.peer = None
        transport: Any = self.tcp
        if tls is not None:
            transport, self.peer = shaken(tls, self.tcp, self.wire, end is End.OPENER)
        globalLogPublisher.addObserver(self._logged)
        self.leg = kind.leg(self.tools, transport, end, self, tls is None)
        self.leg.begin(b"")

    # What is written down.

    def say(self, *words: Any) -> None:
        """Write a line."""
        self.seen.append(" ".join(map(str, words)))

    def _logged(self, event: Any) -> None:
        if str(event.get("log_namespace")).startswith("gotunnel"):
            failure = event.get("log_failure")
            self.say("log", event["log_level"].name, event["log_format"], failure and repr(failure.value))

    def _look(self) -> None:
        leg, local = self.leg, self.local
        self.say(
            "leg", leg.state.name, leg._mask, len(leg._out), leg._unsent(), leg._left, len(leg._inbuf), leg.carried,
            [int(x) for x in (leg._full, leg._blocked, leg._dialling, leg._held, leg._limited, leg._unhurried,
                              leg._corked, leg._parsing, leg._watched, leg._up is None, leg._meter is None)],
            leg._fd >= 0, leg._rst_code, len(leg._begins), leg._reason, leg.opens, leg.unfinished,
        )  # fmt: skip
        tools = self.tools
        self.say("heard", self.leg.last_received,
                 sorted(due for running in tools.deadlines._by_length.values() for due, _ in running.values()))
        self.say("relay", len(tools.deadlines), len(tools.watch._watched), len(self.others), len(tools.pipes._free),
                 len(self.clock.getDelayedCalls()), len(self.heard), hash(bytes(self.heard)),
                 len(self.plain), hash(bytes(self.plain)))  # fmt: skip
        if isinstance(local, FastFlow):
            self.say("flow", local.gone, local.reading, len(local._queue))
        elif local is not None:
            self.say(
                "local", local._mask, len(local._out), local.leg is leg, local is leg._local, local.blocked, local.told,
                [int(x) for x in (local.reading, local.read_ended, local.begins, local.finishing, local.gone,
                                  local._half_closing, local._looked_at, local._shut, local.pipe is None)],
            )  # fmt: skip

    # The owner of the leg.

    def __getattr__(self, name: str) -> Any:
        if name not in CALLBACKS:
            raise AttributeError(name)
        return lambda leg, *more: self._told(name, *more)

    def _told(self, name: str, *more: Any) -> None:
        self.say(name, self.leg.state.name, *more)
        luck = self.chance.random()
        if name in ("leg_open", "leg_idle") and luck > 0.97:
            self.leg.close()
        elif name == "leg_open":
            if luck < 0.7:
                self._answer()
            elif luck < 0.8:
                self.leg.refuse("refused")
        elif name == "leg_idle" and self.end is End.OPENER:
            self._serve()
        elif luck < 0.01 and name != "leg_lost":
            self.leg.close()
        elif luck < 0.03:
            self.leg.reset("kicked")
        if self.faulty and self.chance.random() < 0.1:
            raise RuntimeError(f"a bug in {name}")

    def _answer(self) -> None:
        local = self._new_local()
        if not isinstance(local, FastFlow) and self.chance.random() < 0.2:
            local.begin_with(b"PROXY of whom\r\n" * self.chance.choice((1, 800)))
        self.leg.accept(local, self.chance.random() < 0.5)

    def _serve(self) -> None:
        if self.queue and self.leg.state is State.IDLE:
            local, self.far = self.queue.pop(0)
            self.local = local
            begins = self.chance.choice((b"", b"", b"", b"who it is"))
            body = b'{"visitor":%d}' % self.visitors + b" " * self.chance.choice((0, 3_000))
            self.leg.open(local, body, self.chance.random() < self.held, begins)

    # Connections.

    def _pair(self) -> tuple[socket.socket, socket.socket]:
        near, far = socket.socketpair()
        for each in (near, far):
            each.setblocking(False)
            if self.small:
                each.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SMALL)
        return near, far

    def _new_local(self) -> Any:
        self.visitors += 1
        self.to_far = b""
        if self.chance.random() < 0.1:
            self.far = None
            self.local = FastFlow(
                self.clock, self, 60.0, "192.0.2.7:5000", "192.0.2.7", "", lambda drop: self.say(drop), True
            )
            return self.local
        near, self.far = self._pair()
        self.fars.append(self.far)
        self.local = self.kind.local(near, f"x:{self.visitors}", "x", self.tools, self.others)
        self.others.add(self.local)
        number = self.visitors
        self.local.on_gone = lambda: self.say("gone", number)
        return self.local

    def send(self, datagram: bytes) -> None:
        """The outlet of a flow."""
        if self.chance.random() < 0.05:
            raise ConnectionRefusedError
        self.say("datagram", len(datagram))

    def close(self) -> None:
        """The same."""
        self.say("the flow is closed")

    # The script.

    def run(self, steps: int) -> list[str]:
        """Play it."""
        acts = self.acts()
        try:
            for _ in range(steps):
                (act,) = self.chance.choices([act for act, _ in acts], [weight for _, weight in acts])
                self.say("--", act.__name__)
                self._do(act)
                if self.leg.state is State.CLOSED and self.chance.random() < 0.5:
                    break
            self._end()
        finally:
            globalLogPublisher.removeObserver(self._logged)
            for local in sorted(self.others, key=lambda local: str(local.address)):
                local.abort()
            self.tcp.closed or self.tcp.getHandle().close()
            for far in (*self.fars, self.wire):
                far.close()
            for delayed in self.clock.getDelayedCalls():
                delayed.cancel()
            self.tools.pipes.close()
            self.pump.close()
        self.say("wire", hash(bytes(self.plain)), self.sealed)
        return self.seen

    def _end(self) -> None:
        """Everybody takes what is left for him, and time passes."""
        taken = -1
        while taken < len(self.plain) + len(self.heard):
            taken = len(self.plain) + len(self.heard)
            for reads in (self._wire_reads, self._far_reads) * 2:
                self._do(lambda reads=reads: reads(1 << 20), look=False)
        for seconds in (2.0, 16.0, 16.0):
            self._do(lambda seconds=seconds: self.clock.advance(seconds))

    def _do(self, act: Callable[[], None], *, look: bool = True) -> None:
        try:
            act()
        except Exception as problem:  # noqa: BLE001 - what is raised is compared like everything else
            self.say("raised", repr(problem))
        for _ in range(1000):
            if any(delayed.getTime() <= self.clock.seconds() for delayed in self.clock.getDelayedCalls()):
                try:
                    self.clock.advance(0)
                except Exception as problem:  # noqa: BLE001 - the same
                    self.say("raised", repr(problem))
            if not select.select([self.pump.fileno()], [], [], 0)[0]:
                break
            self.pump.run(0, -1)
        else:
            self.say(SPINNING)
        if look:
            self._look()
