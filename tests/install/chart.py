"""Renders the chart of etc/helm with the part of Go's templates that it uses, and refuses every other."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.processes import ROOT

CHART = ROOT / "etc" / "helm" / "gotunnel"

ACTION = re.compile(r"\{\{(-?) *(.*?) *(-?)\}\}")


def merged(values: Any, more: Any) -> Any:
    """Return `values` with `more` laid over it, group by group."""
    if not (isinstance(values, dict) and isinstance(more, dict)):
        return more
    return {**values, **{key: merged(values.get(key), value) for key, value in more.items()}}


def _value(words: str, data: Mapping[str, Any]) -> Any:
    first, *pipes = [part.strip() for part in words.split("|")]
    to_yaml = first.startswith("toYaml ")
    found: Any = data
    for name in first.removeprefix("toYaml ").removeprefix(".").split("."):
        found = found[name]  # a KeyError names what values.yaml lacks
    if to_yaml:
        found = yaml.safe_dump(found, sort_keys=True).rstrip()
    for pipe in pipes:
        name, _, argument = pipe.partition(" ")
        if name == "quote":
            found = json.dumps(str(found))
        elif name == "indent":
            found = "\n".join(" " * int(argument) + line for line in str(found).splitlines())
        elif name == "sha256sum":
            found = hashlib.sha256(str(found).encode()).hexdigest()
        else:
            raise ValueError(f"the renderer has no {name}")
    return found


def render(path: Path, more: Any = None, used: set[str] | None = None) -> list[dict[str, Any]]:
    """Return the objects that a template makes; `more` is laid over values.yaml. What it names is added to `used`."""
    values = merged(yaml.safe_load((CHART / "values.yaml").read_text("utf-8")), more or {})
    data = {"Values": values, "Release": {"Name": "edge", "Namespace": "tunnels"}}
    lines: list[str] = []
    shown = [True]
    for line in path.read_text("utf-8").splitlines():
        if used is not None:
            used.update(re.findall(r"\.Values\.([\w.]+)", line))
        control = ACTION.fullmatch(line)
        if control and control[2].startswith("if "):
            shown.append(shown[-1] and bool(_value(control[2][3:], data)))
        elif control and control[2] == "end":
            shown.pop()
        elif shown[-1]:
            lines.append(ACTION.sub(lambda match: str(_value(match[2], data)), line))
    if shown != [True]:
        raise ValueError(f"{path.name}: an if without its end")
    return [each for each in yaml.safe_load_all("\n".join(lines)) if each is not None]
