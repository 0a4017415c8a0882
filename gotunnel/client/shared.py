"""What all links of a client have in common."""

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
    """A link, as the others see it."""

    @property
    def label(self) -> str:
        """What logs call its server."""


@dataclass(frozen=True, slots=True)
class Shared:
    """`claims` says which link has the session with which server, and `claim_dropped()` is called when one has it no
    more; `usage` adds up what is done."""

    forwards: Forwards
    nodes: OwnNodes
    instance: bytes
    claims: Claims[bytes, Claimant]
    room: LegRoom
    claim_dropped: Callable[[], None]
    usage: Usage
