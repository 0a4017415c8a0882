"""A plugin package of somebody else's, as it would be on an index: built as a wheel, and installed into a folder."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from twisted.trial.unittest import SkipTest

__all__ = ["installed"]

FILES = {
    "pyproject.toml": """
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"

[project]
name = "acme-gotunnel"
version = "1.2.3"

[tool.setuptools.packages.find]
where = ["src"]
include = ["gotunnel.plugins", "acme_gotunnel"]
""",
    "src/acme_gotunnel/__init__.py": '''
from pathlib import Path

from twisted.internet.defer import fail, succeed
from zope.interface import implementer

from gotunnel.interfaces import IHealthCheck, IPortAllocator, IStreamObserver
from gotunnel.plugin import GotunnelError


@implementer(IStreamObserver)
class Audit:
    """Writes how visitors fare into a file."""

    def __init__(self, reactor, options, role):
        self.file = Path(options.file)

    def opened(self, stream):
        pass

    def bytes(self, stream, up, down):
        pass

    def closed(self, stream, ended):
        with self.file.open("a") as file:
            file.write(f"{stream.client} {stream.mapping} {ended.outcome} {ended.up}\\n")

    def stop(self):
        with self.file.open("a") as file:
            file.write("stop\\n")


@implementer(IPortAllocator)
class OnePort:
    """Always the same."""

    def __init__(self, reactor, options):
        self.port = options.port

    def candidates(self, wish):
        return [self.port]


@implementer(IHealthCheck)
class FlagCheck:
    """A target is well while a file is there."""

    def __init__(self, reactor, target, options, timeout):
        self.flag = Path(options.flag)

    def probe(self):
        return succeed(None) if self.flag.exists() else fail(GotunnelError("the flag is down"))
''',
    "src/gotunnel/plugins/acme.py": '''
from gotunnel.interfaces import IHealthCheck, IPortAllocator, IStreamObserver
from gotunnel.plugin import Field, Options, Plugin


class FlagOptions(Options):
    flag: str = Field(description="file that is there while the target is well")


class AuditOptions(Options):
    file: str = Field(description="where to write")


class PortOptions(Options):
    port: int = Field(description="the one port", ge=1, le=65535)


audit = Plugin(IStreamObserver, "acme-audit", "acme_gotunnel.Audit", options=AuditOptions, summary="keeps an account")
port = Plugin(IPortAllocator, "acme-port", "acme_gotunnel.OnePort", options=PortOptions, summary="has one port")

flag = Plugin(IHealthCheck, "acme-flag", "acme_gotunnel.FlagCheck", options=FlagOptions, summary="looks for a file")
''',
}


def installed(folder: Path) -> Path:
    """Build the package below `folder`, and install it; return the folder to put on Python's path."""
    if find_spec("pip") is None:
        raise SkipTest("pip is not installed here")
    try:
        version("setuptools")
    except PackageNotFoundError:
        raise SkipTest("setuptools is not installed here, and none is fetched for a test") from None
    tree, site = folder / "acme", folder / "site"
    for name, text in FILES.items():
        path = tree / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    offline = ["--no-deps", "--no-index"]
    wheel = folder / "acme_gotunnel-1.2.3-py3-none-any.whl"
    for words in (
        ["wheel", *offline, "--no-build-isolation", "--wheel-dir", str(folder), str(tree)],
        ["install", *offline, "--no-compile", "--target", str(site), str(wheel)],
    ):
        done = subprocess.run([*pip, *words], cwd=folder, capture_output=True, text=True, timeout=300)
        if done.returncode != 0:
            raise AssertionError(done.stdout + done.stderr)
    return site
