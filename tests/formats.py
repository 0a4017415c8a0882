"""Makes a format with named fields of a text in the source, as the catalogues have it."""

from __future__ import annotations

import ast

__all__ = ["as_format"]


def as_format(node: ast.AST) -> str:
    """Return a constant or an f-string as a format with named fields."""
    if isinstance(node, ast.Constant):
        return str(node.value).replace("{", "{{").replace("}", "}}")
    assert isinstance(node, ast.JoinedStr)
    parts: list[str] = []
    used: dict[str, str] = {}
    for value in node.values:
        if isinstance(value, ast.Constant):
            parts.append(str(value.value).replace("{", "{{").replace("}", "}}"))
        else:
            assert isinstance(value, ast.FormattedValue)
            code = ast.unparse(value)
            name = _name(value.value)
            number = 2
            while used.setdefault(name, code) != code:
                name, number = f"{_name(value.value)}{number}", number + 1
            parts.append("{" + name + "}")
    return "".join(parts)


def _name(node: ast.expr) -> str:
    """Return a word for what stands in the braces of an f-string."""
    if isinstance(node, ast.Name):
        return node.id.strip("_").lower()
    if isinstance(node, ast.Attribute):
        return _name(node.value) if node.attr in ("name", "value") else node.attr.strip("_")
    if isinstance(node, ast.Call):
        inner = node.args or ([node.func.value] if isinstance(node.func, ast.Attribute) else [node.func])
        return _name(inner[0])
    if isinstance(node, ast.Subscript):
        return _name(node.value)
    children = [child for child in ast.iter_child_nodes(node) if isinstance(child, (ast.Name, ast.Attribute, ast.Call))]
    return _name(children[0]) if children else "value"
