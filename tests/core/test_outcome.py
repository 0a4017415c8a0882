"""Tests of gotunnel.core.outcome."""

from twisted.trial.unittest import SynchronousTestCase

from gotunnel.core.outcome import Outcome, StreamRecord


class OutcomeTests(SynchronousTestCase):
    """The words for how a stream ended."""

    def test_words_are_stable(self) -> None:
        """Dashboards and queries of users hold these words: to change one is to break them."""
        self.assertEqual(
            [outcome.value for outcome in Outcome],
            [
                "completed",
                "refused",
                "dial_timeout",
                "denied",
                "mapping_down",
                "no_leg",
                "reset_by_visitor",
                "reset_by_target",
                "visitor_left",
                "leg_lost",
                "protocol_error",
                "drained",
                "stopped",
                "quiet",
            ],
        )

    def test_record(self) -> None:
        """A record is a fact that nobody changes, and knows how long the stream took."""
        record = StreamRecord("c1", "ssh", "192.0.2.1:5", 10, 20, 100.0, 102.5, Outcome.COMPLETED)
        self.assertEqual(record.duration, 2.5)
        self.assertRaises(AttributeError, setattr, record, "bytes_up", 0)
