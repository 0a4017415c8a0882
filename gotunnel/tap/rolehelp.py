"""The page of a role's `--help` in a language other than English: what Twisted would show, with columns that are
aligned for double-width characters. Imported on demand."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from twisted.python import usage

from gotunnel.errors import Sentence
from gotunnel.i18n.columns import cells, table, wrapped

__all__ = ["page"]

Said = Callable[[str], str]


def page(options: usage.Options, width: int, said: Said) -> str:
    """Return the page, `width` columns wide, with each text passed through `said`."""
    synopsis = options.getSynopsis().removeprefix("Usage: ").replace("[options]", said(Sentence("[options]")))
    rows = list(_rows(options, said))
    lines = [said(Sentence("Usage: {usage}", usage=synopsis)), said(Sentence("Options:"))]
    lines += table(rows, width, max(cells(term) for term, _ in rows))
    purpose = getattr(options, "longdesc", None)
    return "\n".join([*lines, *(["", *wrapped(said(purpose), width)] if purpose else []), ""])


def _rows(options: usage.Options, said: Said) -> Iterator[tuple[str, str]]:
    short = {long: key for key, long in options.synonyms.items() if len(key) == 1 and key != long}
    names = {long.removesuffix("="): long for long in options.longOpt}
    for name in sorted(names, key=lambda name: short.get(name) or name):
        text = said(options.docs[name].strip())
        if names[name] != name and options.defaults.get(name) is not None:
            text += f" [{said(Sentence('default: {value}', value=options.defaults[name]))}]"
        before = f"-{short[name]}," if name in short else "   "
        yield f"{before} --{names[name]}", text
