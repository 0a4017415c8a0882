"""Tells whether the compiled part of the fast relay is present, enabled, and built from this tree's sources."""

from __future__ import annotations

import os
from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType

from gotunnel.errors import Sentence
from gotunnel.net.fast.sources import digest

__all__ = ["NATIVE", "lacking"]

NATIVE = "gotunnel.net.fast._native"
"""The extension module that setup.py builds where it can."""

SOURCES = Path(__file__).with_name("native")
"""Its sources, if they are here. The tree may have changed since the build, for example by `git pull`."""


def lacking() -> str | Sentence | None:
    """Return why the extension is not used in this process, as a continuation of "the native one"; None if it is."""
    if os.environ.get("GOTUNNEL_NATIVE") == "0":
        return "is switched off by GOTUNNEL_NATIVE=0"
    try:
        module = import_module(NATIVE)
    except ModuleNotFoundError:
        return "was not built when gotunnel was installed, which takes a C compiler and Python's headers"
    except ImportError as error:
        return Sentence("cannot be loaded ({error}); install gotunnel anew", error=str(error))
    return _stale(module, SOURCES)


@cache  # asked for by both the loop and the relay
def _stale(module: ModuleType, folder: Path) -> str | Sentence | None:
    try:
        sources = digest(folder)
    except OSError as error:
        return Sentence("cannot be compared with its sources ({error}); install gotunnel anew", error=str(error))
    if sources in ("", getattr(module, "sources", None)):
        return None
    return "was built from other sources than this tree has now; install gotunnel anew (pip install -e .)"
