"""Who may ask what by HTTP: checks the Host, Origin, token and cookie of a request. A page of somebody else must not be
able to use the operator's browser. Pure: headers in, a refusal or a permission out."""

from __future__ import annotations

import hmac
import ipaddress
import re
from collections.abc import Mapping
from typing import Protocol

from gotunnel.admin.face import Refused
from gotunnel.admin.tries import Tries

__all__ = ["DASHBOARD", "FOR_PROGRAMS", "ONCE", "OPEN", "PAGE", "Guard", "Session", "Sessions"]

PROBES = ("/healthz", "/readyz")
"""Paths that need no token; without one their answer is only yes or no."""
PAGE = "/page/"
OPEN = ("/", "/session", "/login", "/logout")
"""Paths that need no token because they contain no data, like all below PAGE: the page, and logging in to it."""
FOR_PROGRAMS = "/v1/link"
"""The path that makes a login link for a browser. A browser that came in by a link may not use it."""
DASHBOARD = "gotunnel-dashboard"
"""A header of requests through the port of `gotunnel dashboard`, which others than the operator can reach."""
CSRF = "x-csrf-token"
BEARER = b"Bearer "
ONCE = frozenset(("host", "origin", "authorization", "content-type", "sec-fetch-site", "cookie", "x-csrf-token"))
"""Headers that are judged here. Duplicates are refused, because a proxy may have judged the other one."""
_HOST = re.compile(r"(?:\[([0-9a-f:.]+)\]|([^:\[\]@/]+))(?::[0-9]{1,5})?")


class Session(Protocol):
    """A browser that has logged in."""

    csrf: str


class Sessions(Protocol):
    """Finds a session by the Cookie header."""

    def find(self, header: bytes) -> Session | None: ...


class Guard:
    """One per listener. A unix socket is `trusted`: the mode of its file decides who may open it. If there is a token,
    which `tries` knows, or if the browser could be anybody's, nothing is told without the token or a session."""

    def __init__(
        self, sessions: Sessions, *, trusted: bool, tries: Tries | None = None, hosts: tuple[str, ...] = ()
    ) -> None:
        self._sessions = sessions
        self._trusted = trusted
        self._tries = tries
        self._hosts = {"localhost", *hosts}

    def admit(self, method: str, path: str, headers: Mapping[str, bytes], address: str) -> bool:
        """Return True if the request may see everything, and False if it may see a verdict without reasons. `headers`
        has lower-case names; `address` is the request's origin. Raises Refused."""
        self._check_where(headers)
        if method == "POST" and headers.get("content-type", b"").partition(b";")[0].strip() != b"application/json":
            raise Refused("what is posted here is Content-Type: application/json", 415)
        if path in OPEN or path.startswith(PAGE):
            return True
        given = headers.get("authorization", b"")
        near = self._trusted and DASHBOARD not in headers
        if near and not _browser(headers):
            return True
        unheard = None
        try:
            if self._tries is not None and given.startswith(BEARER):
                if self._tries.right(given.removeprefix(BEARER), address):
                    return True
        except Refused as limited:
            unheard = limited  # others at a browser's address must not lock out its session
        if path == FOR_PROGRAMS:
            raise Refused("links are made by gotunnel dashboard, on the admin socket", 403)
        session = self._sessions.find(headers.get("cookie", b""))
        if session is not None:
            if method == "POST":
                check_page(session, headers)
            return True
        if unheard is not None:
            raise unheard
        if method == "POST":
            raise Refused(_LOG_IN if near or self._tries is None else _TOKEN, 403 if self._tries is None else 401)
        if near or (self._tries is None and DASHBOARD not in headers):
            return True
        if path in PROBES and not given:
            return False
        raise Refused(_TOKEN, 401)

    def readable(self, headers: Mapping[str, bytes]) -> bool:
        """Whether everything can be read here without a token or a session."""
        return DASHBOARD not in headers and (self._trusted or self._tries is None)

    def _check_where(self, headers: Mapping[str, bytes]) -> None:
        host = headers.get("host", b"").decode("ascii", "replace").strip().lower()
        origin = headers.get("origin", b"").decode("ascii", "replace").strip().lower()
        if origin and origin not in (f"http://{host}", f"https://{host}"):
            raise Refused("a page of another origin may not send requests here", 403)
        if headers.get("sec-fetch-site", b"same-origin") not in (b"same-origin", b"none"):
            raise Refused("a page of another site may not send requests here", 403)
        # A socket, too, can be forwarded to a port of a machine with a browser (ssh -L). A browser always sends a
        # Host.
        if not self._known(host) and not (self._trusted and not host):
            raise Refused("this Host is not known here: ask by IP address, or name it in admin.hosts", 421)

    def _known(self, host: str) -> bool:
        found = _HOST.fullmatch(host)
        name = "" if found is None else found[1] or found[2]
        if name in self._hosts:
            return True
        try:
            # An IP address is safe: nobody can make a name of theirs lead here with it.
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True


_LOG_IN = "log in to change something: with a link of gotunnel dashboard, or with a token (admin.token_file)"
_TOKEN = "this needs the token of admin.token_file: Authorization: Bearer TOKEN"  # noqa: S105 - words for a person


def _browser(headers: Mapping[str, bytes]) -> bool:
    """Whether a page asks: browsers send Origin with each POST, and most send more."""
    return "origin" in headers or "sec-fetch-site" in headers


def check_page(session: Session, headers: Mapping[str, bytes]) -> None:
    """Return if the request comes from our own page, and not from another one with the operator's cookie. Raises
    Refused."""
    if "origin" not in headers:
        raise Refused("a page that changes something must send its Origin", 403)
    if not hmac.compare_digest(headers.get(CSRF, b""), session.csrf.encode()):
        raise Refused("this page is out of date: reload it", 403)
