"""What only browsers request: the files of the page, and logging in and out. The page itself contains no data; it asks
the API, like any program."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from gotunnel import __version__
from gotunnel.admin.api import Answer
from gotunnel.admin.face import Face, Refused
from gotunnel.admin.guard import PAGE, Guard, check_page
from gotunnel.admin.logins import LONGEST, Login, Logins

__all__ = ["CSP", "Browser", "PageFile", "page_file"]

FOLDER = Path(__file__).with_name("page")
KINDS = {
    ".html": "text/html; charset=utf-8", ".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}  # fmt: skip
CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


@dataclass(frozen=True, slots=True)
class PageFile:
    """One file of the page."""

    body: bytes
    kind: str
    tag: bytes
    """The ETag, by which a browser knows whether its copy is current."""


@lru_cache
def page_file(path: str) -> PageFile | None:
    """Return the file for a path, or None if there is none. The path is a plain name in the folder, so none leads out
    of it."""
    name = "index.html" if path == "/" else path.removeprefix(PAGE) if path.startswith(PAGE) else ""
    found = {file.name: file for file in FOLDER.iterdir() if file.suffix in KINDS}.get(name)
    if found is None:
        return None
    body = found.read_bytes()
    return PageFile(body, KINDS[found.suffix], b'"' + hashlib.sha256(body).hexdigest()[:32].encode() + b'"')


class Browser:
    """One per listener."""

    def __init__(self, face: Face, logins: Logins, guard: Guard, clock: Any) -> None:
        self._face = face
        self._logins = logins
        self._guard = guard
        self._clock = clock

    def session(self, headers: Mapping[str, bytes]) -> Answer:
        """Return what the page may do. `csrf` is sent here, where no other origin can read it."""
        login, readable = self._logins.find(headers.get("cookie", b"")), self._guard.readable(headers)
        face, known = self._face, readable or login is not None
        return Answer({
            "role": face.role, "name": face.name if known else "", "version": __version__ if known else "",
            "readable": readable, "by_token": self._logins.by_token, "login": self._told(login),
        })  # fmt: skip

    def log_in(self, wish: dict[str, Any], headers: Mapping[str, bytes], address: str) -> Answer:
        """Log a browser in. Raises Refused."""
        value, login = self._logins.by(wish, address)
        return Answer({"login": self._told(login)}, headers=self._cookie(value, int(LONGEST), headers))

    def log_out(self, headers: Mapping[str, bytes]) -> Answer:
        """End a browser's session. Raises Refused if another page asks for that."""
        cookie = headers.get("cookie", b"")
        login = self._logins.find(cookie)
        if login is not None:
            check_page(login, headers)
            self._logins.leave(cookie)
        return Answer({"login": None}, headers=self._cookie("", 0, headers))

    def file(self, path: str) -> PageFile:
        """Return a file of the page. Raises Refused."""
        found = page_file(path)
        if found is None:
            raise Refused("the page has no such file", 404)
        return found

    def _told(self, login: Login | None) -> dict[str, Any] | None:
        return None if login is None else {"csrf": login.csrf, "seconds": login.left(self._clock.seconds())}

    def _cookie(self, value: str, seconds: int, headers: Mapping[str, bytes]) -> dict[str, str]:
        # A browser accepts `Secure` only over TLS. TLS ends at a proxy, so only the Origin header tells of it.
        secure = "; Secure" if headers.get("origin", b"").lower().startswith(b"https:") else ""
        words = f"{self._logins.cookie}={value}; Max-Age={seconds}; Path=/; HttpOnly; SameSite=Strict{secure}"
        return {"Set-Cookie": words}
