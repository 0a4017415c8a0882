"""Who is not asked does without the memory of the answers."""

from __future__ import annotations

import subprocess
import sys

from twisted.trial.unittest import SynchronousTestCase

from tests.processes import ROOT

LOOK = """
import sys
from gotunnel.net.choice import install_reactor
install_reactor()
import gotunnel.tap.{role}
before = sorted(name for name in sys.modules if name.startswith("gotunnel.admin"))
import gotunnel.tap.acts, gotunnel.tap.admin, gotunnel.{role}.view
print(before, sorted(name for name in sys.modules if name.startswith(("twisted.web", "prometheus_client", "rich"))))
"""


class LightTests(SynchronousTestCase):
    """Memory at rest is for what a role does."""

    def test_loaded_when_needed(self) -> None:
        """Nothing of the admin ring is loaded before the configuration wants it, and no HTTP and no Prometheus before
        somebody asks."""
        for role in ("server", "client"):
            found = subprocess.run(
                [sys.executable, "-c", LOOK.format(role=role)], cwd=ROOT, capture_output=True, text=True, check=True
            )
            self.assertEqual(found.stdout.strip(), "[] []", role)
