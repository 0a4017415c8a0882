"""What the command line of `gotunnel doctor` asks for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

__all__ = ["Wish"]


@dataclass(frozen=True, slots=True)
class Wish:
    """What the command line asks for. `names`: those by which workers would reach a kube-apiserver; `timeout`: seconds
    for each step; `throughput`: whether legs are measured."""

    kubernetes: bool = False
    names: tuple[str, ...] = ()
    kubelet_ca: Path | None = None
    timeout: float = 5.0
    throughput: bool = True
