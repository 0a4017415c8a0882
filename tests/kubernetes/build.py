"""Builds the programs of Kubernetes from their source, as the Go module proxy has it, into a folder. What is there
already is not built anew.

    python -m tests.kubernetes.build FOLDER
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

__all__ = ["KUBERNETES", "PROGRAMS", "build"]

KUBERNETES = "1.36.3"
PROGRAMS = (
    "etcd", "kube-apiserver", "kubeadm", "kubelet", "kubectl", "kube-controller-manager", "kube-proxy", "kube-scheduler"
)  # fmt: skip

_MODULE = "k8s.io/kubernetes"
_STAGED = re.compile(r"^\s+(k8s\.io/[\w-]+) v0\.0\.0$", re.MULTILINE)
"""What its own go.mod takes from its tree, and who is elsewhere from the proxy."""


def build(folder: Path) -> None:
    """Build what is missing. Raises CalledProcessError, behind what Go said of it."""
    source = folder / "source"
    source.mkdir(parents=True, exist_ok=True)
    missing = [program for program in PROGRAMS if not (folder / program).exists()]
    if not missing:
        return
    if not (source / "go.sum").exists():
        _prepare(source)
    stamp = f"-X k8s.io/component-base/version.gitVersion=v{KUBERNETES}"
    for program in missing:
        print(f"building {program} {KUBERNETES}", flush=True)
        package = f"{_MODULE}/cmd/{program}"
        _go(source, "build", "-ldflags", f"-s -w {stamp}", "-o", str(folder / program), package)


def _prepare(source: Path) -> None:
    (source / "go.mod").write_text("module real\n\ngo 1.26.0\n")
    _go(source, "mod", "download", f"{_MODULE}@v{KUBERNETES}")
    theirs = Path(_go(source, "list", "-m", "-f", "{{.GoMod}}", f"{_MODULE}@v{KUBERNETES}").strip()).read_text()
    staged = [f"\t{module} => {module} v0.{KUBERNETES.partition('.')[2]}" for module in _STAGED.findall(theirs)]
    defaults = re.findall(r"^(?:go|godebug) .*$", theirs, re.MULTILINE)
    lines = ["module real", *defaults, f"require {_MODULE} v{KUBERNETES}", "replace (", *staged, ")", ""]
    (source / "go.mod").write_text("\n".join(lines))
    imports = "".join(f'\t_ "{_MODULE}/cmd/{program}"\n' for program in PROGRAMS)
    (source / "programs.go").write_text(f"//go:build never\n\npackage real\n\nimport (\n{imports})\n")
    _go(source, "mod", "tidy", "-e")


def _go(source: Path, *words: str) -> str:
    path = f"{os.environ['PATH']}:/usr/local/go/bin"
    environment = {**os.environ, "PATH": path, "CGO_ENABLED": "0"}
    command = ["nice", "go", *words]
    return subprocess.run(command, cwd=source, env=environment, stdout=subprocess.PIPE, text=True, check=True).stdout


if __name__ == "__main__":
    build(Path(sys.argv[1]).absolute())
