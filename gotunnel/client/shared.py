"""The objects that all links of a client share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from gotunnel.client.bringing import LegRoom
from gotunnel.client.forwards import Forwards
from gotunnel.client.nodes import OwnNodes
from gotunnel.core.claims import Claims
from gotunnel.core.usage import Usage

__all__ = ["Claimant", "Shared"]


class Claimant(Protocol):
    """A link, as other links see it."""

    @property
    def label(self) -> str:
        """The name of its server in logs."""


@dataclass(frozen=True, slots=True)
class Shared:
    """What the links of one client share. `claims` records which link has the session with which server;
    `claim_dropped()` is called when a link gives one up. `usage` collects the statistics."""

    forwards: Forwards
    nodes: OwnNodes
    instance: bytes
    claims: Claims[bytes, Claimant]
    room: LegRoom
    claim_dropped: Callable[[], None]
    usage: Usage
