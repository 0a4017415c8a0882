"""What setup.cfg cannot say: the compiled part of the fast relay, `gotunnel.net.fast._native`. It is built where it can
be, and never required; gotunnel without it is pure Python.

GOTUNNEL_NATIVE=0 in the environment leaves it out; GOTUNNEL_NATIVE=1 makes a failure end the build.
"""

from __future__ import annotations

import os
import sys
import sysconfig
from glob import glob
from pathlib import Path
from runpy import run_path
from shutil import rmtree
from tempfile import TemporaryDirectory

from setuptools import Distribution, Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.errors import BaseError, CCompilerError

NAME = "gotunnel.net.fast._native"
SOURCES = sorted(glob("gotunnel/net/fast/native/*.c"))
HEADERS = sorted(glob("gotunnel/net/fast/native/*.h"))
DIGEST = "gotunnel/net/fast/sources.py"
"""Tells these sources from others. gotunnel itself cannot be imported yet."""

BUILDING = {"bdist_wheel", "editable_wheel", "build", "build_ext", "develop", "install"}
"""The commands that come to the compiler. Others, which pip runs beside them, need not know whether there is one."""

PROBE = "#include <Python.h>\nPyMODINIT_FUNC PyInit_probe(void);\nPyMODINIT_FUNC PyInit_probe(void) { return NULL; }\n"


def wished() -> str:
    """Return GOTUNNEL_NATIVE: 0, 1, or nothing."""
    wish = os.environ.get("GOTUNNEL_NATIVE", "")
    if wish not in ("", "0", "1"):
        sys.exit(f"GOTUNNEL_NATIVE={wish} is not known: 0 leaves the compiled part out, 1 requires it")
    return wish


def obstacle() -> str | None:
    """Return why nothing can be compiled here, or None."""
    if not sys.platform.startswith("linux"):
        return "it is for Linux"
    if sys.implementation.name != "cpython":
        return "it is for CPython"
    if not Path(sysconfig.get_path("include"), "Python.h").exists():
        return "Python.h is not here (on Debian: apt-get install python3-dev)"
    return refusal()


def refusal() -> str | None:
    """Return why a module with nothing in it cannot be compiled, or None. It is tried ahead of the build, since that
    begins with the question whether the wheel will be one for this platform alone."""
    with TemporaryDirectory() as folder:
        source = Path(folder, "probe.c")
        source.write_text(PROBE)
        build = build_ext(Distribution({"name": "probe", "ext_modules": [Extension("probe", [str(source)])]}))
        build.build_lib = build.build_temp = folder
        try:
            build.ensure_finalized()
            build.run()
        except (BaseError, CCompilerError, OSError):
            compiler = os.environ.get("CC") or sysconfig.get_config_var("CC")
            return f"the C compiler ({compiler}) makes no module here (on Debian: apt-get install gcc libc6-dev)"
    return None


def forget() -> None:
    """Take out of this tree what former builds have left: what an editable install has compiled, since what comes after
    it may be another; and the copies of modules ahead of a wheel, which setuptools adds to without a look at what is no
    part of gotunnel any more."""
    if "bdist_wheel" in sys.argv:
        for copies in glob("build/lib*"):
            rmtree(copies)
    if {"editable_wheel", "develop"} & set(sys.argv):
        Path(f"{NAME.replace('.', '/')}{sysconfig.get_config_var('EXT_SUFFIX')}").unlink(missing_ok=True)


def extensions() -> list[Extension]:
    """Return the compiled part, unless it is not wished or cannot be."""
    wish = wished()
    why = "GOTUNNEL_NATIVE=0" if wish == "0" else obstacle() if BUILDING & set(sys.argv) else None
    if why is not None and wish == "1":
        sys.exit(f"the compiled part of the fast relay cannot be built: {why}")
    if why is not None:
        print(f"without the compiled part of the fast relay, whose Python does the same: {why}")
        return []
    flags = ["-O2", "-Wall", "-Wextra", "-fvisibility=hidden"]
    digest = run_path(DIGEST)["digest"](Path("gotunnel/net/fast/native"))
    return [
        Extension(
            NAME, SOURCES, depends=[*HEADERS, DIGEST], define_macros=[("SOURCES", f'"{digest}"')],
            extra_compile_args=flags, optional=wish != "1",
        )
    ]  # fmt: skip


found = extensions()
forget()
setup(ext_modules=found)
