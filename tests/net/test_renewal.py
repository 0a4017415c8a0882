"""Files that change under a running program, and dates that come near: with a clock of the test's own."""

from __future__ import annotations

import datetime
import os
from pathlib import Path

from twisted.internet.task import Clock
from twisted.internet.testing import EventLoggingObserver
from twisted.logger import formatEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from gotunnel.net.certificates import KeyPair, TlsFilesError, dates, load_pair
from gotunnel.net.expiry import DAY, ExpiryWatch
from gotunnel.net.renewal import EVERY, Renewal
from tests.certificates import Authority


class WatchTestCase(SynchronousTestCase):
    """A test with files, a clock and the log."""

    def setUp(self) -> None:
        """Make them."""
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()
        self.authority = Authority(self.folder)
        self.clock = Clock()
        self.log = EventLoggingObserver.createWithCleanup(self, globalLogPublisher)

    def lines(self) -> list[str]:
        """Return what was logged since the last call."""
        found = [str(formatEvent(event)) for event in self.log]
        self.log._events.clear()  # type: ignore[attr-defined]
        return found


class RenewalTests(WatchTestCase):
    """Renewal of a certificate and its key."""

    def setUp(self) -> None:
        """Watch a pair."""
        super().setUp()
        self.cert, self.key = self.authority.issue("x")
        self.used: list[KeyPair] = []
        self.renewal = Renewal(
            self.clock, (self.cert, self.key, None), lambda: load_pair(self.cert, self.key), self.used.append
        )
        self.first = self.renewal.first()
        self.renewal.start()
        self.addCleanup(self.renewal.stop)

    def tick(self) -> None:
        """Let it look once."""
        self.clock.advance(EVERY)

    def put(self, cert: Path | None, key: Path | None) -> None:
        """Put new files into the place of the old ones, in place: the worst way."""
        for old, new in ((self.cert, cert), (self.key, key)):
            if new is not None:
                old.write_bytes(new.read_bytes())

    def test_gone_and_back(self) -> None:
        """Files that were gone for a moment and are the same again are no others: nobody is told of a new certificate,
        or of authorities, and the log says that all is well. What goes wrong next is said again."""
        kept = self.cert.read_bytes()
        for _ in range(2):
            self.cert.unlink()
            self.tick()
            self.assertIn("cannot be used", self.lines()[0])
            self.cert.write_bytes(kept)
            self.tick()
            said = "certificate files are back to what was loaded: nothing has changed"
            self.assertEqual((self.lines(), self.used), ([said], []))
        self.put(*self.authority.issue("x"))
        self.tick()
        self.assertEqual(len(self.used), 1)

    def test_changed(self) -> None:
        """A new pair is taken up within EVERY seconds, once; without a change nothing happens."""
        self.tick()
        self.assertEqual(self.used, [])
        new = self.authority.issue("x")
        self.put(*new)
        self.tick()
        self.tick()
        self.assertEqual([pair.leaf for pair in self.used], [load_pair(*new).leaf])
        self.assertEqual(self.lines(), [])

    def test_half_written(self) -> None:
        """Between a new certificate and its key the old pair stays; one line says so, however long it lasts."""
        cert, key = self.authority.issue("x")
        self.put(cert, None)
        for _ in range(5):
            self.tick()
        (line,) = self.lines()
        self.assertIn("the key does not belong to the certificate", line)
        self.assertIn("stay in use", line)
        self.assertEqual(self.used, [])
        self.put(None, key)
        self.tick()
        self.assertEqual([pair.leaf for pair in self.used], [load_pair(cert, key).leaf])
        self.assertEqual(self.lines(), [])

    def test_back_again(self) -> None:
        """An update that is taken back is over, which is said, and a second bad one is said again."""
        before = self.cert.read_bytes()
        self.put(self.authority.issue("x")[0], None)
        self.tick()
        self.cert.write_bytes(before)
        self.tick()
        self.assertEqual(self.used, [])
        self.put(self.authority.issue("x")[0], None)
        self.tick()
        self.assertEqual(["cannot be used" in line for line in self.lines()], [True, False, True])

    def test_same_size_and_times(self) -> None:
        """Content counts: a file with the old size and the old times is seen as well."""
        old = self.cert, self.key
        before = [file.stat() for file in old]
        new = self.authority.issue("x")
        while [file.stat().st_size for file in new] != [found.st_size for found in before]:
            new = self.authority.issue("x")  # a signature is a byte longer or shorter
        self.put(*new)
        for file, found in zip(old, before, strict=True):
            os.utime(file, ns=(found.st_atime_ns, found.st_mtime_ns))
        self.tick()
        self.assertEqual([pair.leaf for pair in self.used], [load_pair(*new).leaf])

    def test_swapped_symlink(self) -> None:
        """The way of Kubernetes: the files are links through a link to a folder, and that one is swapped."""
        volume = self.folder / "volume"
        volume.mkdir()
        pairs = []
        for name in ("first", "second"):
            (volume / name).mkdir()
            pair = self.authority.issue("x")
            pairs.append(load_pair(*pair).leaf)
            for file, to in zip(pair, ("tls.crt", "tls.key"), strict=True):
                file.replace(volume / name / to)
        (volume / "..data").symlink_to("first")
        cert, key = volume / "tls.crt", volume / "tls.key"
        cert.symlink_to("..data/tls.crt")
        key.symlink_to("..data/tls.key")
        used: list[KeyPair] = []
        renewal = Renewal(self.clock, (cert, key), lambda: load_pair(cert, key), used.append)
        self.addCleanup(renewal.stop)
        self.assertEqual(renewal.first().leaf, pairs[0])
        renewal.start()
        (volume / "..tmp").symlink_to("second")
        os.replace(volume / "..tmp", volume / "..data")
        self.tick()
        self.assertEqual([pair.leaf for pair in used], [pairs[1]])

    def test_change_while_it_loads(self) -> None:
        """What changes between looking and loading is seen at the next look at the latest."""
        cert, key = self.authority.issue("x")
        later = self.authority.issue("x")
        loads = []

        def load() -> KeyPair:
            pair = load_pair(self.cert, self.key)
            if not loads:
                self.put(*later)  # just behind our back
            loads.append(pair)
            return pair

        used: list[KeyPair] = []
        renewal = Renewal(self.clock, (self.cert, self.key), load, used.append)
        self.addCleanup(renewal.stop)
        self.put(cert, key)
        renewal.first()
        renewal.start()
        self.tick()
        self.assertEqual([pair.leaf for pair in used], [load_pair(*later).leaf])

    def test_stop(self) -> None:
        """No timer is left; nothing to watch needs none."""
        self.renewal.stop()
        self.renewal.stop()
        Renewal(self.clock, (None, None), lambda: 1, lambda _: None).start()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_first_load_is_told(self) -> None:
        """At the start a broken file is an error."""
        self.cert.write_bytes(b"")
        renewal = Renewal(self.clock, (self.cert,), lambda: load_pair(self.cert, self.key), lambda _: None)
        self.assertRaises(TlsFilesError, renewal.first)


