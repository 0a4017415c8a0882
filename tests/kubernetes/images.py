"""Container images made by hand: there is no registry behind the tunnel. Each has Debian's static busybox, and one
program of Kubernetes or none."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Mapping
from pathlib import Path

__all__ = ["BUSYBOX", "archive"]

BUSYBOX = "gotunnel.test/busybox:1"

_WORDS = ("sh", "cat", "sleep", "tar", "echo", "httpd", "true")


def archive(path: Path, busybox: Path, images: Mapping[str, Path | None]) -> None:
    """Write an archive of images, as `ctr images import` reads it: to each name the program that it is to have."""
    manifest = []
    with tarfile.open(path, "w") as tar:
        for number, (name, program) in enumerate(images.items()):
            layer = _layer(busybox, program)
            _add(tar, f"{number}.tar", layer)
            _add(tar, f"{number}.json", _config(layer))
            manifest.append({"Config": f"{number}.json", "RepoTags": [name], "Layers": [f"{number}.tar"]})
        _add(tar, "manifest.json", json.dumps(manifest).encode())


def _layer(busybox: Path, program: Path | None) -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as tar:
        for folder in ("bin", "etc", "root", "tmp", "www"):
            info = tarfile.TarInfo(folder)
            info.type, info.mode = tarfile.DIRTYPE, 0o777
            tar.addfile(info)
        _add(tar, "bin/busybox", busybox.read_bytes(), 0o755)
        _add(tar, "etc/passwd", b"root:x:0:0:root:/root:/bin/sh\n")
        for word in _WORDS:
            info = tarfile.TarInfo(f"bin/{word}")
            info.type, info.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(info)
        if program is not None:
            _add(tar, f"bin/{program.name}", program.read_bytes(), 0o755)
    return content.getvalue()


def _config(layer: bytes) -> bytes:
    return json.dumps(
        {
            "architecture": "amd64", "os": "linux",
            "config": {"Env": ["PATH=/bin"], "Entrypoint": ["/bin/sleep", "2147483647"]},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
        }
    ).encode()  # fmt: skip


def _add(tar: tarfile.TarFile, name: str, content: bytes, mode: int = 0o644) -> None:
    info = tarfile.TarInfo(name)
    info.size, info.mode = len(content), mode
    tar.addfile(info, io.BytesIO(content))
