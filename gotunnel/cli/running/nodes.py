"""The nodes of one session in `gotunnel status`: those that the server leads to, and those that it has refused."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from gotunnel.errors import Sentence, printable

__all__ = ["nodes_of", "refusal_of"]

MOST = 3
"""Nodes that are named; the others are counted, so that each session keeps its line. JSON has all of them."""


def nodes_of(session: dict[str, Any]) -> str:
    """Return the nodes that are led to; empty if there are none."""
    return _few(session.get("nodes", ()))  # an older process does not send it


def refusal_of(session: dict[str, Any]) -> str:
    """Return which nodes are refused, and why; empty if there are none."""
    refused: dict[str, str] = session.get("refused_nodes", {})
    if not refused:
        return ""
    reason = printable(next(iter(refused.values())), 300)  # a server has only one
    return Sentence("nodes refused: {nodes} ({reason})", nodes=_few(refused), reason=Sentence.word(reason))


def _few(nodes: Iterable[str]) -> str:
    names = [printable(node) for node in nodes]
    some = ", ".join(names[:MOST])
    return Sentence("{names} and {count} more", names=some, count=len(names) - MOST) if len(names) > MOST else some
