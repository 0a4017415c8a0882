"""The page about asking a process that runs names all that the API has."""

from __future__ import annotations

import re

from tests.admin.test_web import AdminTestCase
from tests.pages import DOCS, LANGUAGES


class PageTests(AdminTestCase):
    """admin.md, in both languages."""

    async def test_paths(self) -> None:
        """The table has each path and each thing to do, and no others; health and metrics have sections of theirs."""
        _, admin = await self.begin()
        index = (await self.get(admin, "/v1/")).json
        there = {f"GET {path}" for path in index["paths"] if path.startswith("/v1/")}
        there |= {f"POST /v1/{act}" for act in index["acts"]}
        for language in LANGUAGES:
            text = (DOCS / language / "admin.md").read_text("utf-8")
            rows = re.findall(r"^\| (`(?:GET|POST) [^|]*) \|", text, re.MULTILINE)
            self.assertEqual({word for row in rows for word in re.findall(r"`([^`]+)`", row)}, there)
