"""Who may ask what by HTTP."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from gotunnel.admin.face import Refused
from gotunnel.admin.guard import DASHBOARD, Guard, Session
from gotunnel.admin.tries import BURST, Tries

TOKEN = "7f3a9c51e8d24b60af17c3925be8d046"
JSON = {"content-type": b"application/json"}


class Nobody:
    """No browser is logged in."""

    def find(self, header: bytes) -> Session | None:
        """See Sessions."""
        return None


class GuardTests(SynchronousTestCase):
    """One request after the other."""

    def refused(self, guard: Guard, method: str = "GET", path: str = "/v1/status", **headers: bytes) -> int:
        """Return the status of the refusal, 0 if there is none."""
        try:
            guard.admit(method, path, {name.replace("_", "-"): value for name, value in headers.items()}, "192.0.2.7")
        except Refused as refused:
            return refused.status
        return 0

    def test_host(self) -> None:
        """By TCP only addresses, localhost and names of the configuration are known: no foreign name can be made to
        lead here by its DNS."""
        guard = Guard(Nobody(), trusted=False, hosts=("admin.example.org",))
        for host in (b"127.0.0.1:17080", b"[::1]:17080", b"localhost", b"LOCALHOST:1", b"admin.example.org:80"):
            self.assertEqual(self.refused(guard, host=host), 0, host)
        for host in (b"evil.example", b"127.0.0.1.evil.example", b"", b"localhost.evil.example:17080", b"\xff",
                     b"localhost:@evil.example", b"[::1].evil.example", b"[127.0.0.1]evil", b"[evil.example]", b"[::1",
                     b"localhost:", b"127.0.0.1:1:2"):  # fmt: skip
            self.assertEqual(self.refused(guard, host=host), 421, host)

    def test_host_on_the_socket(self) -> None:
        """The socket may be led to a port where a browser is: there, too, no foreign name is known. A program need not
        name any."""
        guard = Guard(Nobody(), trusted=True, hosts=("admin.example.org",))
        for host in (b"", b"localhost", b"127.0.0.1:17080", b"admin.example.org"):
            self.assertEqual(self.refused(guard, host=host), 0, host)
        self.assertEqual(self.refused(guard, host=b"evil.example:17080"), 421)

    def test_origin(self) -> None:
        """A page of another origin may not ask, on the socket neither; one of ours may."""
        for guard in (Guard(Nobody(), trusted=False), Guard(Nobody(), trusted=True)):
            host = b"127.0.0.1:17080"
            self.assertEqual(self.refused(guard, host=host, origin=b"http://127.0.0.1:17080"), 0)
            for origin in (b"http://evil.example", b"null", b"http://127.0.0.1:8080", b"https://127.0.0.1:17080.evil"):
                self.assertEqual(self.refused(guard, host=host, origin=origin), 403, origin)
            self.assertEqual(self.refused(guard, host=host, sec_fetch_site=b"cross-site"), 403)

    def test_post_is_json(self) -> None:
        """What a form of a web page can post is not taken."""
        guard = Guard(Nobody(), trusted=True)
        self.assertEqual(self.refused(guard, "POST", content_type=b"application/x-www-form-urlencoded"), 415)
        self.assertEqual(self.refused(guard, "POST", content_type=b"text/plain"), 415)
        self.assertEqual(self.refused(guard, "POST", content_type=b"application/jsonx"), 415)
        self.assertEqual(self.refused(guard, "POST", content_type=b"application/json; charset=utf-8"), 0)

    def test_without_token(self) -> None:
        """An address without a token is for reading."""
        guard = Guard(Nobody(), trusted=False)
        self.assertEqual(self.refused(guard, host=b"127.0.0.1"), 0)
        self.assertEqual(self.refused(guard, "POST", host=b"127.0.0.1", content_type=b"application/json"), 403)

    def test_token(self) -> None:
        """With one, nothing is told without it; a probe learns yes or no, and one with a wrong token nothing."""
        clock = Clock()
        guard = Guard(Nobody(), trusted=False, tries=Tries(clock, TOKEN, Counter()))
        right, host = b"Bearer " + TOKEN.encode(), b"192.0.2.1:17080"
        self.assertEqual(self.refused(guard, host=host, authorization=right), 0)
        self.assertEqual(
            self.refused(guard, "POST", host=host, authorization=right, content_type=b"application/json"), 0
        )
        for wrong in (b"", b"Bearer ", b"Bearer " + TOKEN[:-1].encode(), TOKEN.encode(), b"Basic eDp5", right + b"0"):
            clock.advance(60)
            self.assertEqual(self.refused(guard, host=host, authorization=wrong), 401, wrong)
        self.assertEqual(self.refused(guard, path="/metrics", host=host), 401)
        self.assertFalse(guard.admit("GET", "/readyz", {"host": host}, "192.0.2.7"))
        self.assertTrue(guard.admit("GET", "/readyz", {"host": host, "authorization": right}, "192.0.2.7"))
        self.assertEqual(self.refused(guard, path="/readyz", host=host, authorization=b"Bearer x"), 401)

    def test_wrong_tokens(self) -> None:
        """Whoever guesses is told to wait, and then the right one is not looked at either. A browser that has logged
        in, the socket and what needs no token are no part of that."""
        logged_in: list[Session] = []

        class Sessions:
            def find(self, header: bytes) -> Session | None:
                return logged_in[0] if logged_in else None

        tries = Tries(Clock(), TOKEN, counted := Counter())
        far, near = Guard(Sessions(), trusted=False, tries=tries), Guard(Sessions(), trusted=True, tries=tries)
        host, wrong = b"192.0.2.1:17080", b"Bearer " + b"x" * 32
        for _ in range(2 * int(BURST)):
            self.assertEqual(self.refused(near, host=host, authorization=wrong), 0)
        self.assertEqual(counted, {})
        said = [self.refused(far, path=path, host=host, authorization=wrong) for path in ("/metrics", "/readyz") * 4]
        self.assertEqual(said, [401] * 5 + [429] * 3)
        self.assertEqual(self.refused(far, host=host, authorization=b"Bearer " + TOKEN.encode()), 429)
        self.assertEqual(counted, {"admin_token": 5, "admin_limit": 4})
        self.assertEqual(self.refused(near, host=host, authorization=wrong), 0)
        through_a_port = {"authorization": wrong, "host": host, DASHBOARD.replace("-", "_"): b"1"}
        self.assertEqual(self.refused(near, **through_a_port), 429)
        self.assertEqual([self.refused(far, path=path, host=host) for path in ("/", "/readyz")], [0, 0])
        logged_in.append(SimpleNamespace(csrf="x"))
        self.assertEqual(self.refused(far, host=host, authorization=wrong), 0)
