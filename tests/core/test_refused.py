"""What was refused is remembered, and not without end."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from gotunnel.core.refused import Refusal, RefusedMappings


def refusal(name: str = "web", since: float = 0.0, reason: str = "taken", address: str = "*:80") -> Refusal:
    """Return one."""
    return Refusal(name, address, "port_in_use", reason, since)


class RefusedTests(SynchronousTestCase):
    """The mappings of one session."""

    def setUp(self) -> None:
        self.found = RefusedMappings()

    def test_since_when(self) -> None:
        """One that is refused again for the same reason is refused since the first time; for another, since now."""
        for since, reason, address in ((1.0, "taken", "*:80"), (2.0, "taken", "*:80")):
            self.found.add(refusal(since=since, reason=reason, address=address), 9)
        self.assertEqual([each.since for each in self.found], [1.0])
        self.found.add(refusal(since=3.0, reason="not allowed"), 9)
        self.assertEqual([each.since for each in self.found], [3.0])
        self.found.add(refusal(since=4.0, reason="not allowed", address="*:81"), 9)
        self.assertEqual([each.since for each in self.found], [4.0])

    def test_bounded(self) -> None:
        """A thousand names leave so many as are allowed, those asked for last; none where none is allowed."""
        for number in range(1000):
            self.found.add(refusal(f"web-{number}"), 3)
        self.assertEqual([each.name for each in self.found], ["web-997", "web-998", "web-999"])
        self.found.add(refusal("web-997"), 3)
        self.assertEqual([each.name for each in self.found], ["web-998", "web-999", "web-997"])
        self.found.add(refusal("more"), 0)
        self.assertEqual(len(self.found), 0)

    def test_forgotten(self) -> None:
        """What is granted or wanted no more goes, and what is not there is no matter."""
        self.found.add(refusal("a"), 9)
        self.found.add(refusal("b"), 9)
        self.found.forget(("a", "c"))
        self.assertEqual(("a" in self.found, "b" in self.found), (False, True))
        self.found.clear()
        self.assertEqual(len(self.found), 0)
