"""The order of handshake steps, shared by both ends: each step happens once, and only when it is due."""

from __future__ import annotations

import enum
from typing import TypeVar

from gotunnel.errors import AuthRejected, LocalProtocolError, RemoteProtocolError
from gotunnel.wire.messages import AuthOk, Challenge, Error, Message

__all__ = ["Step", "Walk", "expected"]

HINT_SECONDS = 60.0
"""The upper limit, in seconds, on the `retry_after` of an unauthenticated peer."""

_M = TypeVar("_M")


class Step(enum.Enum):
    """How far one end has come. Each step is taken once. A failed step leads to FAILED, which is final."""

    START = "start"
    HELLO = "hello"
    AUTH = "auth"
    DONE = "done"
    FAILED = "failed"


class Walk:
    """Enforces the order of steps for one end."""

    def __init__(self) -> None:
        self._step = Step.START

    def _leave(self, step: Step) -> None:
        """Begin the step after `step`. The handshake counts as failed until `_reach` is called."""
        self._require(step)
        self._step = Step.FAILED

    def _reach(self, step: Step) -> None:
        self._step = step

    def _require(self, *steps: Step) -> None:
        if self._step not in steps:
            raise LocalProtocolError(f"the handshake is at {self._step.value}, not at {steps[0].value}")


def expected(cls: type[_M], message: Message) -> _M:
    """Return `message` if it is of the class that is due.

    Raises AuthRejected if it is a server's `error` instead, RemoteProtocolError for anything else.
    """
    if isinstance(message, cls):
        return message
    if isinstance(message, Error) and cls in (Challenge, AuthOk):
        hint = None if message.retry_after is None else min(message.retry_after, HINT_SECONDS)
        raise AuthRejected(message.code, message.reason, hint)
    raise RemoteProtocolError(f"expected {cls.__name__}, got {type(message).__name__}")
