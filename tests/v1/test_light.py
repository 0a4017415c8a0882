"""Who has nothing to do with version 1 does not load it."""

from __future__ import annotations

import subprocess
import sys

from twisted.trial.unittest import SynchronousTestCase

from tests.processes import ROOT

LOOK = """
import sys
import gotunnel.{role}.service
print(sorted(name for name in sys.modules if name.startswith("gotunnel") and
    name.startswith(("gotunnel.server.v1", "gotunnel.client.v1", "gotunnel.net.v1"))))
"""


class LightTests(SynchronousTestCase):
    """Memory at rest is for what a role does."""

    def test_loaded_when_needed(self) -> None:
        """Neither role brings any of it in before its configuration asks for it."""
        for role in ("server", "client"):
            found = subprocess.run(
                [sys.executable, "-c", LOOK.format(role=role)], cwd=ROOT, capture_output=True, text=True, check=True
            )
            self.assertEqual(found.stdout.strip(), "[]", role)
