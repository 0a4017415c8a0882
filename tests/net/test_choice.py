"""Which relay is chosen, and what is said of it."""

from __future__ import annotations

import sys
from unittest import skipUnless

from twisted.internet.task import Clock
from twisted.logger import globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from gotunnel.logs import set_level
from gotunnel.net import choice
from gotunnel.net.choice import RelayUnfit, choose_relay


class ChoiceTests(SynchronousTestCase):
    """The wish, and what the system can do."""

    def setUp(self) -> None:
        self.said: list[str] = []
        set_level("info")  # another test of this process may have started a role with a level of its own

        def observe(event: dict[str, object]) -> None:
            if event.get("log_namespace") == "gotunnel.net.choice":
                self.said.append(str(event["log_format"]).format(**event))

        globalLogPublisher.addObserver(observe)
        self.addCleanup(globalLogPublisher.removeObserver, observe)

    def test_portable(self) -> None:
        """Who asks for it has it anywhere."""
        self.assertEqual(choose_relay("portable", Clock()).name, "portable")
        self.assertEqual(self.said, ["bytes are moved by the portable relay: as configured"])

    def test_unfit(self) -> None:
        """Where the fast one cannot run, auto takes the other and says why, and fast is an error with its cure."""
        self.patch(choice.sys, "platform", "win32")
        self.assertEqual(choose_relay("auto", Clock()).name, "portable")
        self.assertEqual(self.said, ["bytes are moved by the portable relay: the fast one needs Linux"])
        refused = self.assertRaises(RelayUnfit, choose_relay, "fast", Clock())
        self.assertEqual(str(refused), "relay: fast cannot be had here: it needs Linux; write relay: auto")

    @skipUnless(sys.platform.startswith("linux"), "the fast relay needs Linux")
    def test_fast(self) -> None:
        """It is what auto takes; without its loop it says so."""
        for wish in ("auto", "fast"):
            self.assertEqual(choose_relay(wish, Clock()).name, "fast")
        self.assertEqual(self.said, ["bytes are moved by the fast relay on the reactor's own descriptors"] * 2)
