"""Folders of plugins for tests, as somebody else's package would leave them on Python's path."""

from __future__ import annotations

import sys
from pathlib import Path
from textwrap import dedent

from twisted.trial.unittest import SynchronousTestCase, TestCase

import gotunnel.plugins

HEADER = """
from gotunnel.interfaces import *
from gotunnel.plugin import Field, GotunnelError, Options, Plugin
"""


class _Place:
    """A folder `gotunnel/plugins` of the test's own, known to Python until the test is over."""

    def place(self: TestCase | SynchronousTestCase) -> Path:
        """Make the folder, and have it searched."""
        folder = Path(self.mktemp()).absolute() / "gotunnel" / "plugins"
        folder.mkdir(parents=True)
        before = set(sys.modules)
        gotunnel.plugins.__path__.append(str(folder))
        self.addCleanup(gotunnel.plugins.__path__.remove, str(folder))

        def forget() -> None:
            for name in set(sys.modules) - before:
                file = str(getattr(sys.modules[name], "__file__", ""))
                if name.startswith("gotunnel.plugins.") and file.startswith(str(folder)):
                    del sys.modules[name]

        self.addCleanup(forget)
        return folder

    @staticmethod
    def module(folder: Path, name: str, source: str) -> Path:
        """Write a module with the imports that most plugins have."""
        path = folder / f"{name}.py"
        path.write_text(HEADER + dedent(source))
        return path


class PlaceTestCase(_Place, SynchronousTestCase):
    """A test with plugins of somebody else's."""


class ReactorPlaceTestCase(_Place, TestCase):
    """The same, on the real reactor."""
