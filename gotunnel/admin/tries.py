"""Limits how often a wrong token may be sent to the admin address, on the page or with a request. Compares, counts and
logs; lets nobody in itself."""

from __future__ import annotations

import hashlib
import hmac
from collections import Counter, OrderedDict
from typing import Any

from gotunnel.admin.face import Refused
from gotunnel.core.loglimit import LogLimit
from gotunnel.core.ratelimit import RateLimit
from gotunnel.core.sources import source_of
from gotunnel.logs import Logger

__all__ = ["Tries", "digest"]

RATE, BURST = 0.1, 5.0
"""Wrong tokens per second, and at once, from one source; ten times as many from all together."""
MOST_SOURCES = 256
KNOWN_FOR = 3600.0
"""Seconds for which a source that has sent the right token is not limited, whatever else comes from it."""
WRONG, UNHEARD = "admin_token", "admin_limit"
"""The names of the counters: wrong tokens, and tokens that were not compared."""


class Tries:
    """One per role. `clock` has monotonic seconds; `refused` counts.

    A token is counted before it is compared; otherwise the limit would only stop wrong guesses. So a guesser could lock
    out everybody who shares its address, and on the machine of Prometheus it would stop the scrapes. Therefore a source
    that has sent the right token within the last hour is not limited. A guesser at that source is then not limited
    either; with 128 bits that gains it nothing, and the log and the counter show it.
    """

    log = Logger()

    def __init__(self, clock: Any, token: str, refused: Counter[str]) -> None:
        self._clock = clock
        self._token = digest(token)
        self._refused = refused
        self._sources: OrderedDict[str, RateLimit] = OrderedDict()
        self._known: OrderedDict[str, float] = OrderedDict()  # when it was last right
        self._all = RateLimit(10 * RATE, 10 * BURST, clock.seconds())
        self._lines = LogLimit(RATE, int(BURST), MOST_SOURCES)

    def right(self, token: str | bytes, address: str) -> bool:
        """Return whether this is the token. Raises Refused, 429, after too many wrong ones."""
        name, now = source_of(address), self._clock.seconds()
        known = now - self._known.get(name, -KNOWN_FOR) < KNOWN_FOR
        source = None if known else self._taken(name, now)
        if hmac.compare_digest(digest(token), self._token):
            if source is not None:
                source.give_back()
                self._all.give_back()
            self._remember(name, now)
            return True
        self._refused[WRONG] += 1
        more = self._lines.more(name, now)
        if more is not None:
            self.log.warn(
                "a wrong token for the dashboard or the API came from {address}{more}", address=address,
                more=more,
            )  # fmt: skip
        return False

    def _taken(self, name: str, now: float) -> RateLimit:
        source = self._source(name, now)
        if not source.take(now):
            self._refused[UNHEARD] += 1
            raise Refused("too many wrong tokens came from there: wait a minute, or use gotunnel dashboard", 429)
        if not self._all.take(now):
            source.give_back()
            self._refused[UNHEARD] += 1
            raise Refused("too many wrong tokens: wait a minute, or use gotunnel dashboard", 429)
        return source

    def _source(self, name: str, now: float) -> RateLimit:
        found = self._sources.get(name)
        if found is None:
            while len(self._sources) >= MOST_SOURCES:
                self._sources.popitem(last=False)
            found = self._sources[name] = RateLimit(RATE, BURST, now)
        self._sources.move_to_end(name)
        return found

    def _remember(self, name: str, now: float) -> None:
        self._known[name] = now
        self._known.move_to_end(name)
        while len(self._known) > MOST_SOURCES:
            self._known.popitem(last=False)


def digest(secret: str | bytes) -> bytes:
    """Return a hash of a secret. Its length is always the same, so that the time of a comparison reveals nothing."""
    # JSON may contain lone surrogates.
    return hashlib.sha256(secret if isinstance(secret, bytes) else secret.encode("utf-8", "surrogatepass")).digest()
