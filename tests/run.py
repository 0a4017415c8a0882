"""Runs trial with the given arguments and closes with one plain line of figures: `413 passed, 0 failed, 2 skipped`.

Exits with 1 when a test failed or none ran. Chooses no tests.
"""

from __future__ import annotations

import re
import subprocess
import sys

__all__ = ["figures", "main"]

FAILED_WORDS = ("failures", "errors", "unexpectedSuccesses")


def figures(lines: list[str]) -> dict[str, int]:
    """Return trial's own closing figures by its own words, from `PASSED (skips=2, successes=411)`; empty if none."""
    for line in reversed(lines):
        closing = re.fullmatch(r"(?:PASSED|FAILED)(?: \((?P<figures>.*)\))?\s*", line)
        if closing is not None:
            return {
                word: int(number) for word, number in re.findall(r"(\w+)=(\d+)", closing["figures"] or "")
            }
    return {}


def main(arguments: list[str]) -> int:
    """Run trial, showing its output as it comes, and return the exit code."""
    command = [sys.executable, "-m", "twisted.trial", *arguments]
    last: list[str] = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, errors="backslashreplace") as trial:
        assert trial.stdout is not None
        for line in trial.stdout:
            print(line, end="", flush=True)
            last = [*last[-9:], line]
    counted = figures(last)
    passed = counted.get("successes", 0) + counted.get("expectedFailures", 0)
    failed = sum(counted.get(word, 0) for word in FAILED_WORDS)
    skipped = counted.get("skips", 0)
    wrong = trial.returncode != 0 or failed > 0
    if wrong and failed == 0:
        # trial itself broke down, or a worker died: that is no passed run.
        print(f"trial ended with {trial.returncode} without naming a failed test", file=sys.stderr)
        failed = 1
    if passed + failed == 0:
        print("no test ran", file=sys.stderr)
        wrong = True
    sys.stderr.flush()
    print(f"{passed} passed, {failed} failed, {skipped} skipped", flush=True)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
