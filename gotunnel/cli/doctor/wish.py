"""The options of `gotunnel doctor`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

__all__ = ["Wish"]


@dataclass(frozen=True, slots=True)
class Wish:
    """The options of the command line. `names` are those by which workers reach a kube-apiserver; `timeout` is the
    seconds for each step; `throughput` says whether legs are measured."""

    kubernetes: bool = False
    names: tuple[str, ...] = ()
    kubelet_ca: Path | None = None
    timeout: float = 5.0
    throughput: bool = True
