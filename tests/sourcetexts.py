"""Finds what an operator may read in the source of one module: formats of log lines, and the sentences of errors,
reasons and hints. A text that it finds and nobody reads goes into IGNORED; one that it cannot find is a mistake of a
test's."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from string import Formatter

from tests.formats import as_format

__all__ = ["LOOKS_LIKE_PROSE", "ROOT", "Entry", "NotConstant", "of_source"]

ROOT = Path(__file__).resolve().parent.parent

LEVELS = {"debug": "debug", "info": "info", "warn": "warn", "error": "error", "failure": "critical"}
LIMITED = {"warn", "_warn", "say", "_say", "say_of", "tell_of"}
"""Functions that take a kind and a format, and log `format + "{more}"` as a warning (`tell_of`: as information), unless
there were many."""

OUTPUT = ("config/reference.py",)
"""What this says is for the documentation; of plugins it is found with them."""
OTHERS = ("interfaces/", "i18n/", "history/sql.py")
NOT_SAID = {
    "Attribute", "Field", "Kind", "LocalProtocolError", "RuntimeError", "Short", "TypeError", "_PathKind",
    "click.argument", "click.echo", "click.option", "click.prompt", "re.compile", "x509.NameAttribute",
}  # fmt: skip
"""Calls whose texts are for developers, for the documentation, or for machines."""
TERMS = {"description", "help", "metavar"}
OUTPUT_NAMES = {
    "CLIENT_FILE", "CSP", "KINDS", "PAGE", "PROGRAM", "SERVER_FILE",
    "_NO_PORT", "lines", "note", "notes", "optParameters", "rows", "self._request",
    "spelling", "steps", "synopsis",
}  # fmt: skip
PURE_VALUE_ERRORS = ("address.py", "dialrules.py", "config/", "core/ports.py")
"""Where a ValueError is about what somebody wrote; elsewhere it is about a call."""

LOOKS_LIKE_PROSE = re.compile(r"[a-z]{2,} |[a-z]{3,}: | [a-z]{3,}")
WORDS_OF_TABLES = ("CHECKS", "SESSIONS", "MAPPINGS", "STREAMS", "TITLES", "FIGURES", "STATES")
"""Tuples of words that commands put above columns and into them."""
HTTP = re.compile(r"\r\n|^(?:Bad|Method|Request|Service|Gateway) [A-Z]")

IGNORED = {
    "  local_ports: {section}", "egress request", "gotunnel pin",
    "printf %s '{token}' | {words}",
    "alert bad certificate", "alert certificate", "alert protocol version", "alert unknown ca",
    "alert unsupported certificate", "certificate required", "packet length too long", "wrong version number",
    "what is refused there", "{low} to {high}",
    "its certificate ",
    "{program}: {error}\n{cure}",
    "gotunnel/{version} doctor", "gotunnel check", "gotunnel check {config}", "gotunnel-client --config {config}",
    "unset {variable}", "make demo", "from gotunnel.cli.roles import {name}; {name}(prog_name='gotunnel-{name}')",
}
"""Texts that look like sentences, and are output of a command, patterns for what OpenSSL says, or parts of others."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One text of the source. `level` is that of a log line, "" for a sentence."""

    text: str
    level: str
    where: str


class NotConstant(Exception):
    """A log line whose format cannot be known from the source."""


def of_source(source: str, relative: str) -> Iterator[Entry]:
    """Yield what one module says: log lines, formats of Sentences, and texts that look like one. Raises NotConstant."""
    tree = ast.parse(source)
    parents = {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}
    constants = {**_imported(tree), **_constants(tree)}
    logged: set[ast.AST] = set()
    for node in ast.walk(tree):
        for format_node, level, suffix in _logging(node):
            where = f"{relative}:{node.lineno}"  # type: ignore[attr-defined]
            for found in _constant(format_node, constants, where):
                logged.add(found)
                yield Entry(found.value + suffix, level, where)
    if relative.startswith(OUTPUT) or relative.startswith(OTHERS):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "Sentence" and node.args:
            where = f"{relative}:{node.lineno}"
            for found in _constant(node.args[0], constants, where):
                logged.add(found)
                if _says_something(found.value):
                    yield Entry(found.value, "", where)
    for node in ast.walk(tree):
        if node not in logged and _is_text(node, parents, relative):
            yield Entry(as_format(node), "", f"{relative}:{node.lineno}")  # type: ignore[attr-defined]
    for name, value in _constants(tree).items():
        if name in WORDS_OF_TABLES:
            for each in ast.walk(value):
                if isinstance(each, ast.Constant) and isinstance(each.value, str):
                    yield Entry(each.value, "", f"{relative}:{each.lineno}")
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and node.name == "Outcome":
            for line in node.body:
                if isinstance(line, ast.Assign) and isinstance(line.value, ast.Constant):
                    yield Entry(str(line.value.value), "", f"{relative}:{line.lineno}")


