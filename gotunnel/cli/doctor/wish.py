"""What the command line of `gotunnel doctor` asks for."""

from __future__ import annotations

from pathlib import Path

from gotunnel.records import record

__all__ = ["Wish"]


@record
class Wish:
    """What the command line asks for. `names`: those by which workers would reach a kube-apiserver; `timeout`: seconds
    for each step; `throughput`: whether legs are measured."""

    kubernetes: bool = False
    names: tuple[str, ...] = ()
    kubelet_ca: Path | None = None
    timeout: float = 5.0
    throughput: bool = True
