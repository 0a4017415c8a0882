"""Builds the compiled part of the fast relay with the sanitizers of addresses and of undefined behaviour, in a copy of
the tree, and runs tests there: `python -m tests.sanitize [TEST…]` (`make sanitize`). A developer's tool.

In the copy `gotunnel.net.fast._native` is the module with the sanitizers, also for processes that tests start. Python's
objects come from malloc, so that a use of one that is gone is seen as well. Leaks are not looked for: the interpreter
ends with memory of its own. Exits with 3 where this compiler has no sanitizers.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.processes import ROOT

__all__ = ["NoSanitizers", "built", "copied", "environment"]

COPIED = ("gotunnel", "twisted", "tests", "setup.py", "setup.cfg", "pyproject.toml", "MANIFEST.in", "README.md")
LEFT_OUT = ("__pycache__", "*.so", "_trial_temp*")
FLAGS = "-g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=undefined"
MODULE = "gotunnel.net.fast._native"


class NoSanitizers(Exception):
    """Nothing can be built with them here."""


def copied(folder: Path) -> Path:
    """Copy what is built and run into a folder that is not there yet, nothing compiled among it; return it."""
    folder.mkdir(parents=True)
    for name in COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns(*LEFT_OUT))
        else:
            shutil.copy(ROOT / name, folder / name)
    return folder


def built(folder: Path) -> None:
    """Build the module in a copy. Raises NoSanitizers."""
    env = {**os.environ, "CFLAGS": FLAGS, "GOTUNNEL_NATIVE": "1"}
    command = [sys.executable, "setup.py", "--quiet", "build_ext", "--inplace"]
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise NoSanitizers(done.stderr)


def environment(folder: Path) -> dict[str, str]:
    """Return that of processes which load the module. Raises NoSanitizers."""
    compiler = (os.environ.get("CC") or str(sysconfig.get_config_var("CC"))).split()
    found = subprocess.run([*compiler, "-print-file-name=libasan.so"], capture_output=True, text=True, check=False)
    library = found.stdout.strip()
    if not Path(library).is_absolute():
        raise NoSanitizers(f"{' '.join(compiler)} knows no libasan.so, which comes with gcc")
    return {
        **os.environ,
        # The interpreter has none of it, and so it has to be there before anything else is loaded.
        "LD_PRELOAD": library,
        "ASAN_OPTIONS": "detect_leaks=0",
        "UBSAN_OPTIONS": "print_stacktrace=1",
        "PYTHONMALLOC": "malloc",
        "PYTHONPATH": str(folder),
    }


def about_it() -> list[str]:
    """Return the tests that have to do with it."""
    found = {path for what in ("fast", "native", "pump") for path in (ROOT / "tests" / "net").glob(f"test_{what}*.py")}
    return [f"tests.net.{path.stem}" for path in sorted(found)]


def main(tests: list[str]) -> int:
    """Build, run, and return the exit code."""
    with TemporaryDirectory(prefix="gotunnel-sanitize-") as place:
        folder = copied(Path(place) / "tree")
        try:
            env = environment(folder)
            built(folder)
        except NoSanitizers as error:
            print(error, file=sys.stderr)
            return 3
        subprocess.run([sys.executable, "-c", f"import {MODULE}"], cwd=folder, env=env, check=True)
        command = [sys.executable, "-m", "tests.run", "-j2", *(tests or about_it())]
        return subprocess.run(command, cwd=folder, env=env, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
