"""How often one may guess the token of the admin address, and who is kept out by another one's guesses."""

from __future__ import annotations

from collections import Counter

from twisted.internet.task import Clock
from twisted.internet.testing import EventLoggingObserver
from twisted.logger import formatEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from gotunnel.admin.face import Refused
from gotunnel.admin.tries import BURST, KNOWN_FOR, MOST_SOURCES, RATE, Tries

TOKEN = "7f3a9c51e8d24b60af17c3925be8d046"


class TriesTests(SynchronousTestCase):
    """One process's."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(5000)
        self.log = EventLoggingObserver.createWithCleanup(self, globalLogPublisher)
        self.counted: Counter[str] = Counter()
        self.tries = Tries(self.clock, TOKEN, self.counted)

    def said(self, token: str | bytes, address: str = "192.0.2.1") -> int:
        """Say a token, and return what comes of it as a status."""
        try:
            return 200 if self.tries.right(token, address) else 401
        except Refused as refused:
            return refused.status

    def lines(self) -> list[str]:
        """Return the log."""
        return [str(formatEvent(event)) for event in self.log]

    def test_guessing(self) -> None:
        """Of those who have never been right so many are heard, and one more every ten seconds; others are not kept out
        with them. All is counted, and a line says who it is without what he said."""
        words = "x" * 32, b"\xff", TOKEN[:-1], TOKEN + "0", ""
        self.assertEqual([self.said(word) for word in words], [401] * int(BURST))
        self.assertEqual((self.said("x"), self.said(TOKEN), self.said(TOKEN, "192.0.2.2")), (429, 429, 200))
        self.clock.advance(1 / RATE)
        self.assertEqual((self.said("x"), self.said("x")), (401, 429))
        self.clock.advance(1 / RATE)
        self.assertEqual(self.said(TOKEN.encode()), 200)
        self.assertEqual(self.counted, {"admin_token": 6, "admin_limit": 3})
        self.assertIn("a wrong token for the dashboard or the API came from 192.0.2.1", self.lines()[0])
        self.assertNotIn(TOKEN[:-1], " ".join(self.lines()))

    def test_beside_a_guesser(self) -> None:
        """Whoever has been right from there is heard however much noise another one makes at that address, Prometheus
        at each scrape; the lines are few all the same. An hour without the right one, and that is over."""
        self.assertEqual(self.said(TOKEN), 200)
        for _ in range(30):
            for _ in range(50):
                self.assertEqual(self.said("x"), 401)
            self.assertEqual(self.said(TOKEN), 200)
            self.clock.advance(15)
        self.assertEqual(self.counted, {"admin_token": 1500})
        self.assertLess(len(self.lines()), 60)
        self.assertIn("more like this were not logged", self.lines()[-1])
        self.assertEqual(self.said(TOKEN, "192.0.2.2"), 200, "nor does that count against all together")
        self.clock.advance(KNOWN_FOR)
        self.assertEqual([self.said("x") for _ in range(int(BURST) + 1)][-1], 429)
        self.assertEqual(self.said(TOKEN), 429)

    def test_from_everywhere(self) -> None:
        """All together are limited, too, however many addresses they have, and whoever is known is heard; addresses of
        one IPv6 network are one. What is remembered of them is bounded."""
        self.assertEqual(self.said(TOKEN, "192.0.2.9"), 200)
        for number in range(int(BURST)):
            self.assertEqual(self.said("x", f"2001:db8::{number}"), 401)
        self.assertEqual(self.said("x", "2001:db8::ffff"), 429)
        said = [self.said("x", f"2001:db8:{number:x}::1") for number in range(1, 1000)]
        self.assertEqual(said.count(401), int(10 * BURST - BURST))
        self.assertLessEqual(len(self.tries._sources), MOST_SOURCES)
        self.assertEqual((self.said(TOKEN, "192.0.2.77"), self.said(TOKEN, "192.0.2.9")), (429, 200))
        self.assertEqual({self.said("x", "203.0.113.5") for _ in range(9)}, {429})
        self.clock.advance(20)
        self.assertEqual([self.said("x", "203.0.113.5") for _ in range(5)], [401] * 5, "others' were not his")
        for number in range(MOST_SOURCES + 7):
            self.clock.advance(1)
            self.assertEqual(self.said(TOKEN, f"198.51.{number // 256}.{number % 256}"), 200)
        self.assertEqual(len(self.tries._known), MOST_SOURCES)
