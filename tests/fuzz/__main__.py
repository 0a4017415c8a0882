"""`python -m tests.fuzz`: every target, one after the other, each for its share of the time. Exits with 1 when
something was found. What was found lies in a folder, to be tried again with --input."""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

from tests.fuzz.engine import NAMES, Found, quiet, target, try_for, try_inputs, with_atheris


def main() -> int:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="for all targets together (default: 60)")
    parser.add_argument("--only", choices=NAMES, nargs="+", default=NAMES, metavar="TARGET", help=", ".join(NAMES))
    parser.add_argument("--seed", type=int, default=1, help="of the mutations (default: 1)")
    parser.add_argument("--engine", choices=("auto", "atheris", "plain"), default="auto", help="(default: auto)")
    parser.add_argument("--findings", type=Path, default=Path("fuzz-findings"), help="where inputs are kept that fail")
    parser.add_argument("--input", type=Path, help="try this file with the one target of --only, and nothing else")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    guided = options.engine == "atheris" or (options.engine == "auto" and find_spec("atheris") is not None)
    quiet()
    if options.input is not None:
        try_inputs(options.only[0], target(options.only[0]), iter([options.input.read_bytes()]), options.findings)
        return 0
    share = options.seconds / len(options.only)
    if options.here:
        with_atheris(options.only[0], share, options.seed, options.findings)
    failed = 0
    for name in options.only:
        began = time.monotonic()
        if guided:
            failed += _guided(name, share, options)
            continue
        try:
            count = try_for(name, share, options.seed, options.findings)
            print(f"{name:12} {count:8} inputs, {count / (time.monotonic() - began):8.0f} a second", flush=True)
        except Found as found:
            failed += 1
            print(found, flush=True)
    return 1 if failed else 0


def _guided(name: str, share: float, options: argparse.Namespace) -> int:
    # atheris ends its process, and so each target has one.
    command = [sys.executable, "-m", "tests.fuzz", "--here", "--only", name, "--seconds", str(share), "--seed"]
    command += [str(options.seed), "--findings", str(options.findings)]
    done = subprocess.run(command, capture_output=True, text=True, errors="backslashreplace", check=False)
    figures = dict(line[6:].split(":", 1) for line in done.stderr.splitlines() if line.startswith("stat::"))
    count, pace = (figures.get(key, "?").strip() for key in ("number_of_executed_units", "average_exec_per_sec"))
    print(f"{name:12} {count:>8} inputs, {pace:>8} a second, guided by coverage", flush=True)
    if done.returncode:
        print(done.stdout + done.stderr, flush=True)
    return int(done.returncode != 0)


if __name__ == "__main__":
    sys.exit(main())
