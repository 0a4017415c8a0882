"""Asks pip-audit whether a known hole is in one of the packages that this tree runs with, in the very versions that are
installed. `python -m tests.hostile.audit` is `make audit`, which installs pip-audit first. Without advisory data, as
behind a mirror that has none, pip-audit says that nothing was found; here that is not taken for an answer."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

__all__ = ["judged", "main"]

NOTHING_ASKED = 3
"""The exit code when no package could be looked up."""


def judged(report: dict[str, Any]) -> tuple[int, list[str]]:
    """Return the exit code and the words for what `pip-audit --format json` says."""
    packages = report["dependencies"]
    asked = [package for package in packages if "vulns" in package]
    lines = [
        f"{package['name']} {package['version']}: {hole['id']}: {update(hole['fix_versions'])}"
        for package in asked
        for hole in package["vulns"]
    ]
    skipped = [package["name"] for package in packages if "vulns" not in package]
    if skipped:
        lines.append(f"{len(skipped)} packages could not be looked up: {', '.join(sorted(skipped))}")
    if not asked:
        return NOTHING_ASKED, [*lines, "nothing was audited: no advisory data can be reached from here"]
    if len(lines) > bool(skipped):
        return 1, lines
    return 0, [*lines, f"{len(asked)} packages, no known hole"]


def update(versions: list[str]) -> str:
    """Say what to do."""
    return f"update to {' or '.join(versions)}" if versions else "there is no update"


def main() -> int:
    """Ask, print, and return the exit code."""
    command = [sys.executable, "-m", "pip_audit", "--format", "json", "--progress-spinner", "off", "--skip-editable"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        report = json.loads(done.stdout)
    except ValueError:
        print(f"pip-audit did not get to the end: {done.stderr.strip()[-300:]}")
        return NOTHING_ASKED
    # What is skipped because it is this tree, and not out of any index, is no gap.
    report["dependencies"] = [each for each in report["dependencies"] if each["name"] != "gotunnel"]
    code, lines = judged(report)
    print("\n".join(lines))
    return code


if __name__ == "__main__":
    sys.exit(main())
