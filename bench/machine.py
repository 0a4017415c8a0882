"""Where and when a run was made, and how busy the machine was with other things meanwhile."""

from __future__ import annotations

import os
import platform
import ssl
import time
from datetime import datetime, timezone
from pathlib import Path

__all__ = ["OtherLoad", "machine", "now"]

_CONTROL = Path("/proc/sys/net/ipv4/tcp_congestion_control")
"""Whether bytes are sent by a timer decides most of what bulk costs on loopback (docs/en/performance.md)."""


def now() -> str:
    """Return the time, in UTC, to the minute."""
    return datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC")


def machine() -> dict[str, str]:
    """Return what a reader has to know of this machine."""
    return {
        "processor": f"{os.cpu_count()} × {_processor()}",
        "system": f"{platform.system()} {platform.release()}",
        "control": f"TCP {_CONTROL.read_text().strip()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "openssl": ssl.OPENSSL_VERSION.partition("  ")[0],
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return " ".join(value.split())
    return platform.machine()


class OtherLoad:
    """How much of the machine others used. Wake-ups are cheaper on a busy virtual machine than on one that halts: a
    run beside others is a run of its own kind, and says so."""

    def __init__(self) -> None:
        self._busy, self._began = _busy(), time.monotonic()
        self._own = _own()

    def percent(self) -> float:
        """Return the percentage of all cores that went to processes which are not ours. All of ours must have ended."""
        passed = (time.monotonic() - self._began) * (os.cpu_count() or 1)
        others = _busy() - self._busy - (_own() - self._own)
        return max(0.0, min(100.0, others / passed * 100))


def _busy() -> float:
    """Return the seconds that all cores together were not idle (proc(5), /proc/stat)."""
    user, nice, system, _, _, irq, softirq = map(
        int, Path("/proc/stat").read_text().split(maxsplit=8)[1:8]
    )
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")


def _own() -> float:
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system
