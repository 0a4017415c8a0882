"""Asks what is somebody else's, a plugin, and hears its answer within a time. Whatever it does comes to an end: it may
raise, exit, answer with one Deferred twice, be silent for ever, or break when it is given up. What an answer means is
not known here."""

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
    """There was no answer in time."""


class _Told:
    """What a Deferred holds whose failure has been told: whoever gets it from the plugin once more gets no answer,
    where None would be one."""


def answer(clock: Any, seconds: float | None, ask: Callable[..., Any], *values: Any) -> Deferred[Any]:
    """Call `ask(*values)`, and return a Deferred of what that or its own Deferred comes to. After `seconds`, if there
    are any, it fails with Late. Cancelling gives up."""
    asked: Deferred[Any] = maybeDeferred(ask, *values)
    given_up = False

    def give_up(_: object = None) -> None:
        nonlocal given_up
        given_up = True
        try:
            asked.cancel()
        except (Exception, SystemExit):  # noqa: BLE001 - of somebody's: whatever it raises, nobody waits for it
            log.failure("a plugin failed after its answer was given up", Failure())

    told: Deferred[Any] = Deferred(give_up)

    def heard(result: Any) -> Any:
        failed = isinstance(result, Failure)
        if told.called:
            pass
        elif failed and result.check(CancelledError) and not given_up:
            # Whoever asks takes this for his own doing, and says nothing any more.
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
