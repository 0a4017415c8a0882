"""Whether the compiled part of the fast relay is there, and wanted."""

from __future__ import annotations

import os
from importlib import import_module

from gotunnel.errors import Sentence

__all__ = ["NATIVE", "lacking"]

NATIVE = "gotunnel.net.fast._native"
"""What setup.py compiles where it can."""


def lacking() -> str | Sentence | None:
    """Return why it is not used in this process, None if it is: behind "the native one" it makes a sentence."""
    if os.environ.get("GOTUNNEL_NATIVE") == "0":
        return "is switched off by GOTUNNEL_NATIVE=0"
    try:
        import_module(NATIVE)
    except ModuleNotFoundError:
        return "was not built when gotunnel was installed, which takes a C compiler and Python's headers"
    except ImportError as error:
        return Sentence("cannot be loaded ({error}); install gotunnel anew", error=str(error))
    return None
