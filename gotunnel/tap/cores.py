"""A process that holds tokens and keys leaves no image of its memory behind when it crashes."""

from __future__ import annotations

import resource

__all__ = ["without_core"]


def without_core() -> None:
    """Let the kernel write no core file, and systemd-coredump keep none. To examine a crash, permit core files for a
    running process: `prlimit --core=unlimited --pid PID`."""
    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, hard))
