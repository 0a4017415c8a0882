"""What the admin ring needs of a role: views, and acts by name."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import Any, Protocol

from gotunnel.core.accounts import Running
from gotunnel.core.usage import Usage
from gotunnel.core.view import Finding, LegsView, MappingView, RightsView, SessionView, StreamView
from gotunnel.errors import GotunnelError
from gotunnel.net.descriptors import Descriptors

__all__ = ["Act", "Acts", "Face", "Refused", "socket_name"]


class Refused(GotunnelError):
    """A request cannot be done; the text says why, and what would be right. `status` is HTTP's."""

    def __init__(self, reason: str, status: int = 400) -> None:
        super().__init__(reason)
        self.status = status


Act = Callable[[dict[str, Any]], "dict[str, Any] | Awaitable[dict[str, Any]]"]
"""Performs what a request's JSON object says, and returns the answer. Raises Refused."""

Acts = dict[str, Act]
"""By the name after `/v1/`, to which they are posted."""


class Face(Protocol):
    """The views of a role. Lists are made while they are read."""

    role: str

    @property
    def name(self) -> str: ...
    @property
    def age(self) -> float: ...
    @property
    def draining(self) -> bool: ...
    @property
    def relay(self) -> str: ...
    @property
    def descriptors(self) -> Descriptors: ...
    @property
    def usage(self) -> Usage: ...
    @property
    def pending(self) -> int: ...
    @property
    def streams(self) -> Iterable[StreamView]: ...
    def carried(self) -> tuple[int, int]: ...
    def running(self) -> Iterable[Running]: ...
    def sessions(self) -> Iterator[SessionView]: ...
    def mappings(self) -> Iterator[MappingView]: ...
    def rights(self) -> Iterator[RightsView]: ...
    def legs(self) -> LegsView: ...
    def expected(self) -> Iterator[tuple[str, bool]]: ...
    def round_trips(self) -> Iterator[tuple[str, float | None, float]]: ...
    def alive(self) -> list[Finding]: ...
    def ready(self, client: str | None = None) -> list[Finding]: ...


def socket_name(role: str, client: str | None) -> str:
    """Return the name of a role's socket. Clients that share a folder have different names."""
    return f"gotunnel-{role}.sock" if client is None else f"gotunnel-{role}-{client}.sock"
