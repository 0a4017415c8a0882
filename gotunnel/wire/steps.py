"""What both ends of a handshake have in common: the order of its steps, and that nothing but what is due may come."""

from __future__ import annotations

import enum
from typing import TypeVar

from gotunnel.errors import AuthRejected, LocalProtocolError, RemoteProtocolError
from gotunnel.wire.messages import AuthOk, Challenge, Error, Message

__all__ = ["Step", "Walk", "expected"]

HINT_SECONDS = 60.0
"""How much of an unproven peer's `retry_after` counts."""

_M = TypeVar("_M")


class Step(enum.Enum):
    """How far one end has come. Each step is taken once; a step that fails leads to FAILED, from where none
    leads on."""

    START = "start"
    HELLO = "hello"
    AUTH = "auth"
    DONE = "done"
    FAILED = "failed"


class Walk:
    """The order of the steps, kept for both ends."""

    def __init__(self) -> None:
        self._step = Step.START

    def _leave(self, step: Step) -> None:
        """Begin what follows `step`; until `_reach` says otherwise it has failed."""
        self._require(step)
        self._step = Step.FAILED

    def _reach(self, step: Step) -> None:
        self._step = step

    def _require(self, *steps: Step) -> None:
        if self._step not in steps:
            raise LocalProtocolError(f"the handshake is at {self._step.value}, not at {steps[0].value}")


def expected(cls: type[_M], message: Message) -> _M:
    """Return the message that was due. Raises AuthRejected for a server's `error` in its place, RemoteProtocolError for
    anything else."""
    if isinstance(message, cls):
        return message
    if isinstance(message, Error) and cls in (Challenge, AuthOk):
        hint = None if message.retry_after is None else min(message.retry_after, HINT_SECONDS)
        raise AuthRejected(message.code, message.reason, hint)
    raise RemoteProtocolError(f"expected {cls.__name__}, got {type(message).__name__}")
