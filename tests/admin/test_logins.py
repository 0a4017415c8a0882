"""Who is logged in to the page, for how long, and how often one may guess."""

from __future__ import annotations

from collections import Counter
from typing import Any

from twisted.internet.task import Clock
from twisted.internet.testing import EventLoggingObserver
from twisted.logger import formatEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from gotunnel.admin.face import Refused
from gotunnel.admin.logins import IDLE, LINK, LONGEST, MOST, MOST_LINKS, Logins
from gotunnel.admin.tries import BURST, RATE, Tries

TOKEN = "7f3a9c51e8d24b60af17c3925be8d046"


class LoginsTests(SynchronousTestCase):
    """One process's."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.log = EventLoggingObserver.createWithCleanup(self, globalLogPublisher)
        self.counted: Counter[str] = Counter()
        self.logins = Logins(self.clock, Tries(self.clock, TOKEN, self.counted), "gotunnel-server-1")

    def enter(self, address: str = "192.0.2.1", **wish: Any) -> bytes:
        """Log in, and return the Cookie header of that browser."""
        value, _ = self.logins.by(wish or {"token": TOKEN}, address)
        return b"other=1; gotunnel-server-1=" + value.encode()

    def refused(self, address: str = "192.0.2.1", **wish: Any) -> int:
        """Return the status of a refusal."""
        return self.assertRaises(Refused, self.logins.by, wish, address).status

    def test_token(self) -> None:
        """The token lets in, and nothing else does; neither it nor what was said instead is in the log."""
        cookie = self.enter(token=f" {TOKEN}\n")
        self.assertIsNotNone(self.logins.find(cookie))
        for wrong in (TOKEN[:-1], TOKEN + "0", "", "\ud800"):
            self.assertEqual(self.refused(token=wrong), 401)
        self.assertEqual(self.refused(), 400)
        self.assertEqual(self.refused(token=7), 400)
        text = " ".join(str(formatEvent(event)) for event in self.log)
        self.assertIn("a wrong token for the dashboard or the API came from 192.0.2.1", text)
        self.assertNotIn(TOKEN[:-1], text)
        for header in (b"", b"gotunnel-server-1=", b"gotunnel-server-2=" + cookie.partition(b"-1=")[2], b"=;;="):
            self.assertIsNone(self.logins.find(header), header)

    def test_no_token(self) -> None:
        """Without one in the configuration no text lets in, an empty one neither; a link does."""
        self.logins = Logins(self.clock, None, "gotunnel-server-1")
        self.assertEqual([self.refused(token=word) for word in ("", "None", TOKEN)], [401] * 3)
        self.assertFalse(self.logins.by_token)
        self.assertIsNotNone(self.logins.find(self.enter(code=self.logins.link())))

    def test_link(self) -> None:
        """It lets in once, and not when it is old; of many only the latest are good."""
        code = self.logins.link()
        self.enter(code=code)
        self.assertEqual(self.refused(code=code), 401)
        late = self.logins.link()
        self.clock.advance(LINK)
        self.assertEqual(self.refused(code=late), 401)
        codes = [self.logins.link() for _ in range(MOST_LINKS + 1)]
        self.assertEqual(self.refused(code=codes[0]), 401)
        self.enter(code=codes[1])

    def test_ends(self) -> None:
        """A session ends when nothing is asked for a while, after a day's work in any case, and by logging out."""
        cookie = self.enter()
        for _ in range(int(LONGEST / (IDLE - 1))):
            self.clock.advance(IDLE - 1)
            self.assertIsNotNone(self.logins.find(cookie))
        self.clock.advance(IDLE - 1)
        self.assertIsNone(self.logins.find(cookie))
        cookie = self.enter()
        self.clock.advance(IDLE)
        self.assertIsNone(self.logins.find(cookie))
        self.assertEqual(len(self.logins), 0)
        one, two = self.enter(), self.enter()
        self.logins.leave(one)
        self.assertEqual((self.logins.find(one), self.logins.find(two) is None), (None, False))

    def test_few(self) -> None:
        """There are so many at most: the one that was used least lately makes room."""
        cookies = [self.enter() for _ in range(MOST)]
        self.logins.find(cookies[0])
        self.enter()
        found = [self.logins.find(cookie) is not None for cookie in cookies]
        self.assertEqual(found, [True, False] + [True] * (MOST - 2))
        self.assertEqual(len(self.logins), MOST)

    def test_guessing(self) -> None:
        """After some wrong tokens even the right one is not looked at, from there; a link is. Time passes, and it is
        again. Logging in is no guess."""
        self.assertEqual([self.refused(token="x" * 32) for _ in range(int(BURST))], [401] * int(BURST))
        self.assertEqual((self.refused(token=TOKEN), self.refused(token="x")), (429, 429))
        self.enter("192.0.2.2")
        self.enter(code=self.logins.link())
        self.clock.advance(1 / RATE)
        for _ in range(3 * int(BURST)):
            self.enter()
