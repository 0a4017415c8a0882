"""Watches the dates of a certificate that others check, and logs a warning before they become a problem. It renews
nothing."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import Any

from cryptography import x509
from twisted.internet.interfaces import IDelayedCall

from gotunnel.errors import Sentence
from gotunnel.logs import Logger
from gotunnel.net.certificates import dates

__all__ = ["ExpiryWatch", "utc_now"]

SOON = datetime.timedelta(days=14)
DAY = 86_400.0
"""Seconds between two warnings."""


def utc_now() -> datetime.datetime:
    """Return the time of the wall clock, by which certificates are valid."""
    return datetime.datetime.now(datetime.timezone.utc)


class ExpiryWatch:
    """Checks a certificate when it is given and then daily. `whose` is the beginning of a log line: "the certificate of
    …"; the `file` given to `watch` is where it has to be renewed."""

    log = Logger()

    def __init__(self, clock: Any, whose: str, now: Callable[[], datetime.datetime] = utc_now) -> None:
        self._clock = clock
        self._whose = whose
        self._now = now
        self._certificate: x509.Certificate | None = None
        self._file = ""
        self._timer: IDelayedCall | None = None

    def watch(self, certificate: x509.Certificate, file: str) -> None:
        """Check this certificate from now on, instead of any earlier one."""
        self.stop()
        self._certificate, self._file = certificate, file
        self._look()

    def stop(self) -> None:
        """Stop checking. May be called again."""
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()

    def _look(self) -> None:
        self._timer = self._clock.callLater(DAY, self._look)
        assert self._certificate is not None
        problem = problem_with(self._certificate, self._now())
        if problem is not None:
            self.log.warn("{whose} {problem} ({file})", whose=self._whose, problem=problem, file=self._file)


def problem_with(certificate: x509.Certificate, now: datetime.datetime) -> str | None:
    """Return what is wrong with its dates, or will be soon, and what to do; None if nothing is."""
    first, last = dates(certificate)
    if now > last:
        return Sentence("expired on {last:%Y-%m-%d %H:%M} UTC: renew it; peers that check it refuse it", last=last)
    if now < first:
        return Sentence(
            "is not valid before {first:%Y-%m-%d %H:%M} UTC: check this machine's clock; peers that check it "
            "refuse it",
            first=first,
        )
    if last - now < SOON:
        return Sentence("expires on {last:%Y-%m-%d %H:%M} UTC: renew it by then", last=last)
    return None
