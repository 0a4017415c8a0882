"""What pip installs: the plugins that twistd finds, the commands, the compiled part of the relay where it can be built,
and nothing that does not belong there.

A wheel is built from a copy of the tree, without an index. In an environment of its own, which sees the dependencies of
the running one, it is then installed and asked.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
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
    "setup.py",
    "setup.cfg",
    "pyproject.toml",
    "MANIFEST.in",
    "LICENSE",
    "README.md",
)

TWISTD = "from twisted.scripts.twistd import run; run()"

TIMEOUT = 300


UNSEEN = ("PYTHONPATH", "COVERAGE_PROCESS_START", "GOTUNNEL_NATIVE", "CFLAGS")

HOOK = "import sys; from setuptools import build_meta; print(getattr(build_meta, sys.argv[1])(sys.argv[2]))"

MODULE = "gotunnel.net.fast._native"
NATIVE = MODULE.replace(".", "/") + sysconfig.get_config_var("EXT_SUFFIX")

STALE = "was built from other sources than this tree has now; install gotunnel anew (pip install -e .)"


def ended(*command: str | Path, cwd: Path, **more: str) -> subprocess.CompletedProcess[str]:
    """Run a command without this tree on its path, with `more` in its environment; return how it ended."""
    env = {key: value for key, value in os.environ.items() if key not in UNSEEN}
    return subprocess.run(
        [str(word) for word in command], cwd=cwd, env=env | more, capture_output=True, text=True, timeout=TIMEOUT
    )


def run(*command: str | Path, cwd: Path, **more: str) -> str:
    """The same for one that must succeed; return what it printed."""
    done = ended(*command, cwd=cwd, **more)
    if done.returncode != 0:
        raise AssertionError(f"{command} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


class TreeTestCase(SynchronousTestCase):
    """Tests in a copy of the tree."""

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

    def pip(self, *arguments: str | Path, **more: str) -> None:
        run(sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments, cwd=self.folder, **more)


class PackagingTests(TreeTestCase):
    """The wheel, and the editable install that `make` uses."""

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

    def assert_installed(self, python: Path) -> None:
        """Both roles are found by twistd and by twist, and every command starts."""
        for command in ([python, "-c", TWISTD, "--help"], [python, "-m", "twisted", "--help"]):
            shown = run(*command, cwd=self.folder)
            self.assertIn("gotunnel-server ", shown)
            self.assertIn("gotunnel-client ", shown)
        for name in ("gotunnel", "gotunnel-server", "gotunnel-client"):
            self.assertTrue(run(python.parent / name, "--version", cwd=self.folder).startswith(f"{name} "))

    def test_wheel(self) -> None:
        """A wheel holds gotunnel and the plugin file alone, and works; without a compiled part it is one for every
        system, whatever a former build has left in the tree."""
        python = self.environment()
        (self.tree / NATIVE).write_text("of a former build")
        stub = "gotunnel/net/fast/stub.pyi"
        (self.tree / stub).touch()
        self.pip(
            "wheel",
            "--quiet",
            "--no-deps",
            "--no-build-isolation",
            "--wheel-dir",
            self.folder / "dist",
            self.tree,
            GOTUNNEL_NATIVE="0",
        )
        (wheel,) = (self.folder / "dist").glob("gotunnel-*-py3-none-any.whl")
        names = zipfile.ZipFile(wheel).namelist()
        self.assertEqual(
            {name.partition("/")[0].partition("-")[0] for name in names}, {"gotunnel", "twisted"}
        )
        self.assertEqual(
            [name for name in names if name.startswith("twisted/")], ["twisted/plugins/gotunnel_plugin.py"]
        )
        self.assertEqual([name for name in names if "__pycache__" in name], [])
        self.assertEqual([name for name in names if name.endswith((".so", ".c", ".h"))], [])
        self.assertLessEqual({"gotunnel/py.typed", stub}, set(names))
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
        if (self.tree / NATIVE).exists():  # as far as there is a compiler
            origin = run(python, "-c", f"import {MODULE} as m; print(m.__file__)", cwd=self.folder).strip()
            self.assertEqual(origin, str(self.tree / NATIVE))
            asking = "from gotunnel.net.fast.compiled import lacking; print(lacking())"
            self.assertEqual(run(python, "-c", asking, cwd=self.folder), "None\n")
            with (self.tree / "gotunnel/net/fast/native/module.c").open("a") as source:
                source.write("/* as git pull would change it */\n")
            said = run(python, "-c", asking, cwd=self.folder)
            self.assertEqual(said, f"{STALE}\n")


class NativeTests(TreeTestCase):
    """The compiled part of the fast relay: built where it can be, never required. The hooks are asked that pip asks."""

    def hook(self, name: str, cwd: Path, **more: str) -> subprocess.CompletedProcess[str]:
        """Have setuptools build something into the folder `dist` of a tree."""
        return ended(sys.executable, "-c", HOOK, name, "dist", cwd=cwd, **more)

    def built(self, name: str, cwd: Path, **more: str) -> Path:
        """The same, if it succeeds; return the file."""
        done = self.hook(name, cwd, **more)
        self.assertEqual(done.returncode, 0, done.stderr)
        return cwd / "dist" / done.stdout.splitlines()[-1]

    def test_sdist(self) -> None:
        """A source distribution has the sources, wherever it was made, and nothing compiled; a wheel that is built from
        it has the module, and the compiler has nothing to remark."""
        (self.tree / NATIVE).write_text("of a former build")
        sdist = self.built("build_sdist", self.tree, GOTUNNEL_NATIVE="0")
        with tarfile.open(sdist) as archive:
            names = {name.partition("/")[2] for name in archive.getnames()}
            archive.extractall(self.folder / "unpacked")
        here = {str(path.relative_to(ROOT)) for path in (ROOT / "gotunnel/net/fast/native").iterdir()}
        self.assertEqual(({"setup.py", "gotunnel/net/fast/native/module.c"} | here) - names, set())
        self.assertEqual([name for name in names if name.endswith((".so", ".o"))], [])
        (source,) = (self.folder / "unpacked").iterdir()
        done = self.hook("build_wheel", source, GOTUNNEL_NATIVE="1", CFLAGS="-Werror")
        if "cannot be built: " in done.stderr:
            raise SkipTest(done.stderr.splitlines()[-1])
        self.assertEqual(done.returncode, 0, done.stderr)
        (wheel,) = (source / "dist").glob("gotunnel-*.whl")
        self.assertFalse(wheel.name.endswith("-none-any.whl"), wheel.name)
        found = self.folder / "installed"
        with zipfile.ZipFile(wheel) as content:
            content.extractall(found)
        self.assertEqual(list(found.rglob("*.c")), [])
        said = run(sys.executable, "-c", f"import {MODULE} as m; print(m.__file__)", cwd=found)
        self.assertEqual(said, f"{found / NATIVE}\n")

    def test_no_compiler(self) -> None:
        """Without a compiler that works the wheel is pure, and one line says so; who requires the compiled part gets
        that line for an error."""
        done = self.hook("build_wheel", self.tree, CC="false")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertTrue(done.stdout.endswith("-py3-none-any.whl\n"), done.stdout[-200:])
        begins = "without the compiled part of the fast relay, whose Python does the same: "
        (line,) = [line for line in done.stdout.splitlines() if line.startswith(begins)]
        done = self.hook("build_wheel", self.tree, CC="false", GOTUNNEL_NATIVE="1")
        self.assertNotEqual(done.returncode, 0)
        refused = line.replace(begins, "the compiled part of the fast relay cannot be built: ")
        self.assertEqual(done.stderr.splitlines()[-1], refused)

    def test_left_over(self) -> None:
        """A wheel has nothing that only a former build had, which an upgrade in the same checkout would bring back."""
        left = [self.tree / "build" / folder / "gotunnel" / "gone.py" for folder in ("lib", "lib.of-a-platform")]
        for path in left:
            path.parent.mkdir(parents=True)
            path.write_text("left over")
        names = zipfile.ZipFile(self.built("build_wheel", self.tree, CC="false")).namelist()
        self.assertIn("gotunnel/errors.py", names)
        self.assertNotIn("gotunnel/gone.py", names)
        self.assertEqual([path for path in left if path.exists()], [])

    def test_broken_source(self) -> None:
        """Sources that this compiler does not take are left out as well, unless they are required."""
        (self.tree / "gotunnel/net/fast/native/broken.c").write_text("#error of no use here\n")
        wheel = self.built("build_wheel", self.tree)
        self.assertNotIn(NATIVE, zipfile.ZipFile(wheel).namelist())
        done = self.hook("build_wheel", self.tree, GOTUNNEL_NATIVE="1")
        self.assertNotEqual(done.returncode, 0)

    def test_editable(self) -> None:
        """An editable install does not keep what an earlier one has compiled, of sources that were others."""
        (self.tree / NATIVE).write_text("of a former build")
        self.built("build_editable", self.tree, CC="false")
        self.assertFalse((self.tree / NATIVE).exists())

    def test_wish(self) -> None:
        """A slip in the variable is told."""
        done = self.hook("build_wheel", self.tree, GOTUNNEL_NATIVE="no")
        self.assertEqual(
            done.stderr.splitlines()[-1],
            "GOTUNNEL_NATIVE=no is not known: 0 leaves the compiled part out, 1 requires it",
        )
