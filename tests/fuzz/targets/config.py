"""A configuration file: it is loaded, or refused with lines for an operator, without a token in them."""

from __future__ import annotations

import tempfile
from pathlib import Path

from gotunnel.config.explain import explain
from gotunnel.config.load import load
from gotunnel.errors import ConfigError

__all__ = ["attempt"]

TOKEN = "7f3a9c51e8d24b60af17c3925be8d046"
_FOLDER = tempfile.TemporaryDirectory(prefix="gotunnel-fuzz-")


def attempt(data: bytes) -> None:
    path = Path(_FOLDER.name) / "config.yaml"
    path.write_bytes(data)
    path.chmod(0o600)
    try:
        lines = explain(load(path, {"GOTUNNEL_TOKEN": TOKEN}))
    except ConfigError as refused:
        lines = [str(problem) for problem in refused.problems]
        assert lines, "refused without a reason"
    for line in lines:
        assert line.isprintable(), "not a line"
        assert TOKEN not in line, "a token"
