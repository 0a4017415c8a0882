"""Tells all that an operator may read of gotunnel: what is in its source, the words that are too short to be found
there, and what its plugins, its help and click say."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from gotunnel.catalogue import OWN, Catalogue
from gotunnel.config.reference import takes_of
from tests.helptexts import help_texts
from tests.sourcetexts import ROOT, Entry, of_source

__all__ = ["entries", "log_formats"]

WORDS = (
    "servers", "links", "heartbeat", "drain", "descriptors",
    "TLS", "without TLS", "up", "down", "on", "off", "visitors", "clients", "closed", "stopping", "joined", "shutdown",
    "(unknown)", "control", "forward", "mapping", "node", "nodes", "client", "server", "egress", "mappings", "forwards",
    "listener", "added", "unchanged", "changed", "opened anew", "removed", "kept", "draining",
)  # fmt: skip
"""Words that are values of log lines or of their lists, too short to be found as prose."""

CLICK = (
    "No such option {name}.", "No such option: {name}", "No such option {name}. Did you mean {possibility}?",
    "No such option {name}. (Did you mean one of: {possibilities}?)",
    "No such option: {name} Did you mean {possibility}?", "No such option: {name} (Possible options: {possibilities})",
    "No such command {name}.", "No such command {name}. Did you mean {possibility}?",
    "No such command {name}. (Did you mean one of: {possibilities}?)",
    "Missing command.", "Missing argument {name}.", "Missing option {name}.",
    "Option {name} does not take a value.", "Option {name} requires an argument.",
    "Got unexpected extra argument ({args})", "Got unexpected extra arguments ({args})",
    "Invalid value: {reason}", "Invalid value for {name}: {reason}",
    "{value} is not one of {choices}.", "{value} is not a valid integer.", "{value} is not a valid float.",
    "{value} is not a valid integer range.", "{value} is not a valid float range.",
    "{value} is not a valid boolean. Recognized values: {states}",
    "{value} is not in the range {range}.",
    "Path {name} does not exist.", "File {name} does not exist.", "Directory {name} does not exist.",
    "File {name} is a directory.", "Directory {name} is a file.", "Could not open file {name}: {reason}",
)  # fmt: skip
"""What click finds wrong with a command line, in the words of its releases from 8.1 on; how it puts these together."""


def entries(root: Path = ROOT / "gotunnel") -> list[Entry]:
    """Return all texts of the package, each once. A log line comes before a sentence of the same words."""
    found: dict[str, Entry] = {}
    sentences: dict[str, Entry] = {}
    for path in sorted(root.rglob("*.py")):
        for entry in of_source(path.read_text("utf-8"), path.relative_to(root).as_posix()):
            (found if entry.level else sentences).setdefault(entry.text, entry)
    for text in _of_plugins():
        sentences.setdefault(text, Entry(text, "", "plugins"))
    for text in filter(None, help_texts()):
        text = text.replace("{", "{{").replace("}", "}}")
        sentences.setdefault(text, Entry(text, "", "help"))
    for word in (*WORDS, *CLICK):
        sentences.setdefault(word, Entry(word, "", "tests/messages.py"))
    return [*found.values(), *(entry for text, entry in sentences.items() if text not in found)]


def _of_plugins() -> Iterator[str]:
    """Yield what `gotunnel plugins` says of the options of our own, as formats."""
    for found in Catalogue().all()[0]:
        if found.module.rpartition(".")[2] in OWN:
            for info in found.extension.options.model_fields.values():
                for text in (info.description or "", takes_of(info)):
                    if text:
                        yield text.replace("{", "{{").replace("}", "}}")


def log_formats() -> dict[str, Entry]:
    """Return the formats of all log lines."""
    return {entry.text: entry for entry in entries() if entry.level}
