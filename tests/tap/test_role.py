"""Where a role keeps its state, and what it prints when it cannot start."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from gotunnel.tap.role import state_folder


class StateFolderTests(SynchronousTestCase):
    """--state, then $STATE_DIRECTORY, then $XDG_STATE_HOME/gotunnel."""

    def setUp(self) -> None:
        self.base = Path(self.mktemp()).absolute()

    def test_order(self) -> None:
        """The first that is named is taken."""
        env = {
            "STATE_DIRECTORY": f"{self.base}/systemd:{self.base}/second",
            "XDG_STATE_HOME": f"{self.base}/xdg",
        }
        self.assertEqual(state_folder(f"{self.base}/chosen", env), self.base / "chosen")
        self.assertEqual(state_folder(None, env), self.base / "systemd")
        del env["STATE_DIRECTORY"]
        self.assertEqual(state_folder(None, env), self.base / "xdg" / "gotunnel")

    def test_home(self) -> None:
        """Without anything it is below the home folder; a relative XDG folder is to be ignored."""
        self.patch(os, "environ", {**os.environ, "HOME": str(self.base / "home")})
        expected = self.base / "home" / ".local" / "state" / "gotunnel"
        self.assertEqual(state_folder(None, {}), expected)
        self.assertEqual(state_folder(None, {"XDG_STATE_HOME": "relative"}), expected)

    def test_mode(self) -> None:
        """What is made is for its owner alone, whatever the umask; what exists keeps its mode."""
        old = os.umask(0)
        self.addCleanup(os.umask, old)
        made = state_folder(str(self.base / "a" / "b"), {})
        self.assertEqual(stat.S_IMODE(made.stat().st_mode), 0o700)
        made.chmod(0o750)
        state_folder(str(made), {})
        self.assertEqual(stat.S_IMODE(made.stat().st_mode), 0o750)

    def test_absolute(self) -> None:
        """A daemon changes its folder, so the path is absolute from the start."""
        relative = os.path.relpath(self.base / "relative")
        self.assertEqual(state_folder(relative, {}), self.base / "relative")

    def test_impossible(self) -> None:
        """A folder that cannot be made is named, with the cure."""
        self.base.mkdir()
        (self.base / "file").touch()
        error = self.assertRaises(OSError, state_folder, str(self.base / "file" / "state"), {})
        self.assertEqual(
            str(error),
            f"the state folder {self.base}/file/state cannot be made: Not a directory; choose another with --state",
        )
