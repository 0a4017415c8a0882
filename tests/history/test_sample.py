"""What is new since it was written last."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from gotunnel.core import accounts
from gotunnel.core.accounts import OTHERS, Account, Accounts
from gotunnel.core.outcome import Outcome
from gotunnel.core.stream import StreamEnd
from gotunnel.core.usage import Usage
from gotunnel.history.sample import ALL, Row, Sample


def end(up: int, down: int, outcome: Outcome = Outcome.COMPLETED) -> StreamEnd:
    """Return an end with so many bytes."""
    return StreamEnd(outcome, None, up, down)


class SampleTests(SynchronousTestCase):
    """One process, looked at again and again."""

    def setUp(self) -> None:
        self.usage = Usage()
        self.usage.accounts.kept = True

    def take(self, *running: tuple[Account, tuple[int, int]], time: int = 60, own: str | None = None) -> Sample:
        """Look."""
        return Sample(self.usage.accounts, running, time, own)

    def rows(self, *running: tuple[Account, tuple[int, int]], time: int = 60) -> list[Row]:
        """Look, and write; return the rows of mappings."""
        sample = self.take(*running, time=time)
        sample.written()
        return [row for row in sample.rows if row.mapping]

    def test_running_streams(self) -> None:
        """A long stream is counted while it runs, and each byte once, at its end too."""
        account = self.usage.began("c", "m")
        self.assertEqual(self.rows((account, (10, 100))), [Row("c", "m", 10, 100, 1, 0, 1)])
        self.assertEqual(self.rows((account, (15, 100))), [Row("c", "m", 5, 0, 0, 0, 1)])
        self.usage.ended(account, Outcome.LEG_LOST, end(17, 200))
        self.assertEqual(self.rows(), [Row("c", "m", 2, 100, 0, 1, 1)])
        self.assertEqual(self.rows(), [])

    def test_not_written(self) -> None:
        """What could not be written is in the next sample, the most that were here at once, too."""
        account = self.usage.began("c", "m")
        other = self.usage.began("c", "m")
        self.usage.ended(other, Outcome.COMPLETED, end(1, 2))
        self.take((account, (10, 0))).lost()
        self.assertEqual(self.rows((account, (20, 0))), [Row("c", "m", 21, 2, 2, 0, 2)])

    def test_meanwhile(self) -> None:
        """A visitor who comes and goes while a sample is being written is in the next one."""
        self.usage.ended(self.usage.began("c", "m"), Outcome.COMPLETED, end(1, 1))
        sample = self.take()
        self.usage.ended(self.usage.began("c", "m"), Outcome.REFUSED)
        sample.written()
        self.assertEqual(self.rows(), [Row("c", "m", 0, 0, 1, 1, 1)])

    def test_idle(self) -> None:
        """Visitors who do nothing cost a row each minute, which says that they are here, and no more."""
        account = self.usage.began("c", "m")
        running = (account, (0, 0))
        self.assertEqual(len(self.rows(running, time=60)), 1)
        self.assertEqual(self.rows(running, time=60), [])
        self.assertEqual(self.rows(running, time=120), [Row("c", "m", 0, 0, 0, 0, 1)])

    def test_peaks_of_sums(self) -> None:
        """The most visitors at once of a client, and of all, is not the sum of what its mappings had at most."""
        one = self.usage.began("c", "m")
        self.usage.ended(one, Outcome.COMPLETED)
        two = self.usage.began("c", "n")
        self.usage.began("d", "m")
        self.usage.ended(two, Outcome.COMPLETED)
        peaks = {row[:2]: row.peak for row in self.take().rows}
        self.assertEqual(
            peaks, {("c", "m"): 1, ("c", "n"): 1, ("d", "m"): 1, ("c", ""): 1, ("d", ""): 1, (ALL, ""): 2}
        )

    def test_forgotten(self) -> None:
        """What nobody visits any more is dropped once it is written; with nobody who reads, at once."""
        account = self.usage.began("c", "m")
        self.rows()
        self.assertEqual(len(self.usage.accounts), 1)
        self.usage.ended(account, Outcome.COMPLETED)
        self.rows()
        self.assertEqual((len(self.usage.accounts), len(list(self.usage.accounts.sums))), (0, 1))
        self.usage.accounts.kept = False
        self.usage.ended(self.usage.began("c", "m"), Outcome.COMPLETED)
        self.assertEqual(len(self.usage.accounts), 0)

    def test_moved(self) -> None:
        """Who goes from one member of a group to the next has come to both, and is at one of them."""
        first = self.usage.began("c", "m")
        second = self.usage.moved(first, "d", "m")
        self.assertEqual((first.here, second.here, first.streams, second.streams), (0, 1, 1, 1))
        self.assertEqual((self.usage.accounts.all.here, self.usage.live), (1, 1))

    def test_own_name(self) -> None:
        """At a client all of it is its own; a name that is no name is made harmless."""
        self.usage.began("", "a\nb")
        self.assertIn(("me", "a\\nb"), [row[:2] for row in self.take(own="me").rows])


class BoundTests(SynchronousTestCase):
    """Names come from peers."""

    def test_others(self) -> None:
        """One client's names push nobody else out; beyond all bounds everything is counted together."""
        self.patch(accounts, "MOST", 5)
        it = Accounts(most_of_client=2)
        found = [it.came("c", name) for name in "abcd"]
        self.assertEqual([each.mapping for each in found], ["a", "b", OTHERS, OTHERS])
        self.assertIs(found[2], found[3])
        self.assertEqual([(each.client, each.mapping) for each in (it.came("d", "a"), it.came("d", "b"))],
                         [("d", "a"), ("d", "b")])  # fmt: skip
        beyond = it.came("e", "a")
        self.assertEqual((beyond.client, beyond.mapping), (OTHERS, OTHERS))
        self.assertIs(it.came("f", "g"), beyond)
        self.assertIs(it.came("c", "a"), found[0])
