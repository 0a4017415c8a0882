"""One headless Chromium for all tests of a process, and pages that tell what went wrong in them."""

from __future__ import annotations

import asyncio
import atexit
import shutil
from typing import Any
from urllib.parse import urlsplit

from twisted.trial.unittest import SkipTest

__all__ = ["Watched", "chromium"]

ARGUMENTS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip

_running: list[Any] = []
_loops: list[Any] = []


def chromium(case: Any) -> Any:
    """Return the browser, started when it is first asked for and ended with this process, for as long as a test lasts.
    Raises SkipTest.

    Playwright's loop counts as the running one of this thread for good: behind the test it must not, for others have
    loops of their own.
    """
    if not _running:
        path = shutil.which("chromium") or shutil.which("google-chrome")
        if path is None:
            raise SkipTest("chromium is not installed here (apt-get install chromium)")
        try:
            from playwright.sync_api import sync_playwright
        except ImportError:
            raise SkipTest("playwright is not installed here (pip install playwright)") from None
        playwright = sync_playwright().start()
        _running.append(playwright.chromium.launch(executable_path=path, args=ARGUMENTS, headless=True))
        _loops.append(asyncio._get_running_loop())
        atexit.register(_end, playwright)
    asyncio._set_running_loop(_loops[0])
    case.addCleanup(asyncio._set_running_loop, None)
    return _running[0]


def _end(playwright: Any) -> None:
    asyncio._set_running_loop(_loops[0])
    _running.pop().close()
    playwright.stop()


class Watched:
    """A page, with what it has asked for and what it has complained of. `expected` are words of complaints that a test
    brings about itself."""

    def __init__(self, context: Any) -> None:
        self.page = context.new_page()
        self.complaints: list[str] = []
        self.asked: list[str] = []
        self.expected: tuple[str, ...] = ()
        self.page.on("console", self._said)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("dialog", self._box)
        self.page.on("request", lambda request: self.asked.append(request.url))

    def _said(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

    def _box(self, box: Any) -> None:
        self.complaints.append(f"a box: {box.message}")
        box.dismiss()

    def wrong(self, host: str) -> list[str]:
        """Return all complaints, and all that was asked of others than `host`."""
        complaints = [each for each in self.complaints if not any(words in each for words in self.expected)]
        strangers = [url for url in self.asked if urlsplit(url).netloc != host and not url.startswith("data:")]
        return complaints + strangers
