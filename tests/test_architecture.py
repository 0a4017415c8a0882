"""Keeps the rings of the package: who may import whom, who may know Twisted, who may name the global reactor."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

ROOT = Path(__file__).resolve().parent.parent

EVERYWHERE = {"errors", "address"}
SIDES = EVERYWHERE | {"", "dialrules", "wire", "core", "config", "net", "logs", "interfaces", "catalogue"}
RUNNERS = SIDES | {"i18n", "server", "client", "admin", "history"}

ALLOWED: dict[str, set[str]] = {
    "": set(),
    "__main__": {"cli"},
    "errors": set(),
    "address": set(),
    "logs": set(),
    "i18n": {"errors"},
    "interfaces": EVERYWHERE,
    "dialrules": {"address"},
    "catalogue": {"errors", "interfaces"},
    "config": EVERYWHERE | {"dialrules", "catalogue"},
    "plugin": {"errors", "config", "interfaces"},
    "plugins": {"config", "interfaces", "plugin"},
    "wire": EVERYWHERE,
    "core": EVERYWHERE | {"dialrules", "wire"},
    "net": EVERYWHERE | {"", "dialrules", "wire", "core", "config", "logs", "interfaces", "catalogue"},
    "server": SIDES,
    "client": SIDES,
    "history": SIDES,
    "admin": SIDES | {"i18n", "history"},
    "api": RUNNERS - {"i18n", "admin", "history"},
    "tap": RUNNERS,
    "cli": RUNNERS | {"tap", "api"},
}
"""The parts of `gotunnel` that each part may import, itself aside; "" is the package's own `__version__`."""

PURE = EVERYWHERE | {"dialrules", "config", "wire", "core", "i18n"}
"""No Twisted here: bytes in, events out; facts in, decisions out."""

OUTSIDE = {
    "errors": set(),
    "address": set(),
    "dialrules": set(),
    "i18n": set(),
    "wire": {"cryptography"},
    "core": {"cryptography"},
    "config": {"pydantic", "pydantic_core", "yaml", "typing_extensions"},
}
"""What the pure parts may import beyond the standard library."""

MAY_NAME_THE_REACTOR = {"tap", "cli"}
MAY_LOOK_FOR_IT = {"api"}
"""Inside of functions: a program that imports them may choose its reactor later."""

Import = tuple[str, int]
"""A dotted name that is imported, and the line."""


