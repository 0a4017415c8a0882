"""Whether the compiled part of the fast relay is there, and wanted, and of the sources that this tree has."""

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
"""What setup.py compiles where it can."""

SOURCES = Path(__file__).with_name("native")
"""Of what, if it is here: a tree may have got others since, as by `git pull`."""


def lacking() -> str | Sentence | None:
    """Return why it is not used in this process, None if it is: behind "the native one" it makes a sentence."""
    if os.environ.get("GOTUNNEL_NATIVE") == "0":
        return "is switched off by GOTUNNEL_NATIVE=0"
    try:
        module = import_module(NATIVE)
    except ModuleNotFoundError:
        return "was not built when gotunnel was installed, which takes a C compiler and Python's headers"
    except ImportError as error:
        return Sentence("cannot be loaded ({error}); install gotunnel anew", error=str(error))
    return _stale(module, SOURCES)


@cache  # it is asked for the loop, and for the relay
def _stale(module: ModuleType, folder: Path) -> str | Sentence | None:
    try:
        sources = digest(folder)
    except OSError as error:
        return Sentence("cannot be compared with its sources ({error}); install gotunnel anew", error=str(error))
    if sources in ("", getattr(module, "sources", None)):
        return None
    return "was built from other sources than this tree has now; install gotunnel anew (pip install -e .)"
