"""Builds the programs of a cluster from their source, as the Go module proxy has it, into a folder. What is there
already is not built anew.

    python -m tests.kubernetes.build FOLDER
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

__all__ = ["ETCD", "KUBERNETES", "PROGRAMS", "build"]

KUBERNETES = "1.36.3"
ETCD = "3.6.8"
"""What this kubeadm asks for."""

_OURS = ("kube-apiserver", "kubeadm", "kubelet", "kubectl", "kube-controller-manager", "kube-proxy", "kube-scheduler")
PROGRAMS = (*_OURS, "etcd")

_KUBERNETES, _ETCD = "k8s.io/kubernetes", "go.etcd.io/etcd/server/v3"
_STAGED = re.compile(r"^\s+(k8s\.io/[\w-]+) v0\.0\.0$", re.MULTILINE)
"""What it takes from its own tree; for everybody else the proxy has it as modules."""


def build(folder: Path) -> None:
    """Build what is missing. Raises CalledProcessError, behind what Go said of it."""
    packages = {name: f"{_KUBERNETES}/cmd/{name}" for name in _OURS} | {"etcd": _ETCD}
    for name, package in packages.items():
        if (folder / name).exists():
            continue
        print(f"building {name}, which takes minutes", flush=True)
        source = folder / "source" / ("etcd" if name == "etcd" else "kubernetes")
        if not (source / "go.sum").exists():
            source.mkdir(parents=True, exist_ok=True)
            _prepare_etcd(source) if name == "etcd" else _prepare(source)
        version = "k8s.io/component-base/version"
        major, minor, _ = KUBERNETES.split(".")
        stamps = {"gitVersion": f"v{KUBERNETES}", "gitMajor": major, "gitMinor": minor}
        flags = " ".join(["-s -w", *(f"-X {version}.{key}={value}" for key, value in stamps.items())])
        _go(source, "build", "-ldflags", flags, "-o", str(folder / name), package)


def _prepare(source: Path) -> None:
    (source / "go.mod").write_text("module cluster\n")
    theirs = _go(source, "list", "-m", "-f", "{{.GoMod}}", f"{_KUBERNETES}@v{KUBERNETES}").strip()
    text = Path(theirs).read_text()
    staged = [f"\t{module} => {module} v0.{KUBERNETES.partition('.')[2]}" for module in _STAGED.findall(text)]
    defaults = re.findall(r"^(?:go|godebug) .*$", text, re.MULTILINE)
    lines = ["module cluster", *defaults, f"require {_KUBERNETES} v{KUBERNETES}", "replace (", *staged, ")", ""]
    _tidy(source, lines, [f"{_KUBERNETES}/cmd/{program}" for program in _OURS])


def _prepare_etcd(source: Path) -> None:
    _tidy(source, ["module cluster", "go 1.24", f"require {_ETCD} v{ETCD}", ""], [_ETCD])


def _tidy(source: Path, lines: list[str], packages: list[str]) -> None:
    (source / "go.mod").write_text("\n".join(lines))
    imports = "".join(f'\t_ "{package}"\n' for package in packages)
    # `go mod tidy` looks at files for every build tag; no build takes this one.
    (source / "programs.go").write_text(f"//go:build never\n\npackage cluster\n\nimport (\n{imports})\n")
    _go(source, "mod", "tidy", "-e")


def _go(source: Path, *words: str) -> str:
    path = f"{os.environ['PATH']}:/usr/local/go/bin"
    environment = {**os.environ, "PATH": path, "CGO_ENABLED": "0"}
    command = ["nice", "go", *words]
    return subprocess.run(command, cwd=source, env=environment, stdout=subprocess.PIPE, text=True, check=True).stdout


if __name__ == "__main__":
    build(Path(sys.argv[1]).absolute())
