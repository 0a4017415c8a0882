"""Where the cases of the relay contract play: makes legs, runs cases on them and looks what is left behind."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twisted.internet import reactor
from twisted.internet.task import deferLater
from twisted.logger import LogLevel, globalLogPublisher
from twisted.trial.unittest import TestCase

from gotunnel.core.outcome import Outcome
from gotunnel.interfaces import IRelay
from gotunnel.wire.legstate import End
from tests.ports import free_port

from .relay_link import Link, Lone, connected_pair, holdings, until

__all__ = ["MIB", "Case", "RelayStage"]

Case = Callable[[Link], Awaitable[None]]

MIB = 1 << 20


class RelayStage(TestCase if TYPE_CHECKING else object):
    """What a relay does; `make_relay` and `tls` say of which relay and over which legs."""

    timeout = 60
    tls = False
    own_tls = False
    bulk = 64 * MIB
    host = "127.0.0.1"
    _state: Path | None = None  # of all legs of a test: to write a key for each would be to wait for the disk

    def make_relay(self) -> IRelay:
        """Return a new relay on the global reactor. Its looks at paused connections come ten times a second."""
        raise NotImplementedError

    # The stage.

    def setUp(self) -> None:
        self.warnings: list[str] = []
        globalLogPublisher.addObserver(self._watch_log)
        self.addCleanup(globalLogPublisher.removeObserver, self._watch_log)

    def _watch_log(self, event: Any) -> None:
        if event.get("log_level") is LogLevel.warn and event["log_namespace"].startswith("gotunnel"):
            self.warnings.append(event["log_format"].format(**event))

    async def at_base(self) -> None:
        """Wait until the reactor holds nothing more than before the leg was made."""
        await until(lambda: holdings() == self.base, f"nothing is left: {holdings()}")

    async def pair(self, *, alone: bool = False) -> tuple[Any, Any]:
        """Return both ends of a new leg's connection; with `alone` the second one is no leg of ours."""
        await deferLater(reactor, 0)  # trial starts the reactor when a test waits for the first time
        self.base = holdings()
        if self.tls and self._state is None:
            self._state = Path(self.mktemp())
            self._state.mkdir()
        return await connected_pair(self._state, (self.own_tls, self.own_tls and not alone))

    async def link(self) -> Link:
        """Return a leg between two relays."""
        return Link((self.make_relay(), self.make_relay()), await self.pair(), not self.tls, self.host, free_port(self))

    async def run_cases(self, *cases: Case) -> None:
        """Run cases one after another on one leg, which is idle and holds nothing in between; then take all down."""
        link = await self.link()
        try:
            await until(lambda: not holdings()[1] - self.base[1], "everything is written")
            readers = len(holdings()[0])
            for case in cases:
                await case(link)
                await link.rest()
                await until(lambda: len(holdings()[0]) == readers, "no connection of a visitor or target is left")
                await until(lambda: not holdings()[1] - self.base[1], "nothing is unwritten")
            self.assertEqual(self.warnings, [])
        finally:
            await link.stop()
        await self.at_base()

    async def lone(self, end: End) -> Lone:
        """Return one end of a leg whose other end has no manners."""
        ours, theirs = await self.pair(alone=True)
        return Lone(self.make_relay(), (ours, theirs), end, not self.tls)

    async def outcome(self, link: Link, at_opener: Outcome, at_dialler: Outcome) -> None:
        """Check how both ends saw the last visitor."""
        ends = await link.rest()
        self.assertEqual([end.outcome for end in ends], [at_opener, at_dialler])
