"""What pip installs: the plugins that twistd finds, the commands, and nothing that does not belong there.

A wheel is built from a copy of the tree, without an index. In an environment of its own, which sees the dependencies of
the running one, it is then installed and asked.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from twisted.trial.unittest import SkipTest, SynchronousTestCase

ROOT = Path(__file__).resolve().parent.parent

COPIED = (
    "gotunnel",
    "twisted",
    "tests",
    "setup.cfg",
    "pyproject.toml",
    "MANIFEST.in",
    "LICENSE",
    "README.md",
)

TWISTD = "from twisted.scripts.twistd import run; run()"

TIMEOUT = 300


def run(*command: str | Path, cwd: Path) -> str:
    """Run a command without this tree on its path; return what it printed."""
    env = {
        key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "COVERAGE_PROCESS_START")
    }
    done = subprocess.run(
        [str(word) for word in command], cwd=cwd, env=env, capture_output=True, text=True, timeout=TIMEOUT
    )
    if done.returncode != 0:
        raise AssertionError(f"{command} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


class PackagingTests(SynchronousTestCase):
    """The wheel, and the editable install that `make` uses."""

    def setUp(self) -> None:
        if find_spec("pip") is None:
            raise SkipTest("pip is not installed here")
        try:
            setuptools = version("setuptools")
        except PackageNotFoundError:
            raise SkipTest("setuptools is not installed here, and none is fetched for a test") from None
        if int(setuptools.partition(".")[0]) < 77:
            raise SkipTest(
                f"setuptools {setuptools} is too old to build a wheel without an index; 77 is needed"
            )
        self.folder = Path(self.mktemp()).absolute()
        self.tree = self.folder / "tree"
        self.tree.mkdir(parents=True)
        for name in COPIED:
            source = ROOT / name
            if source.is_dir():
                # With the compiled files that a used tree has, so that they are seen to stay out.
                shutil.copytree(source, self.tree / name, ignore=shutil.ignore_patterns("_trial_temp*"))
            elif source.exists():
                shutil.copy(source, self.tree / name)

    def environment(self) -> Path:
        """Make an environment that has our dependencies, and not us; return its interpreter."""
        place = self.folder / "environment"
        venv.create(place, with_pip=False, symlinks=True)
        python = place / "bin" / "python"
        packages = run(
            python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=self.folder
        ).strip()
        # Paths that a .pth file adds are not searched for .pth files: an editable install of ours stays unseen.
        paths = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
        Path(packages, "dependencies.pth").write_text("\n".join(sorted(paths)) + "\n")
        missing = run(
            python, "-c", "import importlib.util as u; print(u.find_spec('gotunnel'))", cwd=self.folder
        )
        self.assertEqual(missing, "None\n")
        return python

    def pip(self, *arguments: str | Path) -> None:
        run(sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments, cwd=self.folder)

    def assert_installed(self, python: Path) -> None:
        """Both roles are found by twistd and by twist, and every command starts."""
        for command in ([python, "-c", TWISTD, "--help"], [python, "-m", "twisted", "--help"]):
            shown = run(*command, cwd=self.folder)
            self.assertIn("gotunnel-server ", shown)
            self.assertIn("gotunnel-client ", shown)
        for name in ("gotunnel", "gotunnel-server", "gotunnel-client"):
            self.assertTrue(run(python.parent / name, "--version", cwd=self.folder).startswith(f"{name} "))

    def test_wheel(self) -> None:
        """A wheel holds gotunnel and the plugin file alone, and works."""
        python = self.environment()
        self.pip(
            "wheel",
            "--quiet",
            "--no-deps",
            "--no-build-isolation",
            "--wheel-dir",
            self.folder / "dist",
            self.tree,
        )
        (wheel,) = (self.folder / "dist").glob("gotunnel-*.whl")
        names = zipfile.ZipFile(wheel).namelist()
        self.assertEqual(
            {name.partition("/")[0].partition("-")[0] for name in names}, {"gotunnel", "twisted"}
        )
        self.assertEqual(
            [name for name in names if name.startswith("twisted/")], ["twisted/plugins/gotunnel_plugin.py"]
        )
        self.assertEqual([name for name in names if "__pycache__" in name], [])
        self.assertIn("gotunnel/py.typed", names)
        self.assertIn("gotunnel/i18n/zh.mo", names)
        self.assertIn("gotunnel/i18n/codes.txt", names)
        self.assertIn("gotunnel/i18n/hints.txt", names)
        page = {f"gotunnel/admin/page/{path.name}" for path in (ROOT / "gotunnel" / "admin" / "page").iterdir()}
        self.assertEqual(page - set(names), set())
        here = {str(path.relative_to(ROOT)) for path in (ROOT / "gotunnel").rglob("*.py")}
        self.assertEqual(here - set(names), set())
        self.pip("--python", python, "install", "--quiet", "--no-deps", "--no-index", wheel)
        self.assert_installed(python)

    def test_editable(self) -> None:
        """An editable install is found too: Twisted searches the folders of sys.path, and no import hook."""
        python = self.environment()
        self.pip(
            "--python",
            python,
            "install",
            "--quiet",
            "--no-deps",
            "--no-index",
            "--no-build-isolation",
            "-e",
            self.tree,
        )
        self.assert_installed(python)
        origin = run(python, "-c", "import gotunnel; print(gotunnel.__file__)", cwd=self.folder).strip()
        self.assertEqual(origin, str(self.tree / "gotunnel" / "__init__.py"))