def _says_something(format: str) -> bool:
    """Say whether a format has words beside its fields: "{target}: {reason}" has none."""
    return any(character.isalpha() for text, *_ in Formatter().parse(format) for character in text)


def _constants(tree: ast.Module) -> dict[str, ast.expr]:
    """Return what a module gives names to, outside of functions and classes."""
    return {
        target.id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }


def _imported(tree: ast.Module) -> dict[str, ast.expr]:
    """Return the constants that a module takes from others of gotunnel."""
    found: dict[str, ast.expr] = {}
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("gotunnel."):
            wanted = {alias.name for alias in node.names if alias.name.isupper()}
            path = ROOT.joinpath(*str(node.module).split(".")).with_suffix(".py")
            if wanted and path.exists():
                constants = _constants(ast.parse(path.read_text("utf-8")))
                found.update({name: constants[name] for name in wanted & constants.keys()})
    return found


def _logging(node: ast.AST) -> Iterator[tuple[ast.expr, str, str]]:
    """Yield the format of a call that logs, its level, and what is put behind it."""
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute) or not node.args:
        return
    name, owner = node.func.attr, ast.unparse(node.func.value)
    if name in LEVELS and owner.rpartition(".")[2] in ("log", "_log"):
        if not _is_relay_of_words(node.args[0]):
            yield node.args[0], LEVELS[name], ""
    elif name in LIMITED and len(node.args) > 1 and "=" not in ast.unparse(node.args[0]):
        position = 2 if name in ("say_of", "tell_of") else 1
        if not _is_relay_of_words(node.args[position]):
            yield node.args[position], "info" if name == "tell_of" else "warn", "{more}"


def _is_relay_of_words(node: ast.expr) -> bool:
    """Say whether a LIMITED function itself hands on what it was given."""
    return ast.unparse(node) in ("words", "words + '{more}'")


def _constant(node: ast.expr, constants: dict[str, ast.expr], where: str) -> Iterator[ast.Constant]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node
    elif isinstance(node, ast.IfExp):
        yield from _constant(node.body, constants, where)
        yield from _constant(node.orelse, constants, where)
    elif isinstance(node, ast.Name) and node.id in constants:
        yield from _constant(constants[node.id], constants, where)
    elif isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name):
        table = constants.get(node.value.id)
        if not isinstance(table, ast.Dict):
            raise NotConstant(f"{where}: {ast.unparse(node)}")
        for value in table.values:
            yield from _constant(value, constants, where)
    else:
        raise NotConstant(f"{where}: {ast.unparse(node)}")


def _is_text(node: ast.AST, parents: dict[ast.AST, ast.AST], relative: str) -> bool:
    if not isinstance(node, ast.JoinedStr) and not (isinstance(node, ast.Constant) and isinstance(node.value, str)):
        return False
    parent = parents[node]
    if isinstance(parent, (ast.Expr, ast.JoinedStr, ast.FormattedValue, ast.Compare)):
        return False
    text = as_format(node)
    if not LOOKS_LIKE_PROSE.search(text) or HTTP.search(text) or text in IGNORED:
        return False
    if isinstance(parent, ast.Call) and isinstance(parent.func, ast.Attribute) and parent.func.attr in LIMITED:
        if len(parent.args) > 1 and node is not parent.args[-1]:
            return False  # the kind, by which lines are counted
    return not _is_not_said(node, parents, relative)


def _is_not_said(node: ast.AST, parents: dict[ast.AST, ast.AST], relative: str) -> bool:
    """Say whether nobody but a developer, a page or a machine reads it, by what stands around it."""
    while node in parents:
        child, node = node, parents[node]
        if isinstance(node, ast.keyword) and node.arg in TERMS:
            return True
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            if name in NOT_SAID:
                return True
            if name == "ValueError" and not relative.startswith(PURE_VALUE_ERRORS):
                return True
        if isinstance(node, ast.Attribute) and node.attr in ("join", "encode"):
            return True
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            return node.name == "__repr__" or child in node.decorator_list
        if isinstance(node, (ast.Assign, ast.AugAssign, ast.AnnAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names = {name for target in targets for name in ast.unparse(target).strip("()").split(", ")}
            return bool(names & OUTPUT_NAMES) or any(name.endswith("_WORDS") for name in names)
    return False
