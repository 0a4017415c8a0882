"""Finds what a configuration or a command line is refused for, and the cure that stands beside it in the source."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tests.formats import as_format
from tests.sourcetexts import ROOT

__all__ = ["problems"]

REFUSING = {"wrong", "Flaw", "Problem", "Refused", "Unreadable", "_add", "_flaw", "_problem", "_refused"}
FOLDERS = ("config", "cli", "server", "client")


def problems() -> list[tuple[str, str]]:
    """Return (what is wrong, what would be right) as formats, sorted, each once. Where the words of a cure are put
    together elsewhere, it is ""."""
    found: set[tuple[str, str]] = set()
    for folder in FOLDERS:
        for path in sorted((ROOT / "gotunnel" / folder).rglob("*.py")):
            if "doctor" not in path.parts:
                found |= set(_of_source(path.read_text("utf-8")))
    told = {what for what, cure in found if cure}
    return sorted((what, cure) for what, cure in found if cure or what not in told)


def _of_source(source: str) -> Iterator[tuple[str, str]]:
    yield from _in_scope(ast.parse(source), {})


def _in_scope(scope: ast.AST, outside: dict[str, str]) -> Iterator[tuple[str, str]]:
    """Yield what a module or a function refuses; a name means what was given to it there, or around it."""
    known = dict(outside)
    inner: list[ast.AST] = []
    nodes = list(_nodes_of(scope, inner))
    given: dict[str, str] = {}
    for node in nodes:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            text = _text(node.value, {})
            name = node.targets[0].id
            # A name with several meanings has none here.
            given[name] = text if given.get(name, text) == text else ""
    known.update(given)
    for node in nodes:
        pair: list[ast.expr] = []
        if isinstance(node, ast.Call) and len(node.args) >= 2 and ast.unparse(node.func).rpartition(".")[2] in REFUSING:
            pair = node.args[-2:]
        elif isinstance(node, ast.Tuple) and len(node.elts) == 3 and isinstance(node.elts[0], ast.Tuple):
            pair = node.elts[1:]
        if len(pair) == 2:
            what, cure = (_text(each, known) for each in pair)
            if what and " " in what:
                yield what, cure
    for function in inner:
        yield from _in_scope(function, known)


def _nodes_of(scope: ast.AST, inner: list[ast.AST]) -> Iterator[ast.AST]:
    """Yield what stands in a scope; functions in it are put into `inner`."""
    for child in ast.iter_child_nodes(scope):
        if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            inner.append(child)
        else:
            yield child
            yield from _nodes_of(child, inner)


def _text(node: ast.expr, known: dict[str, str]) -> str:
    if isinstance(node, ast.Name):
        return known.get(node.id, "")
    if isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str)):
        return as_format(node)
    return ""
