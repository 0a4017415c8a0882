"""How a stream ended, in words."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from gotunnel.core.outcome import Outcome
from gotunnel.core.stream import StreamEnd


class StreamEndTests(SynchronousTestCase):
    """What stands behind the outcome's word."""

    def test_bracketed(self) -> None:
        """The code is there where it says more than the outcome, on one line whatever it is."""
        for outcome, code, said in (
            (Outcome.COMPLETED, None, ""),
            (Outcome.VISITOR_LEFT, "visitor_left", ""),
            (Outcome.STOPPED, "kicked", " (kicked)"),
            (Outcome.REFUSED, "a\nb", " (a\\nb)"),
        ):
            self.assertEqual(StreamEnd(outcome, code, 0, 0).bracketed, said)