class ExpiryTests(WatchTestCase):
    """ExpiryWatch."""

    def setUp(self) -> None:
        """Watch a certificate of thirty days."""
        super().setUp()
        self.pair = load_pair(*self.authority.issue("x"))
        self.start = dates(self.pair.leaf)[1] - datetime.timedelta(days=20)
        self.watch = ExpiryWatch(
            self.clock, "the certificate", lambda: self.start + datetime.timedelta(seconds=self.clock.seconds())
        )
        self.addCleanup(self.watch.stop)

    def test_daily_from_a_fortnight_before(self) -> None:
        """Six quiet days, then a line a day, which changes its words at the end."""
        self.watch.watch(self.pair.leaf, "cert.pem")
        counts = [len(self.lines())]
        for _ in range(22):
            self.clock.advance(DAY)
            counts.append(len(found := self.lines()))
        self.assertEqual(counts, [0] * 7 + [1] * 16)
        self.assertIn("the certificate expired on", found[0])
        self.assertIn("renew it; peers that check it refuse it (cert.pem)", found[0])

    def test_at_the_start(self) -> None:
        """What is near, past or still to come is said at once."""
        for days, words in ((19, "expires on"), (21, "expired on"), (-60, "is not valid before")):
            self.start = dates(self.pair.leaf)[1] + datetime.timedelta(days=days - 20)
            self.watch.watch(self.pair.leaf, "cert.pem")
            (line,) = self.lines()
            self.assertIn(words, line)

    def test_another_one(self) -> None:
        """A renewed certificate takes the place of the old one."""
        self.start = dates(self.pair.leaf)[1]
        self.watch.watch(self.pair.leaf, "cert.pem")
        self.assertEqual(len(self.lines()), 1)
        self.watch.watch(load_pair(*self.authority.issue("x", last=90)).leaf, "cert.pem")
        self.clock.advance(DAY)
        self.assertEqual((self.lines(), len(self.clock.getDelayedCalls())), ([], 1))
