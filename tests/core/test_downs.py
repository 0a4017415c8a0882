"""Which mappings lead nowhere: what a probe says, and what an operator says."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from gotunnel.core.downs import Downs
from gotunnel.core.view import SWITCHED_OFF


class DownsTests(SynchronousTestCase):
    """One client's."""

    def setUp(self) -> None:
        self.told: list[tuple[str, bool, str]] = []
        self.downs = Downs(lambda *words: self.told.append(words))

    def test_probe(self) -> None:
        """Without an operator's word each change of a target is told."""
        self.downs.target_changed("web", False, "refused")
        self.assertEqual(list(self.downs.reasons()), [("web", "refused")])
        self.downs.target_changed("web", True, "it answers")
        self.assertEqual(self.told, [("web", False, "refused"), ("web", True, "it answers")])
        self.assertEqual(list(self.downs.reasons()), [])

    def test_operator(self) -> None:
        """While it is off a probe changes nothing, and what it has found meanwhile counts when it is on again."""
        self.downs.switch("web", off=True)
        self.downs.switch("web", off=True)
        self.downs.target_changed("web", False, "refused")
        self.assertEqual(list(self.downs.reasons()), [("web", SWITCHED_OFF)])
        self.downs.switch("web", off=False)
        self.assertEqual(self.told, [("web", False, SWITCHED_OFF), ("web", False, "refused")])
        self.downs.target_changed("web", True, "it answers")
        self.downs.switch("web", off=True)
        self.downs.switch("web", off=False)
        self.downs.switch("web", off=False)
        self.assertEqual([up for _, up, _ in self.told[2:]], [True, False, True])

    def test_forget(self) -> None:
        """A mapping that is taken out of the file comes back switched on."""
        self.downs.switch("web", off=True)
        self.downs.target_changed("web", False, "refused")
        self.downs.forget("web")
        self.assertEqual((list(self.downs.reasons()), self.downs.off), ([], set()))
