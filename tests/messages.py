"""Keeps the catalogues of texts: `python -m tests.messages` (`make messages`) adds what is new in the source to
`gotunnel/i18n/zh.po` and `codes.txt`, lists what lacks Chinese, and compiles `zh.mo`. A developer's tool, and what the
tests ask for the same. The texts are those of `tests.texts`."""

from __future__ import annotations

import sys
from datetime import datetime, timezone
from io import BytesIO
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

from gotunnel.i18n.codes import FILE, numbers
from tests.sourcetexts import ROOT, Entry
from tests.texts import entries

__all__ = ["MO", "PO", "catalogue", "compiled", "numbered", "renewed", "written"]

PO = ROOT / "gotunnel" / "i18n" / "zh.po"
MO = PO.with_suffix(".mo")

HEADER = rb"""# What gotunnel says, in Chinese. `make messages` adds what is new, and compiles this.
msgid ""
msgstr ""
"Language: zh\n"
"MIME-Version: 1.0\n"
"Content-Type: text/plain; charset=utf-8\n"
"Content-Transfer-Encoding: 8bit\n"

"""
NO_DATE = datetime(2000, 1, 1, tzinfo=timezone.utc)
"""In place of the dates that Babel writes, so that the same texts make the same file."""


class _Bare(Catalog):
    """A catalogue whose header says nothing of the Babel that wrote it: any release makes the same file."""

    @property
    def mime_headers(self) -> list[tuple[str, str]]:
        return [("Content-Type", "text/plain; charset=utf-8")]

    @mime_headers.setter
    def mime_headers(self, headers: list[tuple[str, str]]) -> None:
        """There is nothing to set."""


def catalogue(path: Path = PO) -> Catalog:
    """Return a catalogue as it is written."""
    with path.open("rb") as file:
        catalog = read_po(file, locale="zh")
    catalog.creation_date = catalog.revision_date = NO_DATE
    return catalog


def compiled(catalog: Catalog) -> bytes:
    """Return what belongs into a `.mo`."""
    bare = _Bare(locale="zh", fuzzy=False)
    for message in catalog:
        if message.id:
            bare.add(message.id, string=message.string)
    buffer = BytesIO()
    write_mo(buffer, bare)
    return buffer.getvalue()


def written(catalog: Catalog) -> bytes:
    """Return what belongs into a `.po`: sorted, so that two branches seldom touch one line, and without dates."""
    buffer = BytesIO()
    write_po(buffer, catalog, width=0, sort_output=True, omit_header=True, no_location=True)
    return HEADER + buffer.getvalue()


def renewed(old: Catalog, found: list[Entry]) -> Catalog:
    """Return a catalogue of what is found, with the Chinese that the old one has."""
    new = Catalog(locale="zh", project="gotunnel", fuzzy=False, creation_date=NO_DATE, revision_date=NO_DATE)
    for entry in found:
        before = old.get(entry.text)
        new.add(entry.text, string=before.string if before is not None else "")
    return new


RANGES = {"client": 1100, "server": 1200, "net": 1300, "tap": 1400, "cli": 1400, "admin": 1500}


def numbered(found: list[Entry]) -> list[str]:
    """Return the lines to add to `codes.txt`, a number for each log line that has none."""
    known = numbers(FILE.read_text("utf-8"))
    taken = set(known.values())
    lines: list[str] = []
    for entry in found:
        if entry.level and entry.text not in known:
            number = RANGES.get(entry.where.partition("/")[0], 1600)
            while number in taken:
                number += 1
            taken.add(number)
            lines.append(f"{number} {entry.text}")
    return lines


def main() -> int:
    """Bring the catalogues up to date, and list what lacks Chinese; 1 if anything does."""
    found = entries()
    new = numbered(found)
    if new:
        lines = [*FILE.read_text("utf-8").splitlines(), *new]
        comments = [line for line in lines if line.startswith("#")]
        rest = sorted(line for line in lines if line and not line.startswith("#"))
        FILE.write_text("\n".join([*comments, *rest]) + "\n", "utf-8")
    catalog = renewed(catalogue(), found)
    PO.write_bytes(written(catalog))
    MO.write_bytes(compiled(catalogue()))
    lacking = [message for message in catalog if message.id and not message.string]
    for message in lacking:
        print(f"no Chinese in {PO.relative_to(ROOT)}: {message.id}")
    stale = sorted(set(numbers(FILE.read_text("utf-8"))) - {entry.text for entry in found if entry.level})
    for format in stale:
        print(f"no log line any more, take it out of {FILE.relative_to(ROOT)} (its number stays unused): {format}")
    return 1 if lacking or stale else 0


if __name__ == "__main__":
    sys.exit(main())
