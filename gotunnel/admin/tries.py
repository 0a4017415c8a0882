"""How often one may say a wrong token at the admin address, to the page or with a request. Compares, counts, and tells
the log; lets nobody in itself."""

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
"""Wrong tokens a second from one source, and at once; and ten times as many from all together."""
MOST_SOURCES = 256
KNOWN_FOR = 3600.0
"""Seconds for which a source that has said the right token is listened to, whatever else comes from there."""
WRONG, UNHEARD = "admin_token", "admin_limit"
"""What is counted: wrong tokens, and those that were not looked at."""


class Tries:
    """One per role. `clock` tells monotonic seconds, `refused` counts.

    A token is counted before it is compared, or the limit would keep out only those who guess wrong. So whoever shares
    an address with a guesser would be kept out with him, and a guesser on the machine of Prometheus would blind it: a
    source from which the right token came within the last hour is not limited. That leaves to a guesser there what he
    can ask; at 128 bits it gains him nothing, and the log and the count tell of him.
    """

    log = Logger()

    def __init__(self, clock: Any, token: str, refused: Counter[str]) -> None:
        self._clock = clock
        self._token = digest(token)
        self._refused = refused
        self._sources: OrderedDict[str, RateLimit] = OrderedDict()
        self._known: OrderedDict[str, float] = OrderedDict()  # when it was right last
        self._all = RateLimit(10 * RATE, 10 * BURST, clock.seconds())
        self._lines = LogLimit(RATE, int(BURST), MOST_SOURCES)

    def right(self, token: str | bytes, address: str) -> bool:
        """Return whether this is the token. Raises Refused, 429, when too many wrong ones came before."""
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
    """Return what stands for a secret: of equal length whatever it is, so that the time of a comparison tells
    nothing."""
    # JSON may hold lone surrogates.
    return hashlib.sha256(secret if isinstance(secret, bytes) else secret.encode("utf-8", "surrogatepass")).digest()
