"""A role of gotunnel under cProfile: `python -m bench.traced FILE ROLE …`. SIGUSR1 turns it on, the next one off.

What comes before and after the measure, imports above all, stays out of the figures that FILE gets.
"""

from __future__ import annotations

import cProfile
import signal
import sys
from types import FrameType

__all__ = ["main"]


def main(words: list[str]) -> None:
    """Run a role with the options that follow its name."""
    path, role, *options = words
    profile = cProfile.Profile()
    running = False

    def toggle(number: int, frame: FrameType | None) -> None:
        nonlocal running
        running = not running
        if running:
            profile.enable()
        else:
            profile.disable()
            profile.dump_stats(path)

    signal.signal(signal.SIGUSR1, toggle)
    from gotunnel.cli import roles

    getattr(roles, role)(options, prog_name=f"gotunnel-{role}")


if __name__ == "__main__":
    main(sys.argv[1:])