def imports(source: str, package: str) -> Iterator[Import]:
    """Yield everything that a module of `package` imports, also inside of functions and under TYPE_CHECKING."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*above, base] if base else above)
            for alias in node.names:
                yield f"{base}.{alias.name}", node.lineno


def at_import(source: str) -> set[int]:
    """Return the lines of the imports that are carried out when a module is imported."""
    inside = {
        node.lineno
        for function in ast.walk(ast.parse(source))
        if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef))
        for node in ast.walk(function)
        if isinstance(node, (ast.Import, ast.ImportFrom))
    }
    return {line for _, line in imports(source, "")} - inside


def part_of(name: str) -> str:
    """Return which part of gotunnel a dotted name belongs to."""
    parts = name.split(".")
    return parts[1] if len(parts) > 1 and parts[1] in ALLOWED else ""


def violations(root: Path) -> list[str]:
    """Return every import below `root`/gotunnel that breaks a rule, a line each."""
    found: list[str] = []
    for path in sorted((root / "gotunnel").rglob("*.py")):
        relative = path.relative_to(root)
        module = ".".join(relative.with_suffix("").parts)
        package = module.rpartition(".")[0]
        part = relative.parts[1].removesuffix(".py") if relative.parts[1] != "__init__.py" else ""
        if part not in ALLOWED:
            found.append(f"{relative}: {part} has no place in the rings")
            continue
        for name, line in imports(path.read_text(), package):
            where = f"{relative}:{line}"
            top = name.partition(".")[0]
            if top == "gotunnel":
                other = part_of(name)
                if other != part and other not in ALLOWED[part]:
                    found.append(
                        f"{where}: {part or 'the package'} may not import {other or 'the package'} ({name})"
                    )
            elif part in PURE and top not in sys.stdlib_module_names and top not in OUTSIDE[part]:
                found.append(f"{where}: {part} may not import {name}")
            if name.startswith("twisted.internet.reactor") and part not in MAY_NAME_THE_REACTOR:
                if part not in MAY_LOOK_FOR_IT or line in at_import(path.read_text()):
                    found.append(f"{where}: only tap and cli name the global reactor")
    return found


class ArchitectureTests(SynchronousTestCase):
    """The tree as it is."""

    def test_rings(self) -> None:
        """No import breaks a rule."""
        self.assertEqual(violations(ROOT), [])

    def test_compiled(self) -> None:
        """C is in one folder of the fast relay, in files of about 300 lines and never half as much again, and includes
        nothing of ours from elsewhere; the module is the fast relay's own."""
        native = ROOT / "gotunnel" / "net" / "fast" / "native"
        compiled = list((ROOT / "gotunnel").rglob("*.[ch]"))
        self.assertIn(native / "module.c", compiled)
        for path in compiled:
            self.assertEqual(path.parent, native)
            lines = path.read_text("utf-8").splitlines()
            self.assertLessEqual(len(lines), 450, path.name)
            for name in re.findall(r'#\s*include\s+"([^"]+)"', "\n".join(lines)):
                self.assertIn(native / name, compiled, f"{path.name} includes {name}")
        named = {path for path in (ROOT / "gotunnel").rglob("*.py") if "fast._native" in path.read_text("utf-8")}
        self.assertEqual({path.parent for path in named}, {native.parent})

    def test_looks_at_all(self) -> None:
        """The walk sees every part that there is."""
        seen = {path.parent.name for path in (ROOT / "gotunnel").rglob("*.py")}
        self.assertLessEqual({"wire", "core", "config", "net", "tap", "cli"}, seen)

    def test_packages(self) -> None:
        """Every folder with code is a package, or neither trial nor a wheel would see it; those of plugins are not."""
        for folder in ("gotunnel", "tests"):
            for path in (ROOT / folder).rglob("*.py"):
                self.assertTrue((path.parent / "__init__.py").exists(), f"{path.parent} has no __init__.py")
        self.assertEqual(list((ROOT / "twisted").rglob("__init__.py")), [])

    def test_plugin_is_light(self) -> None:
        """Importing the plugin file imports no gotunnel and no reactor: every Twisted program does it."""
        script = (
            "import runpy, sys; runpy.run_path('twisted/plugins/gotunnel_plugin.py');"
            "print([m for m in sys.modules if m.startswith('gotunnel') or m == 'twisted.internet.reactor'])"
        )
        done = subprocess.run(
            [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=60
        )
        self.assertEqual((done.stdout, done.stderr), ("[]\n", ""))

    def test_package_is_light(self) -> None:
        """`import gotunnel` imports nothing else."""
        script = (
            "import sys, gotunnel; print([m for m in sys.modules if m.startswith(('gotunnel.', 'twisted'))])"
        )
        done = subprocess.run(
            [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=60
        )
        self.assertEqual((done.stdout, done.stderr), ("[]\n", ""))


class PlantedTests(SynchronousTestCase):
    """The rules find what breaks them."""

    def planted(self, path: str, source: str) -> list[str]:
        root = Path(self.mktemp())
        file = root / "gotunnel" / path
        file.parent.mkdir(parents=True)
        file.write_text(source)
        return [line.partition(": ")[2] for line in violations(root)]

    def test_planted(self) -> None:
        """Each planted import is found, however it is written."""
        for path, source, expected in [
            ("wire/a.py", "import twisted", "wire may not import twisted"),
            (
                "wire/a.py",
                "def f():\n    from twisted.internet import defer",
                "wire may not import twisted.internet.defer",
            ),
            ("wire/a.py", "from ..core import ports", "wire may not import core (gotunnel.core.ports)"),
            (
                "wire/__init__.py",
                "from ..core import ports",
                "wire may not import core (gotunnel.core.ports)",
            ),
            ("core/a.py", "import gotunnel.net.relay", "core may not import net (gotunnel.net.relay)"),
            ("core/a.py", "import yaml", "core may not import yaml"),
            ("errors.py", "from gotunnel import address", "errors may not import address (gotunnel.address)"),
            ("config/a.py", "import zope.interface", "config may not import zope.interface"),
            (
                "net/a.py",
                "from gotunnel.server.x import y",
                "net may not import server (gotunnel.server.x.y)",
            ),
            (
                "server/a.py",
                "from gotunnel.client import y",
                "server may not import client (gotunnel.client.y)",
            ),
            ("client/a.py", "from gotunnel.tap import y", "client may not import tap (gotunnel.tap.y)"),
            ("net/a.py", "from twisted.internet import reactor", "only tap and cli name the global reactor"),
            ("net/a.py", "import twisted.internet.reactor", "only tap and cli name the global reactor"),
            ("api/a.py", "from twisted.internet import reactor", "only tap and cli name the global reactor"),
            ("api/a.py", "import gotunnel.cli.main", "api may not import cli (gotunnel.cli.main)"),
            ("misc/a.py", "", "misc has no place in the rings"),
        ]:
            self.assertEqual(self.planted(path, source), [expected], f"{path}: {source}")

    def test_allowed(self) -> None:
        """What is allowed is not found."""
        for path, source in [
            ("tap/a.py", "from twisted.internet import reactor"),
            ("core/a.py", "from gotunnel.wire import frames\nfrom . import ports\nimport os.path"),
            ("wire/a.py", "from cryptography.hazmat.primitives.kdf.hkdf import HKDF"),
            ("cli/a.py", "from gotunnel.tap import server"),
            ("api/a.py", "def here():\n    from twisted.internet import reactor\n    return reactor"),
        ]:
            self.assertEqual(self.planted(path, source), [], f"{path}: {source}")
