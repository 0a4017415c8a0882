"""Which of several claimants holds what."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from gotunnel.core.claims import Claims


class ClaimsTests(SynchronousTestCase):
    """Claims."""

    def setUp(self) -> None:
        """Nobody holds anything."""
        self.claims: Claims[bytes, str] = Claims()

    def test_take(self) -> None:
        """Who comes last has it; the others' keys stay theirs."""
        self.claims.take(b"1", "one")
        self.claims.take(b"2", "two")
        self.assertEqual([self.claims.holder(key) for key in (b"1", b"2", b"3")], ["one", "two", None])
        self.claims.take(b"1", "three")
        self.assertEqual((self.claims.holder(b"1"), self.claims.holder(b"2")), ("three", "two"))

    def test_another_key(self) -> None:
        """A holder has one key at most: another one takes the place of the first."""
        self.claims.take(b"1", "one")
        self.claims.take(b"2", "one")
        self.assertEqual((self.claims.holder(b"1"), self.claims.holder(b"2")), (None, "one"))

    def test_drop(self) -> None:
        """Only who holds something has something to drop, and what was taken from him is none of his."""
        self.claims.take(b"1", "one")
        self.claims.take(b"1", "two")
        self.assertFalse(self.claims.drop("one"))
        self.assertEqual(self.claims.holder(b"1"), "two")
        self.assertTrue(self.claims.drop("two"))
        self.assertIsNone(self.claims.holder(b"1"))
