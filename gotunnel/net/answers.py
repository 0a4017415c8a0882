"""Asks a plugin for an answer and waits for it for a limited time. Whatever the plugin does, the call ends: it may
raise, exit, return the same Deferred twice, never answer, or fail when cancelled. The meaning of an answer is not known
here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, maybeDeferred
from twisted.internet.interfaces import IDelayedCall
from twisted.python.failure import Failure

from gotunnel.errors import GotunnelError, Sentence
from gotunnel.logs import Logger

__all__ = ["Late", "answer"]

log = Logger(namespace="gotunnel.net.answers")


class Late(GotunnelError):
    """No answer came in time."""


class _Told:
    """The result of a Deferred after its failure was reported. A plugin that returns this Deferred again then gives
    no valid answer, whereas None would be one."""


def answer(clock: Any, seconds: float | None, ask: Callable[..., Any], *values: Any) -> Deferred[Any]:
    """Call `ask(*values)` and return a Deferred of its result. It fails with Late after `seconds`, if given. Cancelling
    the Deferred gives up the call."""
    asked: Deferred[Any] = maybeDeferred(ask, *values)
    given_up = False

    def give_up(_: object = None) -> None:
        nonlocal given_up
        given_up = True
        try:
            asked.cancel()
        except (Exception, SystemExit):  # noqa: BLE001 - foreign code: whatever it raises, nobody waits for it
            log.failure("a plugin failed after its answer was given up", Failure())

    told: Deferred[Any] = Deferred(give_up)

    def heard(result: Any) -> Any:
        failed = isinstance(result, Failure)
        if told.called:
            pass
        elif failed and result.check(CancelledError) and not given_up:
            # The caller would take a CancelledError for its own cancellation and report nothing.
            told.errback(GotunnelError("it gave up its own answer"))
        elif failed:
            told.errback(result)
        else:
            told.callback(result)
        return _Told() if failed else result

    def late() -> None:
        told.errback(Late(Sentence("no answer within {seconds:g} s", seconds=seconds)))
        give_up()

    asked.addBoth(heard)
    if seconds is not None and not told.called:
        timer = clock.callLater(seconds, late)
        told.addBoth(_stopped, timer)
    return told


def _stopped(result: Any, timer: IDelayedCall) -> Any:
    if timer.active():
        timer.cancel()
    return result
