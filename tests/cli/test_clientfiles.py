"""The files that a join leaves: what is refused beforehand, what stands there after any interruption."""

from __future__ import annotations

import errno
import os
import signal
import stat
from collections.abc import Callable
from typing import Any

from gotunnel.cli.clientfiles import ClientFiles
from gotunnel.errors import ConfigError
from tests.processes import ProcessTestCase

TOKEN = "c122c389f83d7543115721971c499abec8e9b36c9673b506cef611478c040c9b"

KILLED = """
import os, signal, sys
from pathlib import Path
from gotunnel.cli.clientfiles import ClientFiles

left = int(sys.argv[1])

def counted(call):
    def counting(*args, **kwargs):
        global left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return call(*args, **kwargs)
    return counting

for name in ("open", "fsync", "link", "replace", "unlink", "close"):
    setattr(os, name, counted(getattr(os, name)))
ClientFiles(Path("config.yaml"), force=True).save("new", lambda name: f"new:{name}")
"""
"""Kills itself ahead of its n-th change of the file system."""


def text(name: str) -> str:
    """Return a configuration that names its token file."""
    return f"new:{name}"


class ClientFilesTests(ProcessTestCase):
    """In a folder of the test's own."""

    def files(self, name: str = "config.yaml", *, force: bool = False) -> ClientFiles:
        """Name the configuration."""
        return ClientFiles(self.folder / name, force=force)

    def names(self) -> set[str]:
        """Return what is in the folder."""
        return {path.name for path in self.folder.iterdir()}

    def test_new(self) -> None:
        """Two files; only the owner may read the token, and change the other, whatever the umask says."""
        before = os.umask(0)
        self.addCleanup(os.umask, before)
        files = self.files()
        files.check()
        files.save(TOKEN, text)
        self.assertEqual(self.names(), {"config.yaml", "config.token"})
        self.assertEqual((self.folder / "config.token").read_text(), TOKEN + "\n")
        self.assertEqual(stat.S_IMODE((self.folder / "config.token").stat().st_mode), 0o600)
        self.assertEqual(stat.S_IMODE((self.folder / "config.yaml").stat().st_mode), 0o644)
        self.assertEqual((self.folder / "config.yaml").read_text(), "new:config.token")
        self.assertNotIn(TOKEN, (self.folder / "config.yaml").read_text())

    def test_refused(self) -> None:
        """What exists, in any form, is not replaced; a folder must be there and writable."""
        (self.folder / "config.yaml").write_text("old")
        (self.folder / "link.yaml").symlink_to("nowhere")
        (self.folder / "folder").mkdir()
        for name in ("config.yaml", "link.yaml", "folder", "none/config.yaml"):
            self.assertRaises(ConfigError, self.files(name).check)
        self.files("config.yaml", force=True).check()
        self.assertRaises(ConfigError, self.files("folder", force=True).check)

    def test_undo(self) -> None:
        """What was saved goes again, and what it replaced comes back."""
        files = self.files()
        files.undo()
        files.save(TOKEN, text)
        files.undo()
        self.assertEqual(self.names(), set())
        (self.folder / "config.yaml").write_text("old")
        files = self.files(force=True)
        files.save(TOKEN, text)
        files.undo()
        self.assertEqual((self.names(), (self.folder / "config.yaml").read_text()), ({"config.yaml"}, "old"))

    def test_disk_fails(self) -> None:
        """Whichever change the disk refuses, what was there is there again, and nothing else."""
        for old in (None, "old"):
            for number in range(12):
                if old is not None:
                    (self.folder / "config.yaml").write_text(old)
                before, left = self.names(), [number]

                def failing(call: Callable[..., Any], left: list[int] = left) -> Callable[..., Any]:
                    def fail(*args: Any, **more: Any) -> Any:
                        left[0] -= 1
                        if left[0] == -1:
                            raise OSError(errno.EIO, "Input/output error")
                        return call(*args, **more)

                    return fail

                for name in ("open", "fsync", "link", "replace"):
                    self.patch(os, name, failing(getattr(os, name)))
                files = self.files(force=old is not None)
                try:
                    files.save(TOKEN, text)
                except OSError:
                    self.assertEqual((self.names(), files.token, files.kept), (before, None, None), number)
                else:
                    self.assertGreater(number, 6)
                    left[0] = -1
                    files.undo()
                    self.assertEqual(self.names(), before)
                if old is not None:
                    self.assertEqual((self.folder / "config.yaml").read_text(), old)

    def test_appears_meanwhile(self) -> None:
        """Somebody else's file that has come between the check and the writing stays, and no token is left."""
        files = self.files()
        files.check()

        def other(name: str) -> str:
            (self.folder / "config.yaml").write_text("other")
            return text(name)

        self.assertRaises(ConfigError, files.save, TOKEN, other)
        self.assertEqual(self.names(), {"config.yaml"})
        self.assertEqual((self.folder / "config.yaml").read_text(), "other")

    def test_appears_at_the_last_moment(self) -> None:
        """Nor is one that nobody has seen coming."""
        (self.folder / "config.yaml").write_text("other")
        self.patch(os.path, "lexists", lambda path: False)
        self.assertRaises(ConfigError, self.files().save, TOKEN, text)
        self.assertEqual(self.names(), {"config.yaml"})
        self.assertEqual((self.folder / "config.yaml").read_text(), "other")

    def test_force(self) -> None:
        """The former configuration is kept, and so is the token that it names."""
        self.files().save("first", text)
        files = self.files(force=True)
        files.check()
        files.save("second", text)
        self.assertEqual((self.folder / "config.yaml").read_text(), "new:config-2.token")
        self.assertEqual((self.folder / "config.yaml.old").read_text(), "new:config.token")
        self.assertEqual((self.folder / "config.token").read_text(), "first\n")
        self.assertEqual((self.folder / "config-2.token").read_text(), "second\n")
        self.assertEqual(files.kept, self.folder / "config.yaml.old")
        files = self.files(force=True)
        files.save("third", text)
        self.assertEqual(files.kept, self.folder / "config.yaml-2.old")
        self.assertEqual((self.folder / "config.yaml.old").read_text(), "new:config.token")
        self.assertEqual((self.folder / "config.yaml-2.old").read_text(), "new:config-2.token")

    def test_failure(self) -> None:
        """When the configuration cannot be written, no token is left."""
        self.patch(os, "fsync", lambda descriptor, count=[0]: self._second_fails(count))
        self.assertRaises(OSError, self.files().save, TOKEN, text)
        self.assertEqual(self.names(), set())

    def _second_fails(self, count: list[int]) -> None:
        count[0] += 1
        if count[0] == 2:
            raise OSError(28, "No space left on device")

    def test_own_name(self) -> None:
        """A configuration that is called like its token would be is none of its own tokens."""
        self.files("config.token").save(TOKEN, text)
        self.assertEqual((self.folder / "config.token").read_text(), "new:config-2.token")

    def test_killed_anywhere(self) -> None:
        """Whenever it is killed: a whole configuration, old or new, whose token is there and whole; nothing lost."""
        ends = set()
        for step in range(40):
            for path in self.folder.iterdir():
                path.unlink()
            (self.folder / "config.token").write_text("old")
            (self.folder / "config.yaml").write_text("old:config.token")
            code, _, errors = self.run_python("-c", KILLED, str(step))
            self.assertIn(code, (0, -signal.SIGKILL), errors)
            mark, name = (self.folder / "config.yaml").read_text().split(":")
            self.assertEqual((self.folder / name).read_text().strip(), mark, step)
            self.assertEqual((self.folder / "config.token").read_text(), "old", step)
            ends.add((mark, code))
            if code == 0:
                break
        self.assertEqual(ends, {("old", -9), ("new", -9), ("new", 0)})

    def test_killed_without_force(self) -> None:
        """The same where there was none: none, or a whole one."""
        script = KILLED.replace("force=True", "force=False")
        ends = set()
        for step in range(40):
            for path in self.folder.iterdir():
                path.unlink()
            code, _, errors = self.run_python("-c", script, str(step))
            self.assertIn(code, (0, -signal.SIGKILL), errors)
            config = self.folder / "config.yaml"
            if config.exists():
                mark, name = config.read_text().split(":")
                self.assertEqual(((self.folder / name).read_text().strip(), mark), ("new", "new"), step)
            ends.add((config.exists(), code))
            if code == 0:
                break
        self.assertEqual(ends, {(False, -9), (True, -9), (True, 0)})
