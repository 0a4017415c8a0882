"""The browsers that have logged in to the page: with the admin token, or with a link that `gotunnel dashboard` has
requested on the socket. Keeps sessions and links; both are few, and expire. Sends no cookie itself."""

from __future__ import annotations

import hashlib
import secrets
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

from gotunnel.admin.face import Refused
from gotunnel.admin.tries import Tries, digest
from gotunnel.logs import Logger

__all__ = ["LINK", "LONGEST", "Login", "Logins"]

LONGEST = 8 * 3600.0
"""Seconds after which a browser must log in again, whatever it does."""
IDLE = 1800.0
"""Seconds without a request after which a browser must log in again; an open page sends requests all the time."""
MOST = 32
"""The largest number of sessions; another one ends the least recently used."""
LINK = 600.0
"""Seconds within which a link must be used. It works once."""
MOST_LINKS = 8


@dataclass(slots=True)
class Login:
    """A browser that has logged in. Its page must send `csrf` with the cookie; the cookie alone changes nothing."""

    csrf: str
    ends: float
    used: float

    def left(self, now: float) -> float:
        """Seconds until it ends without further requests."""
        return min(self.ends, self.used + IDLE) - now


class Logins:
    """One per role. `clock` has monotonic seconds; `tries` knows the token, if there is one. `cookie` is the cookie's
    name: a browser shares cookies between all ports of a host, so each process needs its own name."""

    log = Logger()

    def __init__(self, clock: Any, tries: Tries | None, cookie: str) -> None:
        self.cookie = cookie
        self.by_token = tries is not None
        """Whether a browser can log in with the token of the configuration."""
        self._clock = clock
        self._tries = tries
        self._sessions: OrderedDict[bytes, Login] = OrderedDict()  # the least recently used first
        self._links: OrderedDict[bytes, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._sessions)

    def link(self) -> str:
        """Return a secret that lets one browser in."""
        code = secrets.token_urlsafe(24)
        while len(self._links) >= MOST_LINKS:
            self._links.popitem(last=False)
        self._links[digest(code)] = self._clock.seconds() + LINK
        return code

    def by(self, wish: dict[str, Any], address: str) -> tuple[str, Login]:
        """Log in with the `token`, or with the `code` of a link. Return the cookie's value and the session. `address`
        is the browser's address. Raises Refused: 401, or 429 after too many wrong tokens."""
        token, code = wish.get("token"), wish.get("code")
        if isinstance(code, str):
            self._take_link(code)  # nobody can guess a code, so no limit must keep the operator out
        elif isinstance(token, str):
            self._check(token.strip(), address)
        else:
            raise Refused("log in with the token, or with a link of gotunnel dashboard")
        self.log.info("an operator has logged in to the dashboard from {address}", address=address)
        now, value = self._clock.seconds(), secrets.token_urlsafe(32)
        while len(self._sessions) >= MOST:
            self._sessions.popitem(last=False)
        login = self._sessions[digest(value)] = Login(secrets.token_urlsafe(24), now + LONGEST, now)
        return value, login

    def find(self, header: bytes) -> Login | None:
        """Return the session that a request's Cookie header names, if it has not ended. This counts as a use of it."""
        key, now = self._key(header), self._clock.seconds()
        login = None if key is None else self._sessions.get(key)
        if login is None or key is None:
            return None
        if login.left(now) <= 0:
            del self._sessions[key]
            return None
        login.used = now
        self._sessions.move_to_end(key)
        return login

    def leave(self, header: bytes) -> None:
        """End the session that a request's Cookie header names."""
        key = self._key(header)
        if key is not None:
            self._sessions.pop(key, None)

    def _key(self, header: bytes) -> bytes | None:
        for part in header.split(b";"):
            name, _, value = part.strip().partition(b"=")
            if name == self.cookie.encode():
                return hashlib.sha256(value).digest()
        return None

    def _take_link(self, code: str) -> None:
        ends = self._links.pop(digest(code), None)
        if ends is None or ends <= self._clock.seconds():
            raise Refused("this link has been used, or is too old: ask for another with gotunnel dashboard", 401)

    def _check(self, token: str, address: str) -> None:
        if self._tries is None:
            raise Refused("there is no token to log in with: set admin.token_file, or use gotunnel dashboard", 401)
        if not self._tries.right(token, address):
            raise Refused("this is not the token of admin.token_file", 401)
